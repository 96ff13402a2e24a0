"""Seals that open without the database."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from service.tests.support.fakes import CountedRandomness
from service.tests.support.values import START
from service.tests.unit.vault.vault_house import (
    OLD_KEY,
    WatchedKeySource,
    forgetful_source,
    old_source,
    rotated_source,
)

from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.vault.envelope import Envelopes, key_of
from keyturn_service.vault.errors import CannotOpen, KeyMissing, KeySourceUnavailable
from keyturn_service.vault.place import Place

HERE = Place(workspace_id="ws_a", table="spool", row="att_1", column="answer", generation=3)
ELSEWHERE = [
    replace(HERE, workspace_id="ws_b"),
    replace(HERE, table="token_sets"),
    replace(HERE, row="att_2"),
    replace(HERE, column="head"),
    replace(HERE, generation=2),
    replace(HERE, generation=4),
]
MOVED = r"^not sealed for this place, or changed$"
NO_ENVELOPE = r"^not an envelope$"
CUT = r"^cut short$"
WRAPPED = 12 + 32 + 16  # nonce, key and tag: what the key source of these tests makes of a key
HEAD = 2 + len("kek_old") + 2 + WRAPPED


async def a_run(source: WatchedKeySource | None = None, *, seed: str = "one") -> Envelopes:
    """Start a process: its envelopes."""
    return await Envelopes.for_this_run(source or old_source(seed), CountedRandomness(seed))


@given(value=st.binary())
async def test_what_was_sealed_opens_at_its_place(value):
    """Any bytes, none included, in this run and in a later one."""
    envelopes = await a_run()

    sealed = envelopes.seal(value, HERE)

    assert await envelopes.open(sealed, HERE) == value
    assert await (await a_run(seed="two")).open(sealed, HERE) == value


async def test_an_envelope_has_the_documented_shape():
    """Version, id of the wrapping key, wrapped key, nonce, and AES-256-GCM bound to the place."""
    drawn = CountedRandomness("one")
    secret, nonce = drawn.token_bytes(32), drawn.token_bytes(12)

    sealed = (await a_run()).seal(b"answer", HERE)

    assert sealed[:11] == b"\x01\x07kek_old" + bytes((0, WRAPPED))
    wrapped = sealed[11:HEAD]
    assert AESGCM(OLD_KEY).decrypt(wrapped[:12], wrapped[12:], b"keyturn-envelope-1") == secret
    box = AESGCM(secret).encrypt(nonce, b"answer", HERE.associated_data)
    assert sealed[HEAD:] == nonce + box


async def test_two_envelopes_of_one_run_share_nothing_but_the_head():
    """Each has a nonce of its own."""
    envelopes = await a_run()

    one, other = envelopes.seal(b"value", HERE), envelopes.seal(b"value", HERE)

    assert one[:HEAD] == other[:HEAD]
    assert one[HEAD : HEAD + 12] != other[HEAD : HEAD + 12]
    assert one[HEAD + 12 :] != other[HEAD + 12 :]


async def test_each_run_has_a_key_of_its_own():
    """Nobody counts the nonces of two runs under one key."""
    one = (await a_run()).seal(b"value", HERE)
    other = (await a_run(seed="two")).seal(b"value", HERE)

    assert one[11:HEAD] != other[11:HEAD]


@pytest.mark.parametrize("place", ELSEWHERE)
async def test_a_moved_value_does_not_open(place):
    """Not in another workspace, table, row, column or generation; in no run."""
    envelopes = await a_run()
    sealed = envelopes.seal(b"value", HERE)

    for run in (envelopes, await a_run(seed="two")):
        with pytest.raises(CannotOpen, match=MOVED):
            await run.open(sealed, place)


@pytest.mark.parametrize("bit", [0x01, 0x80])
async def test_a_changed_byte_does_not_open(bit):
    """Wherever it is; in the id of the wrapping key it names a key that is not there."""
    envelopes = await a_run()
    sealed = envelopes.seal(b"value", HERE)

    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= bit
        in_id = 1 <= at < 9
        with pytest.raises((CannotOpen, KeyMissing) if in_id else CannotOpen):
            await envelopes.open(bytes(changed), HERE)


async def test_a_value_cut_short_says_so():
    """In the head it is no envelope; behind it there are nonce and tag at least."""
    envelopes = await a_run()
    sealed = envelopes.seal(b"value", HERE)
    least = HEAD + 12 + 16

    for length in range(11):
        with pytest.raises(CannotOpen, match=NO_ENVELOPE):
            await envelopes.open(sealed[:length], HERE)
    for length in range(11, least):
        with pytest.raises(CannotOpen, match=CUT):
            await envelopes.open(sealed[:length], HERE)
    for wrong in (sealed[:least], sealed[:-1], sealed + b"\0"):
        with pytest.raises(CannotOpen, match=MOVED):
            await envelopes.open(wrong, HERE)


@pytest.mark.parametrize("version", [0, 2, 255])
async def test_another_version_is_no_envelope(version):
    """A later format is not read as this one."""
    envelopes = await a_run()
    sealed = envelopes.seal(b"value", HERE)

    with pytest.raises(CannotOpen, match=NO_ENVELOPE):
        await envelopes.open(bytes([version]) + sealed[1:], HERE)


async def test_the_length_of_the_wrapped_key_has_two_bytes():
    """The higher one first: a key source may wrap into more than 255 bytes."""

    class Long(WatchedKeySource):
        async def wrap(self, key: bytes, *, associated_data: bytes) -> bytes:
            return await super().wrap(key, associated_data=associated_data) + bytes(300)

        async def unwrap(self, key_id: str, wrapped: bytes, *, associated_data: bytes) -> bytes:
            assert wrapped[WRAPPED:] == bytes(300)
            return await super().unwrap(key_id, wrapped[:WRAPPED], associated_data=associated_data)

    keys = {"kek_old": OLD_KEY}
    sealed = (await a_run(Long("kek_old", keys))).seal(b"value", HERE)

    assert sealed[9:11] == (WRAPPED + 300).to_bytes(2, "big")
    assert await (await a_run(Long("kek_old", keys), seed="two")).open(sealed, HERE) == b"value"


@given(sealed=st.binary(max_size=80) | st.builds(bytes.__add__, st.just(b"\1\3"), st.binary()))
async def test_any_bytes_do_not_open(sealed):
    """And nothing but the documented errors is raised."""
    envelopes = await a_run()

    with pytest.raises((CannotOpen, KeyMissing)):
        await envelopes.open(sealed, HERE)


async def test_an_id_with_bytes_between_names_another_key():
    """What is not ASCII in an id is not overlooked."""
    envelopes = await a_run()
    sealed = envelopes.seal(b"value", HERE)

    odd = bytes([1, 8]) + sealed[2:5] + b"\xff" + sealed[5:]

    with pytest.raises(KeyMissing, match="kek\ufffd_old"):
        await envelopes.open(odd, HERE)


async def test_this_runs_seals_never_wait_for_the_key_source():
    """It was asked once, at the start."""
    source = old_source()
    envelopes = await a_run(source)
    source.away = True

    sealed = envelopes.seal(b"value", HERE)

    assert await envelopes.open(sealed, HERE) == b"value"
    assert (source.wrapped, source.unwrapped) == (["kek_old"], [])


async def test_an_earlier_runs_key_is_unwrapped_once():
    """However many of its envelopes are opened; another run's is another key."""
    earlier, before_that = await a_run(), await a_run(seed="zero")
    first, second = earlier.seal(b"1", HERE), earlier.seal(b"2", HERE)
    third = before_that.seal(b"3", HERE)
    source = old_source("two")
    envelopes = await a_run(source, seed="two")

    opened = [await envelopes.open(sealed, HERE) for sealed in (first, second, third, first)]

    assert opened == [b"1", b"2", b"3", b"1"]
    assert source.unwrapped == ["kek_old", "kek_old"]


