"""The client's parameters in a request's body."""

from __future__ import annotations

from keyturn_core.oauth.client import Client
from keyturn_core.secrets import ConsumerSecret


def test_a_confidential_client_sends_key_and_secret():
    """`client_secret_post`, under OAuth's own names."""
    client = Client(consumer_key="3MVG9.key", consumer_secret=ConsumerSecret("s3cret"))

    assert client.parameters() == [("client_id", "3MVG9.key"), ("client_secret", "s3cret")]


def test_a_public_client_sends_its_key_alone():
    """No secret, not even an empty one: Salesforce forbids it to public clients."""
    client = Client(consumer_key="3MVG9.key", consumer_secret=None)

    assert client.parameters() == [("client_id", "3MVG9.key")]


def test_an_empty_secret_is_sent_as_one():
    """Only None means that there is none."""
    client = Client(consumer_key="3MVG9.key", consumer_secret=ConsumerSecret(""))

    assert client.parameters() == [("client_id", "3MVG9.key"), ("client_secret", "")]
