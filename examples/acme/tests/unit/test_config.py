"""The configuration: read whole, or refused without quoting it."""

from __future__ import annotations

import json

import pytest

from acme.config import ConfigRefused, read_config

GOOD = {
    "service_urls": {"http://127.0.0.1:8400": "http://127.0.0.1:8321"},
    "api_key": "kt_test_hush",
    "users": [{"username": "ann", "password": "hush", "customer_id": "northwind"}],
    "session_key": "hush",
}


def test_what_is_not_given_is_left_out(tmp_path):
    """A real product has no simulated world."""
    path = tmp_path / "acme.json"
    path.write_text(json.dumps(GOOD))

    config = read_config(path)

    assert (config.clock_url, config.connect_proxy_url, config.ca_file) == (None, None, None)
    assert config.users[0].customer_id == "northwind"
    assert "hush" not in repr(config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "out of shape"),
        ("[]", "out of shape"),
        (json.dumps({**GOOD, "api_key": ""}), "out of shape"),
        (json.dumps({**GOOD, "session_key": 5}), "out of shape"),
        (json.dumps({**GOOD, "users": ["hush"]}), "out of shape"),
        (json.dumps({**GOOD, "service_urls": {"http://a.example/": "x"}}), "out of shape"),
        (json.dumps({**GOOD, "service_urls": {"ftp://a.example": "x"}}), "out of shape"),
        (json.dumps({name: GOOD[name] for name in GOOD if name != "users"}), "lacks users"),
    ],
)
def test_what_is_out_of_shape_is_refused(tmp_path, text, said):
    """The text names the file, and no secret in it."""
    path = tmp_path / "acme.json"
    path.write_text(text)

    with pytest.raises(ConfigRefused, match=said) as caught:
        read_config(path)

    assert "hush" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    """In words, not as a traceback."""
    with pytest.raises(ConfigRefused, match="No such file"):
        read_config(tmp_path / "acme.json")
