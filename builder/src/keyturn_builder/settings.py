"""The only reader of the environment in this part: what programs that it starts are given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

SF_VARIABLE: Final = "KEYTURN_SF"
"""Path of the `sf` program, where it is not found by itself."""

_HANDED_ON: Final = frozenset(
    {
        "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "LANG", "LC_ALL", "NODE_COMPILE_CACHE",
        "NODE_EXTRA_CA_CERTS", "NODE_USE_ENV_PROXY", "NO_PROXY", "PATH", "SF_AUDIENCE_URL",
        "SF_DISABLE_DNS_CHECK", "SF_DOMAIN_RETRY", "SF_ORG_API_VERSION",
        "SF_ORG_METADATA_REST_DEPLOY", "SSL_CERT_FILE", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "TZ",
    }
)  # fmt: skip
_OWN: Final = ("KEYTURN_",)


def sf_path() -> str | None:
    """Return the path of `sf` that the user names."""
    return os.environ.get(SF_VARIABLE)  # noqa: TID251 - this module's own work


def search_path() -> str:
    """Return where programs are looked for."""
    return os.environ.get("PATH", os.defpath)  # noqa: TID251 - this module's own work


def private_environment() -> Mapping[str, str]:
    """Return what a program in a private home is given: nothing that holds a secret."""
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - this module's own work
        if name.upper() in _HANDED_ON
    }


def users_environment() -> Mapping[str, str]:
    """Return what the user's own programs are given: all but what is Keyturn's own."""
    return {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - this module's own work
        if not name.startswith(_OWN)
    }
