"""The settings of the service: this module alone reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from keyturn_core.salesforce.hosts import (
    LOGIN_HOSTS,
    Environment,
    HostRefused,
    Origin,
    read_my_domain,
)
from keyturn_service.domain.app import origin_of
from keyturn_service.vault.key_uri import KeyUri
from keyturn_service.vault.vault import KEPT_FOR

_OF_THE_FILE: Final = "file"
_HOST: Final = re.compile(r"[0-9A-Za-z_.:-]+")  # also an address of IPv6


class SettingsRefused(Exception):
    """A setting is missing or wrong; the text says which, and how to mend it."""


class DevelopmentWorld(BaseModel):
    """What only `keyturn dev` hands over: the simulated world in Salesforce's place.

    `loopback` are the exact origins on this machine that stand for hosts of Salesforce's.
    `login_hosts` are the login hosts by the face of this service. `mark` stands inside every
    secret of the world.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    clock_url: str
    loopback: frozenset[Origin]
    login_hosts: Mapping[str, Mapping[Environment, Origin]]
    mark: str = ""


class Settings(BaseSettings):
    """All settings, each read from `KEYTURN_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="KEYTURN_", extra="ignore", frozen=True)

    public_urls: Annotated[tuple[Origin, ...], NoDecode] = Field(
        description="Origins by which browsers and programs reach this service, separated by"
        " commas; a request for another host is refused."
    )
    data_dir: Path = Field(
        default=Path("keyturn-data"),
        description="Folder of the SQLite database and the spool; it outlives the process.",
    )
    database_url: str = Field(
        default="",
        description="`postgresql://user:password@host/database`, with"
        " `?sslmode=verify-full&sslrootcert=FILE` behind it where TLS is asked for; empty for"
        " SQLite in data_dir.",
        repr=False,
    )
    key_file: Path | None = Field(
        default=None,
        description="File of the key-encryption keys or of where they are, mode 0600;"
        " `keyturn.key` in data_dir where none is named.",
    )
    key_source: str = Field(
        default=_OF_THE_FILE,
        description="Where `keyturn keys init` and `keyturn keys rotate` take the next"
        " key-encryption key from: `file` makes one in the key file, `aws-kms://…`, `gcp-kms://…`,"
        " `azure-key-vault://…` and `vault-transit://…` name one that stays there.",
    )
    key_source_token_file: Path | None = Field(
        default=None,
        description="Token for Vault or OpenBao, as an agent writes it; read anew for each call.",
    )
    data_keys_kept: timedelta = Field(
        default=KEPT_FOR,
        ge=timedelta(seconds=5),
        description="How long an opened data key serves, ISO 8601, while the key source does not"
        " answer.",
    )
    spool_dir: Path | None = Field(
        default=None,
        description="Folder of this replica's spool; `spool` in data_dir where none is named.",
    )
    spool_accepts_loss: bool = Field(
        default=False,
        description="Start although the spool lies on a disk that does not outlive the container.",
    )
    egress_proxy_url: str | None = Field(
        default=None,
        description="Proxy that answers CONNECT; all calls to Salesforce go through it.",
        repr=False,
    )
    ca_file: Path | None = Field(
        default=None, description="Certificates that are trusted beside the system's own."
    )
    dev_hub_login_url: Origin = Field(
        default=LOGIN_HOSTS[Environment.PRODUCTION],
        description="Login host of the Dev Hub org, or its My Domain.",
    )
    dev_hub_consumer_key: str | None = Field(
        default=None,
        description="Consumer key of the app by which the service reads in the Dev Hub org.",
    )
    dev_hub_username: str | None = Field(
        default=None, description="Read-only user of the Dev Hub org that it reads as."
    )
    dev_hub_key_file: Path | None = Field(
        default=None,
        description="Private key of that app's certificate, PEM, mode 0600.",
    )
    audit_export_dir: Path | None = Field(
        default=None,
        description="Folder that checkpoints of the audit are exported to; none are where none is"
        " named. Where it is not there, tokens are served all the same; the log and `GET /readyz`"
        " say so.",
    )
    audit_export_minutes: int = Field(
        default=60, ge=1, le=7 * 24 * 60, description="How often a checkpoint is exported."
    )
    audit_keep_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Age from which on records of the audit are removed, as far as an exported"
        " checkpoint vouches for them; they are kept for ever where none is named.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8321, ge=1, le=65535, description="Port of plain HTTP.")
    tls_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of HTTPS, with the two files below."
    )
    tls_cert_file: Path | None = Field(default=None, description="Certificate chain, PEM.")
    tls_key_file: Path | None = Field(default=None, description="Private key, PEM.")
    dev_world: DevelopmentWorld | None = Field(
        default=None, description="Set by `keyturn dev` alone.", repr=False
    )

    @field_validator("public_urls", mode="before")
    @classmethod
    def _read_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        texts = [text.strip() for text in value.split(",") if text.strip()]
        if not texts or not all(map(_is_origin, texts)):
            raise ValueError(
                "write origins such as https://connect.acme.example, in ASCII (xn--…), without"
                " path or user"
            )
        return tuple(origin_of(text) for text in texts)

    @field_validator("key_source")
    @classmethod
    def _see_that_a_key_is_named(cls, value: str) -> str:
        if value != _OF_THE_FILE:
            KeyUri.read(value)
        return value

    @model_validator(mode="after")
    def _see_that_tls_is_whole(self) -> Self:
        parts = (self.tls_port, self.tls_cert_file, self.tls_key_file)
        if any(part is not None for part in parts) and None in parts:
            raise ValueError(
                "KEYTURN_TLS_PORT, KEYTURN_TLS_CERT_FILE and KEYTURN_TLS_KEY_FILE go together"
            )
        return self

    @model_validator(mode="after")
    def _see_that_what_is_removed_is_vouched_for(self) -> Self:
        if self.audit_keep_days is not None and self.audit_export_dir is None:
            raise ValueError(
                "KEYTURN_AUDIT_KEEP_DAYS needs KEYTURN_AUDIT_EXPORT_DIR: only what an exported"
                " checkpoint vouches for is removed"
            )
        return self

    @model_validator(mode="after")
    def _see_that_the_dev_hub_is_whole(self) -> Self:
        parts = (self.dev_hub_consumer_key, self.dev_hub_username, self.dev_hub_key_file)
        if any(part is not None for part in parts) and None in parts:
            raise ValueError(
                "KEYTURN_DEV_HUB_CONSUMER_KEY, KEYTURN_DEV_HUB_USERNAME and"
                " KEYTURN_DEV_HUB_KEY_FILE go together"
            )
        try:
            read_my_domain(self.dev_hub_login_url, loopback=self.loopback)
        except HostRefused:
            raise ValueError(
                "KEYTURN_DEV_HUB_LOGIN_URL is a login host of Salesforce's or a My Domain, such as"
                " https://acme.my.salesforce.com"
            ) from None
        return self

    @property
    def database(self) -> str:
        """The database's URL, SQLite's in the data folder where none was named."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'keyturn.sqlite'}"

    @property
    def keys(self) -> Path:
        """Where the key-encryption keys are."""
        return self.key_file or self.data_dir / "keyturn.key"

    @property
    def next_key(self) -> KeyUri | None:
        """The key that the next rotation takes; None for one that the key file makes."""
        return None if self.key_source == _OF_THE_FILE else KeyUri.read(self.key_source)

    @property
    def spool(self) -> Path:
        """Where the spool of this replica is."""
        return self.spool_dir or self.data_dir / "spool"

    @property
    def loopback(self) -> frozenset[Origin]:
        """Origins of this machine that stand for Salesforce's in a development world."""
        return self.dev_world.loopback if self.dev_world is not None else frozenset()


