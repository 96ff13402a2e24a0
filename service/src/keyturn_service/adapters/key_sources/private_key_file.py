"""A private key that the operator keeps in a file of this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from keyturn_core.secrets import PrivateKey

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class PrivateKeyRefused(Exception):
    """The file is missing, readable by others or no private key; the text says what to do."""


def load_private_key(path: Path) -> PrivateKey:
    """Read a private key of RSA in PEM, without a pass phrase.

    Raises:
        PrivateKeyRefused: there is none, others can read it, or it is none.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text("ascii")
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except OSError as error:
        raise PrivateKeyRefused(f"cannot read the private key {path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PrivateKeyRefused(f"{path} is no private key in PEM without pass phrase") from None
    if mode & _OTHERS:
        raise PrivateKeyRefused(f"others can read the private key {path}: run `chmod 600` on it")
    if not isinstance(key, rsa.RSAPrivateKey):
        raise PrivateKeyRefused(f"the private key {path} is not one of RSA")
    return PrivateKey(text)


def keep_private_key(path: Path, key: PrivateKey) -> None:
    """Write a private key for `load_private_key`, in place of what was there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.reveal())
