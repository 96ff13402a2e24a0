"""Acme's configuration: one JSON file, read once at the start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class ConfigRefused(Exception):
    """The configuration cannot be used; the text says why, and quotes none of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Somebody who may log in at Acme, and the customer they belong to."""

    username: str
    password: str = field(repr=False)
    customer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What Acme has to know.

    `service_urls` are the service's URLs by Acme's own origins: whoever reaches Acme by one
    face is sent to the matching one of the service. Where `connect_proxy_url` is given, names
    (not addresses of this machine) are reached through it. `clock_url` is the clock of a
    simulated world.
    """

    service_urls: Mapping[str, str]
    api_key: str = field(repr=False)
    users: tuple[Login, ...]
    session_key: str = field(repr=False)
    clock_url: str | None
    connect_proxy_url: str | None
    ca_file: str | None


def read_config(path: Path) -> Config:
    """Read the file.

    Raises:
        ConfigRefused: it is not there, or out of shape.
    """
    try:
        read = json.loads(path.read_text())
        return _config(read)
    except OSError as error:
        raise ConfigRefused(f"cannot read {path}: {error.strerror}") from error
    except KeyError as error:
        raise ConfigRefused(f"{path} lacks {error.args[0]}") from None
    except (ValueError, TypeError, AttributeError):
        raise ConfigRefused(f"{path} is out of shape") from None  # its text could hold a secret


def _config(read: Mapping[str, Any]) -> Config:
    return Config(
        service_urls={_origin(ours): str(url) for ours, url in read["service_urls"].items()},
        api_key=_text(read["api_key"]),
        users=tuple(
            Login(
                username=_text(user["username"]),
                password=_text(user["password"]),
                customer_id=_text(user["customer_id"]),
            )
            for user in read["users"]
        ),
        session_key=_text(read["session_key"]),
        clock_url=read.get("clock_url"),
        connect_proxy_url=read.get("connect_proxy_url"),
        ca_file=read.get("ca_file"),
    )


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or text != f"{parts.scheme}://{parts.netloc}":
        raise ValueError
    return text


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value