def read_settings(**given: object) -> Settings:
    """Read the settings; those that are `given` go before the environment's.

    Raises:
        SettingsRefused: one is missing or wrong.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        raise SettingsRefused(
            "\n".join(
                _in_words(problem["loc"], problem["type"], problem["msg"])
                for problem in error.errors()
            )
        ) from None


def _is_origin(text: str) -> bool:
    """Tell whether a text is an origin and nothing more; a slash behind it does not count."""
    origin = origin_of(text)
    if origin is None or not origin.startswith(("https://", "http://")):
        return False
    parts = urlsplit(text)
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    return not more and _HOST.fullmatch(parts.hostname or "") is not None


def _in_words(where: tuple[int | str, ...], kind: str, message: str) -> str:
    if not where:
        return message.removeprefix("Value error, ")  # it names its settings itself
    name = "_".join(["KEYTURN", *(str(part).upper() for part in where)])
    field = Settings.model_fields.get(str(where[0]))
    if kind == "missing" and field is not None:
        message = f"is not set. {field.description}"
    return f"{name}: {message.removeprefix('Value error, ')}"


def environment_of_child(settings: Settings) -> dict[str, str]:
    """Return our environment with these settings in it, for a program that serves with them.

    What only `keyturn dev` knows is left out: it goes over standard input.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - this module's own work
        if not name.startswith("KEYTURN_")
    }
    given = settings.model_dump(exclude={"dev_world"}, exclude_none=True)
    own = {f"KEYTURN_{name.upper()}": _as_text(value) for name, value in given.items()}
    return inherited | own


def _as_text(value: object) -> str:
    if isinstance(value, timedelta):
        return f"PT{value.total_seconds():.0f}S"
    return ",".join(value) if isinstance(value, tuple) else str(value)
