"""A sound `keyturn.toml`, and changes of it."""

from __future__ import annotations

import pytest

from keyturn_builder.app_config import AppConfig
from keyturn_builder.config_file import parse_config

SOUND = """\
[app]
name = "Acme_Connect"
label = "Acme Connect"
contact = "integrations@acme.example"
description = "Connects Acme to Salesforce."
scopes = ["api", "refresh_token"]
callback_urls = [
  "https://connect.acme.example/oauth/callback",
]
flows = ["code", "jwt"]
egress = ["192.0.2.10", "192.0.2.16/29"]

[package]
name = "Acme"
namespace = "acme"
version = "1.0.0"
post_install_url = "https://connect.acme.example/installed"

[dev_hub]
alias = "acme-hub"

[service]
url = "https://connect.acme.example"

[objects.Contact]
access = ["read", "edit"]
fields = ["Email", "Phone"]
"""


@pytest.fixture
def sound() -> str:
    """The text of a sound file."""
    return SOUND


@pytest.fixture
def config() -> AppConfig:
    """What it says."""
    return parse_config(SOUND, file="keyturn.toml")
