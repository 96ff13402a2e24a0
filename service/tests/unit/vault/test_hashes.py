"""Keyed hashes: the same for life, and another under each label."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from service.tests.support.fakes import CountedRandomness, FakeClock
from service.tests.unit.vault.vault_house import (
    OLD_KEY,
    MemoryDataKeys,
    WatchedKeySource,
    forgetful_source,
    old_source,
    rotated_source,
)

from keyturn_core.secrets import RefreshToken
from keyturn_service.vault.data_keys import DataKeyId, WrappedDataKey
from keyturn_service.vault.errors import CannotOpen, KeyMissing, KeySourceUnavailable
from keyturn_service.vault.hashes import KeyedHashes, kept_root, keyed_hashes

ROOT = bytes(range(100, 132))
ROOT_ID = DataKeyId("dk_hashes")
CLOCK = FakeClock()


def by_hand(root: bytes, label: bytes, value: bytes) -> bytes:
    """Hash as RFC 5869 (one block of its second step) and RFC 2104 say."""
    key = hmac.digest(root, b"keyturn-hash-1\x00" + label + b"\x01", hashlib.sha256)
    return hmac.digest(key, value, hashlib.sha256)


async def started(
    data_keys: MemoryDataKeys, source: WatchedKeySource | None = None, *, seed: str = "one"
) -> KeyedHashes:
    """Start a process: its hashes."""
    return await keyed_hashes(source or old_source(), data_keys, CountedRandomness(seed), CLOCK)


@given(
    one=st.tuples(st.binary(min_size=32, max_size=32), st.text(), st.text()),
    other=st.tuples(st.binary(min_size=32, max_size=32), st.text(), st.text()),
)
def test_another_root_label_or_text_is_another_hash(one, other):
    """Each part counts, and the hash has 32 bytes."""
    hashes = {
        KeyedHashes(root)(label, text)
        for root in (one[0], other[0])
        for label in (one[1], other[1])
        for text in (one[2], other[2])
    }

    different = [len(set(pair)) for pair in zip(one, other, strict=True)]
    assert len(hashes) == different[0] * different[1] * different[2]
    assert {len(value) for value in hashes} == {32}


class TestHashing:
    """One root, many labels."""

    def test_a_hash_is_hmac_sha256_under_a_key_derived_for_its_label(self):
        """It never changes: what was hashed otherwise would not be found any more."""
        assert KeyedHashes(ROOT)("api-key", "kt_1") == by_hand(ROOT, b"api-key", b"kt_1")
        assert KeyedHashes(ROOT)("caf\xe9", "\u20ac") == by_hand(
            ROOT, b"caf\xc3\xa9", b"\xe2\x82\xac"
        )

    def test_a_secret_hashes_as_its_text(self):
        """Nobody has to take it out."""
        hashes = KeyedHashes(ROOT)

        assert hashes("state", RefreshToken("5Aep")) == hashes("state", "5Aep")

    def test_many_labels_stay_apart(self):
        """More than are remembered, asked for twice."""
        hashes = KeyedHashes(ROOT)
        labels = [f"label {number}" for number in range(100)]

        first = [hashes(label, "value") for label in labels]

        assert [hashes(label, "value") for label in labels] == first
        assert len(set(first)) == 100

    def test_two_installations_share_no_remembered_key(self):
        """What one remembers of a label is its own."""
        one, other = KeyedHashes(ROOT), KeyedHashes(ROOT[::-1])

        assert one("state", "x") == by_hand(ROOT, b"state", b"x")
        assert other("state", "x") == by_hand(ROOT[::-1], b"state", b"x")


class TestTheRoot:
    """Made at the first start, found at every later one."""

    async def test_the_first_start_makes_and_keeps_it(self):
        """Wrapped under the active key, for no workspace, under a name that is fixed."""
        data_keys = MemoryDataKeys()
        root = CountedRandomness("one").token_bytes(32)

        hashes = await started(data_keys)

        (kept,) = data_keys.kept.values()
        assert (kept.id, kept.workspace_id, kept.key_id) == ("dk_hashes", "", "kek_old")
        assert kept.created_at == CLOCK.now()
        bound = b"keyturn-data-key-1\0dk_hashes\0"
        assert AESGCM(OLD_KEY).decrypt(kept.wrapped[:12], kept.wrapped[12:], bound) == root
        assert hashes("state", "x") == by_hand(root, b"state", b"x")

    async def test_every_later_start_finds_it(self):
        """Nothing is made or wrapped again."""
        data_keys, source = MemoryDataKeys(), old_source()
        first = await started(data_keys)
        kept = dict(data_keys.kept)

        second = await started(data_keys, source, seed="two")

        assert second("state", "x") == first("state", "x")
        assert (data_keys.kept, source.wrapped, source.unwrapped) == (kept, [], ["kek_old"])

    async def test_of_two_first_starts_one_makes_it(self):
        """The later one takes what the earlier one kept, and forgets its own."""

        class Racing(MemoryDataKeys):
            async def get(self, data_key_id: DataKeyId) -> WrappedDataKey | None:
                await super().get(data_key_id)
                return None  # as it was a moment ago

        data_keys = Racing()
        one = await started(data_keys)
        two = await started(data_keys, seed="two")

        assert one("state", "x") == two("state", "x")
        assert len(data_keys.kept) == 1

    async def test_it_outlives_a_rotation(self):
        """A retired key still opens it, and the hashes stay."""
        data_keys = MemoryDataKeys()
        first = await started(data_keys)

        second = await started(data_keys, rotated_source())

        assert second("state", "x") == first("state", "x")
        assert data_keys.kept[ROOT_ID].key_id == "kek_old"

    async def test_a_lost_key_is_named_and_no_new_root_made(self):
        """Another root would know no secret again."""
        data_keys = MemoryDataKeys()
        await started(data_keys)
        kept = dict(data_keys.kept)

        with pytest.raises(KeyMissing, match="kek_old"):
            await started(data_keys, forgetful_source())

        assert data_keys.kept == kept

    async def test_a_changed_root_does_not_open(self):
        """Nor a data key of a workspace in its place."""
        data_keys = MemoryDataKeys()
        await started(data_keys)
        kept = data_keys.kept[ROOT_ID]
        source = old_source("other")
        foreign = await source.wrap(ROOT, associated_data=b"keyturn-data-key-1\0dk_1\0ws_a")

        for wrapped in (kept.wrapped[::-1], kept.wrapped[:5], b"", foreign):
            data_keys.kept[ROOT_ID] = replace(kept, wrapped=wrapped)
            with pytest.raises(CannotOpen):
                await started(data_keys)

    async def test_without_the_key_source_there_are_no_hashes(self):
        """And nothing is kept that could not be opened."""
        data_keys, source = MemoryDataKeys(), old_source()
        source.away = True

        with pytest.raises(KeySourceUnavailable):
            await started(data_keys, source)
        assert data_keys.kept == {}

        source.away = False
        await started(data_keys, source)
        source.away = True
        with pytest.raises(KeySourceUnavailable):
            await started(data_keys, source)


class TestTheKeptRoot:
    """For what only reads: nothing is made."""

    async def test_it_is_the_one_that_the_first_start_made(self):
        """Opened, also by a key source that rotated."""
        data_keys = MemoryDataKeys()
        await started(data_keys)

        root = await kept_root(rotated_source(), data_keys.get)

        assert root == CountedRandomness("one").token_bytes(32)

    async def test_before_the_first_start_there_is_none(self):
        """And none is there afterwards."""
        data_keys = MemoryDataKeys()

        assert await kept_root(old_source(), data_keys.get) is None
        assert data_keys.kept == {}

    async def test_it_opens_only_as_it_was_wrapped(self):
        """By its key, unchanged."""
        data_keys = MemoryDataKeys()
        await started(data_keys)

        with pytest.raises(KeyMissing, match="kek_old"):
            await kept_root(forgetful_source(), data_keys.get)
        kept = data_keys.kept[ROOT_ID]
        data_keys.kept[ROOT_ID] = replace(kept, wrapped=kept.wrapped[::-1])
        with pytest.raises(CannotOpen):
            await kept_root(old_source(), data_keys.get)