async def test_a_run_does_not_start_without_the_key_source():
    """Better than to find out when an answer has come."""
    source = old_source()
    source.away = True

    with pytest.raises(KeySourceUnavailable):
        await a_run(source)


async def test_while_the_key_source_is_away_earlier_runs_wait():
    """It says so, and mends by itself."""
    sealed = (await a_run()).seal(b"value", HERE)
    source = old_source("two")
    envelopes = await a_run(source, seed="two")
    source.away = True

    with pytest.raises(KeySourceUnavailable):
        await envelopes.open(sealed, HERE)

    source.away = False
    assert await envelopes.open(sealed, HERE) == b"value"


async def test_a_retired_key_still_opens_and_a_lost_one_is_named():
    """New envelopes are under the new key."""
    sealed = (await a_run()).seal(b"value", HERE)
    rotated = await a_run(rotated_source(), seed="two")

    assert await rotated.open(sealed, HERE) == b"value"
    assert rotated.seal(b"more", HERE)[2:9] == b"kek_new"
    with pytest.raises(KeyMissing, match="kek_old"):
        await (await a_run(forgetful_source(), seed="three")).open(sealed, HERE)


class TestRenewing:
    """A rotation under a running process."""

    def source(self, tmp_path):
        """Return a key file that is there to be rotated."""
        return KeyFile.create(tmp_path / "keyturn.key", CountedRandomness("file"))

    async def test_after_a_rotation_the_next_envelope_is_under_the_new_key(self, tmp_path):
        """And the earlier ones open, without asking the key source."""
        source = self.source(tmp_path)
        envelopes = await Envelopes.for_this_run(source, CountedRandomness("one"))
        first, before = envelopes.key_id, envelopes.seal(b"before", HERE)

        second = source.rotate(now=START)
        await envelopes.renew({first, second})

        after = envelopes.seal(b"after", HERE)
        assert (envelopes.key_id, envelopes.active_key_id) == (second, second)
        assert (key_of(before), key_of(after)) == (first, second)
        assert await envelopes.open(before, HERE) == b"before"
        assert await envelopes.open(after, HERE) == b"after"

    async def test_a_key_that_was_not_announced_is_not_used(self, tmp_path):
        """Nobody would know that this spool needs it."""
        source = self.source(tmp_path)
        envelopes = await Envelopes.for_this_run(source, CountedRandomness("one"))
        first = envelopes.key_id
        source.rotate(now=START)

        await envelopes.renew({first})

        assert key_of(envelopes.seal(b"value", HERE)) == first

    async def test_without_a_rotation_nothing_is_renewed(self, tmp_path):
        """The key of the run stays."""
        envelopes = await Envelopes.for_this_run(self.source(tmp_path), CountedRandomness("one"))
        before = envelopes.seal(b"value", HERE)

        await envelopes.renew({envelopes.key_id})

        assert envelopes.seal(b"value", HERE)[:80] == before[:80]


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x02\x03kek"])
def test_what_is_no_envelope_names_no_key(sealed):
    """Empty, cut short, or of another version."""
    assert key_of(sealed) == ""


@pytest.mark.parametrize("name", [b"k\xffk\xfe", b"k\0\0k", b"kek\n"])
def test_an_envelope_that_was_changed_names_no_key(name):
    """There is none of such a name, and no database keeps each."""
    assert key_of(b"\x01\x04" + name + bytes(100)) == ""
