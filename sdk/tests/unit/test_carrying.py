"""Where a client goes, and with what."""

from __future__ import annotations

import pytest

from keyturn import AsyncKeyturn, Keyturn
from keyturn.carrying import base_url, is_loopback, options

KEY = "kt_test_0123456789abcdef"


@pytest.mark.parametrize(
    "url",
    ["", "connect.acme.example", "ftp://a.example", "https://", "https://u:p@a.example",
     "https://a.example/?x=1", "https://a.example/#x"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url):
    """Before the API key is sent anywhere."""
    with pytest.raises(ValueError, match="URL"):
        base_url(url, allow_plain_http=True)


def test_the_api_key_does_not_cross_a_network_in_the_clear():
    """Unless that is written out; on this machine nobody listens."""
    with pytest.raises(ValueError, match="allow_plain_http"):
        base_url("http://keyturn:8321", allow_plain_http=False)

    assert base_url("http://keyturn:8321/", allow_plain_http=True) == "http://keyturn:8321"
    assert base_url("http://127.0.0.1:8321", allow_plain_http=False) == "http://127.0.0.1:8321"
    assert base_url("http://[::1]:8321", allow_plain_http=False) == "http://[::1]:8321"


@pytest.mark.parametrize("key", ["", "kt with space", "kt\n", "kté"])
def test_an_api_key_out_of_shape_is_refused(key):
    """It would end up in a header, or be refused with a riddle."""
    with pytest.raises(ValueError, match="API key"):
        options("https://a.example", api_key=key, timeout=1)


def test_a_proxy_of_the_environment_never_leads_to_this_machine():
    """Loopback is reached as it is."""
    assert is_loopback("localhost")
    assert not is_loopback("localhost.evil.example")
    assert options("http://127.0.0.1:1", api_key=KEY, timeout=1)["trust_env"] is False
    assert options("https://a.example", api_key=KEY, timeout=1)["trust_env"] is True


async def test_clients_can_be_closed_by_hand():
    """And are no use afterwards."""
    client = Keyturn("https://a.example", api_key=KEY)
    async_client = AsyncKeyturn("https://a.example", api_key=KEY)

    client.close()
    await async_client.close()

    with pytest.raises(RuntimeError, match="closed"):
        client.connections.get("con_1")
    with pytest.raises(RuntimeError, match="closed"):
        await async_client.connections.get("con_1")
