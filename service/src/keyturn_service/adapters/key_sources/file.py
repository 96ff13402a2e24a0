"""A key source in a file of this machine: right for development and single servers."""

from __future__ import annotations

import json
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyturn_service.domain.ids import new_id
from keyturn_service.ports import Randomness
from keyturn_service.vault.errors import CannotOpen, KeyMissing

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_FORMAT: Final = 1


class KeyFileRefused(Exception):
    """The key file is missing, readable by others or out of shape; the text says what to do."""


class KeyFile:
    """`vault.key_source.KeySource` over a JSON file of mode 0600.

    `{"format": 1, "active": id, "keys": {id: base64 of 32 bytes}}`: retired keys stay in it and
    go on opening.
    """

    def __init__(self, active: str, keys: Mapping[str, bytes], randomness: Randomness) -> None:
        self._active = active
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._randomness = randomness

    @classmethod
    def load(cls, path: Path, randomness: Randomness) -> Self:
        """Read a key file.

        Raises:
            KeyFileRefused: there is none, others can read it, or it is out of shape.
        """
        try:
            mode = path.stat().st_mode
            text = path.read_text()
        except FileNotFoundError:
            raise KeyFileRefused(
                f"there is no key file {path}: the service does not start without its key."
                " Bring the file back from where you keep it apart from the database"
            ) from None
        except OSError as error:
            raise KeyFileRefused(f"cannot read the key file {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            text = ""  # no JSON either: refused below
        if mode & _OTHERS:
            raise KeyFileRefused(f"others can read the key file {path}: run `chmod 600` on it")
        active, keys = _parsed(path, text)
        return cls(active, keys, randomness)

    @classmethod
    def create(cls, path: Path, randomness: Randomness) -> Self:
        """Make a key file with one key; one that is there is read and not touched.

        Raises:
            KeyFileRefused: it is there and cannot be used, or cannot be made.
        """
        key_id = new_id("kek", randomness.token_bytes(18))
        key = b64encode(randomness.token_bytes(_KEY_BYTES)).decode()
        text = json.dumps({"format": _FORMAT, "active": key_id, "keys": {key_id: key}}, indent=1)
        beside = path.with_name(f".{path.name}.{key_id}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "w") as file:
                    file.write(text + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                path.hardlink_to(beside)  # fails where one is there: nothing is overwritten
            except FileExistsError:
                pass
            finally:
                beside.unlink()
            _sync_folder(path.parent)  # the name too is there before anything is sealed under it
        except OSError as error:
            raise KeyFileRefused(f"cannot make the key file {path}: {error.strerror}") from None
        return cls.load(path, randomness)

    @property
    def active_key_id(self) -> str:
        """The id of the key that wraps from now on."""
        return self._active

    async def wrap(self, key: bytes, *, associated_data: bytes) -> bytes:
        """Wrap a key under the active key."""
        nonce = self._randomness.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[self._active].encrypt(nonce, key, associated_data)

    async def unwrap(self, key_id: str, wrapped: bytes, *, associated_data: bytes) -> bytes:
        """Return a key that was wrapped under `key_id`."""
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyMissing(key_id)
        try:
            return cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], associated_data)
        except (InvalidTag, ValueError):
            raise CannotOpen("the wrapped key was changed or belongs elsewhere") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parsed(path: Path, text: str) -> tuple[str, Mapping[str, bytes]]:
    try:
        kept: Any = json.loads(text)
        keys = {str(key_id): b64decode(key, validate=True) for key_id, key in kept["keys"].items()}
        active = str(kept["active"])
        fits = kept["format"] == _FORMAT and active in keys
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        fits = False
    if not fits or any(len(key) != _KEY_BYTES for key in keys.values()):
        raise KeyFileRefused(f"{path} is no key file of ours, or was changed") from None
    return active, keys
