"""Keyed hashes: how secrets are known again without being kept."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from keyturn_core.secrets import Secret
from keyturn_service.ports import Clock, Randomness
from keyturn_service.vault.data_keys import (
    KEY_BYTES,
    NOBODY,
    ROOT_OF_HASHES,
    DataKeyId,
    DataKeys,
    WrappedDataKey,
    associated_data,
)
from keyturn_service.vault.key_source import KeySource

_BOUND: Final = associated_data(ROOT_OF_HASHES, NOBODY)


class KeyedHashes:
    """`ports.KeyedHash` by HMAC-SHA256, with a key of its own for each label.

    The root stays the same when key-encryption keys rotate: hashes are looked up for life.
    """

    def __init__(self, root: bytes) -> None:
        self._begun = lru_cache(maxsize=64)(
            lambda label: hmac.new(_derived(root, label), digestmod=hashlib.sha256)
        )

    def __call__(self, label: str, value: str | Secret) -> bytes:
        """Hash `value` under the key derived for `label`."""
        text = value.reveal() if isinstance(value, Secret) else value
        going_on = self._begun(label).copy()  # a new one costs half as much again
        going_on.update(text.encode())
        return going_on.digest()


async def keyed_hashes(
    key_source: KeySource, data_keys: DataKeys, randomness: Randomness, clock: Clock
) -> KeyedHashes:
    """Return the hashes of this installation; the first start makes their root.

    Raises:
        KeyMissing: the key source lacks the key that wraps the root.
        CannotOpen: the root was changed.
        KeySourceUnavailable: the key source does not answer.
    """
    kept = await data_keys.get(ROOT_OF_HASHES)
    if kept is None:
        key_id = key_source.active_key_id
        fresh = randomness.token_bytes(KEY_BYTES)
        kept = await data_keys.add(
            WrappedDataKey(
                id=ROOT_OF_HASHES,
                workspace_id=NOBODY,
                key_id=key_id,
                wrapped=await key_source.wrap(fresh, associated_data=_BOUND),
                created_at=clock.now(),
            )
        )
    return KeyedHashes(await _opened(key_source, kept))


async def kept_root(
    key_source: KeySource, kept_key: Callable[[DataKeyId], Awaitable[WrappedDataKey | None]]
) -> bytes | None:
    """Return the root of this installation; None where no start has made one.

    Raises as `keyed_hashes` does.
    """
    kept = await kept_key(ROOT_OF_HASHES)
    return None if kept is None else await _opened(key_source, kept)


async def _opened(key_source: KeySource, kept: WrappedDataKey) -> bytes:
    return await key_source.unwrap(kept.key_id, kept.wrapped, associated_data=_BOUND)


def _derived(root: bytes, label: str) -> bytes:
    return HKDFExpand(SHA256(), KEY_BYTES, b"keyturn-hash-1\x00" + label.encode()).derive(root)
