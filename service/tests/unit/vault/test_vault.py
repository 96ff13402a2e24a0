"""Seal values for their places, and open them there and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from inspect import signature

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from service.tests.support.fakes import CountedRandomness
from service.tests.unit.vault.vault_house import (
    OLD_KEY,
    House,
    forgetful_source,
    old_source,
    rotated_source,
)

from keyturn_service.domain.ids import new_id
from keyturn_service.vault.data_keys import made_data_key
from keyturn_service.vault.errors import CannotOpen, KeyMissing, KeySourceUnavailable
from keyturn_service.vault.place import Place
from keyturn_service.vault.vault import (
    BYTES_PER_KEY,
    KEY_LIFE,
    SEALS_PER_KEY,
    Vault,
    data_key_of,
    head_of,
)

HERE = Place(
    workspace_id="ws_a", table="token_sets", row="con_1", column="refresh_token", generation=3
)
ELSEWHERE = [
    replace(HERE, workspace_id="ws_b"),
    replace(HERE, table="apps"),
    replace(HERE, row="con_2"),
    replace(HERE, column="access_token"),
    replace(HERE, generation=2),
    replace(HERE, generation=4),
]
MOVED = r"^not sealed for this place, or changed$"
NO_SEAL = r"^not a sealed value$"
NOT_KEPT = r"^its data key is not kept here$"


@pytest.fixture
def house() -> House:
    """Return a store, and vaults over it."""
    return House()


def key_of(sealed: bytes) -> str:
    """Return the id of the data key that a sealed value names."""
    return sealed[2 : 2 + sealed[1]].decode()


@given(value=st.binary())
async def test_what_was_sealed_opens_at_its_place(value):
    """Any bytes, none included, come back; and at once, with the key in memory."""
    vault = House().vault()

    sealed = await vault.seal(value, HERE)

    assert await vault.open(sealed, HERE) == value
    assert vault.open_now(sealed, HERE) == value


async def test_a_sealed_value_has_the_documented_shape(house):
    """Version, id of the data key with its length, nonce, and AES-256-GCM bound to the place."""
    vault = house.vault()
    drawn = CountedRandomness("one")
    data_key_id = new_id("dk", drawn.token_bytes(18))
    secret, nonce = drawn.token_bytes(32), drawn.token_bytes(12)

    sealed = await vault.seal(b"5Aep861", HERE)

    assert sealed == (
        bytes([1, len(data_key_id)])
        + data_key_id.encode()
        + nonce
        + AESGCM(secret).encrypt(nonce, b"5Aep861", HERE.associated_data)
    )


async def test_the_data_key_is_kept_wrapped_for_its_workspace(house):
    """Under the key source's active key, bound to id and workspace; its bytes are not kept."""
    drawn = CountedRandomness("one")
    data_key_id = new_id("dk", drawn.token_bytes(18))
    secret = drawn.token_bytes(32)

    await house.vault().seal(b"value", HERE)

    (kept,) = house.data_keys.kept.values()
    assert (kept.id, kept.workspace_id, kept.key_id) == (data_key_id, "ws_a", "kek_old")
    assert kept.created_at == house.clock.now()
    bound = f"keyturn-data-key-1\0{data_key_id}\0ws_a".encode()
    assert AESGCM(OLD_KEY).decrypt(kept.wrapped[:12], kept.wrapped[12:], bound) == secret
    assert secret not in kept.wrapped


async def test_two_seals_of_one_value_share_nothing_but_the_key(house):
    """Each has a nonce of its own."""
    vault = house.vault()

    one, other = await vault.seal(b"value", HERE), await vault.seal(b"value", HERE)

    head = 2 + one[1]
    assert one[:head] == other[:head]
    assert one[head : head + 12] != other[head : head + 12]
    assert one[head + 12 :] != other[head + 12 :]


@pytest.mark.parametrize("place", ELSEWHERE)
async def test_a_moved_value_does_not_open(house, place):
    """Not in another workspace, table, row, column or generation, earlier or later."""
    vault = house.vault()
    sealed = await vault.seal(b"value", HERE)

    with pytest.raises(CannotOpen, match=MOVED):
        await vault.open(sealed, place)
    assert vault.open_now(sealed, place) is None


@pytest.mark.parametrize("bit", [0x01, 0x80])
async def test_a_changed_byte_does_not_open(house, bit):
    """Wherever it is: version, length, id, nonce, ciphertext or tag."""
    vault = house.vault()
    sealed = await vault.seal(b"value", HERE)

    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= bit
        with pytest.raises(CannotOpen):
            await vault.open(bytes(changed), HERE)


async def test_a_value_cut_short_is_no_sealed_value(house):
    """At any length below head, nonce and tag; a cut or longer ciphertext was changed."""
    vault = house.vault()
    sealed = await vault.seal(b"value", HERE)
    least = len(sealed) - len(b"value")

    for length in range(least):
        with pytest.raises(CannotOpen, match=NO_SEAL):
            await vault.open(sealed[:length], HERE)
        assert vault.open_now(sealed[:length], HERE) is None
    for wrong in (sealed[:least], sealed[:-1], sealed + b"\0"):
        with pytest.raises(CannotOpen, match=MOVED):
            await vault.open(wrong, HERE)


@pytest.mark.parametrize("planted", ["a text of more than forty characters, too", 7])
async def test_what_is_not_bytes_is_no_sealed_value(house, planted):
    """SQLite keeps it in a column of bytes, if somebody writes it there."""
    vault = house.vault()

    with pytest.raises(CannotOpen, match=NO_SEAL):
        await vault.open(planted, HERE)
    assert vault.open_now(planted, HERE) is None
    assert len(house.audit.events) == 1


async def test_another_version_is_no_sealed_value(house):
    """A later format is not read as this one."""
    vault = house.vault()
    sealed = await vault.seal(b"value", HERE)

    for version in (0, 2, 255):
        with pytest.raises(CannotOpen, match=NO_SEAL):
            await vault.open(bytes([version]) + sealed[1:], HERE)


@given(sealed=st.binary(max_size=80) | st.builds(bytes.__add__, st.just(b"\1\3"), st.binary()))
async def test_any_bytes_do_not_open(sealed):
    """And nothing but the documented error is raised."""
    vault = House().vault()

    with pytest.raises(CannotOpen, match=f"{NO_SEAL}|{NOT_KEPT}"):
        await vault.open(sealed, HERE)


async def test_an_id_with_bytes_between_names_another_key(house):
    """What is not ASCII in an id is not overlooked."""
    vault = house.vault()
    sealed = await vault.seal(b"value", HERE)

    odd = bytes([1, sealed[1] + 1]) + sealed[2:5] + b"\xff" + sealed[5:]

    with pytest.raises(CannotOpen, match=NOT_KEPT):
        await vault.open(odd, HERE)
    assert vault.open_now(odd, HERE) is None


async def test_without_its_data_key_a_value_does_not_open(house):
    """As after a restore that left the keys behind."""
    sealed = await house.vault().seal(b"value", HERE)
    house.data_keys.kept.clear()

    with pytest.raises(CannotOpen, match=NOT_KEPT):
        await house.vault(seed="two").open(sealed, HERE)


async def test_a_data_key_moved_to_another_workspace_does_not_unwrap(house):
    """Nor one that took another's name: who writes to the store gains nothing."""
    sealed = await house.vault().seal(b"value", HERE)
    kept = house.newest("ws_a")

    for moved in (replace(kept, workspace_id="ws_b"), replace(kept, wrapped=kept.wrapped[::-1])):
        house.data_keys.kept[kept.id] = moved
        with pytest.raises(CannotOpen):
            await house.vault(seed="two").open(sealed, HERE)


async def test_workspaces_do_not_share_a_data_key(house):
    """Each has its own, made at its first seal."""
    vault = house.vault()

    one = await vault.seal(b"value", HERE)
    other = await vault.seal(b"value", ELSEWHERE[0])

    assert key_of(one) != key_of(other)
    assert house.newest("ws_a").id == key_of(one)
    assert house.newest("ws_b").id == key_of(other)


class TestKeysInMemory:
    """What is asked of store and key source, and what is not."""

    async def test_one_process_asks_once(self, house):
        """Sealing and opening go on while key source and store are away."""
        source = old_source()
        vault = house.vault(source)
        first = await vault.seal(b"1", HERE)
        asked = list(house.data_keys.reads)
        source.away = True

        second = await vault.seal(b"2", HERE)

        assert [await vault.open(first, HERE), await vault.open(second, HERE)] == [b"1", b"2"]
        assert house.data_keys.reads == asked == ["ws_a"]
        assert (source.wrapped, source.unwrapped) == (["kek_old"], [])

    async def test_another_process_unwraps_a_key_once(self, house):
        """For opening and sealing together."""
        sealed = await house.vault().seal(b"value", HERE)
        source = old_source("two")
        vault = house.vault(source, seed="two")

        assert vault.open_now(sealed, HERE) is None
        assert [await vault.open(sealed, HERE) for _ in range(2)] == [b"value"] * 2
        assert vault.open_now(sealed, HERE) == b"value"
        assert key_of(await vault.seal(b"more", HERE)) == key_of(sealed)
        assert (source.unwrapped, source.wrapped) == (["kek_old"], [])
        assert house.data_keys.reads == ["ws_a", key_of(sealed), "ws_a"]

    async def test_a_key_taken_for_sealing_opens_at_once(self, house):
        """The other way round: no second unwrapping."""
        sealed = await house.vault().seal(b"value", HERE)
        source = old_source("two")
        vault = house.vault(source, seed="two")

        await vault.seal(b"more", HERE)

        assert vault.open_now(sealed, HERE) == b"value"
        assert source.unwrapped == ["kek_old"]

    async def test_two_vaults_over_one_store_share_keys(self, house):
        """What one seals the other opens, under one data key."""
        one, two = house.vault(), house.vault(seed="two")

        by_one = await one.seal(b"from one", HERE)
        by_two = await two.seal(b"from two", HERE)

        assert key_of(by_one) == key_of(by_two)
        assert len(house.data_keys.kept) == 1
        assert await two.open(by_one, HERE) == b"from one"
        assert await one.open(by_two, HERE) == b"from two"

    async def test_without_the_key_source_nothing_new_is_sealed_or_opened(self, house):
        """It says so, keeps no key that nobody could open, and mends by itself."""
        sealed = await house.vault().seal(b"value", HERE)
        source = old_source("two")
        vault = house.vault(source, seed="two")
        source.away = True

        for place in (HERE, ELSEWHERE[0]):
            with pytest.raises(KeySourceUnavailable):
                await vault.seal(b"value", place)
        with pytest.raises(KeySourceUnavailable):
            await vault.open(sealed, HERE)
        assert len(house.data_keys.kept) == 1

        source.away = False
        assert await vault.open(sealed, HERE) == b"value"
        assert await vault.open(await vault.seal(b"x", ELSEWHERE[0]), ELSEWHERE[0]) == b"x"


class TestRotation:
    """Key-encryption keys come and go."""

    async def test_a_retired_key_still_opens(self, house):
        """And its data key goes on sealing until it is worn."""
        sealed = await house.vault().seal(b"value", HERE)
        vault = house.vault(rotated_source(), seed="two")

        assert await vault.open(sealed, HERE) == b"value"
        assert key_of(await vault.seal(b"more", HERE)) == key_of(sealed)

    async def test_a_new_data_key_is_wrapped_under_the_new_key(self, house):
        """The old ones stay as they were."""
        await house.vault().seal(b"value", HERE)
        house.clock.advance(days=90)

        await house.vault(rotated_source(), seed="two").seal(b"more", HERE)

        assert [key.key_id for key in house.data_keys.kept.values()] == ["kek_old", "kek_new"]

    async def test_a_lost_key_is_named(self, house):
        """The operator has to bring it back; no other data key is made in its stead."""
        sealed = await house.vault().seal(b"value", HERE)
        vault = house.vault(forgetful_source(), seed="two")

        with pytest.raises(KeyMissing, match="kek_old"):
            await vault.open(sealed, HERE)
        with pytest.raises(KeyMissing, match="kek_old"):
            await vault.seal(b"more", HERE)
        assert len(house.data_keys.kept) == 1


class TestRenewal:
    """A data key is renewed after so many seals, and after so long."""

    def test_the_limits(self):
        """256 processes at 2^24 seals stay inside the 2^32 random nonces of one key."""
        assert SEALS_PER_KEY == 16_777_216
        assert signature(Vault).parameters["seals_per_key"].default == SEALS_PER_KEY
        assert timedelta(days=90) == KEY_LIFE

    async def test_after_so_many_seals(self, house):
        """The next one is under a new key; all of them open."""
        vault = house.vault(seals_per_key=3)
        sealed = []

        for _ in range(7):
            sealed.append(await vault.seal(b"value", HERE))
            house.clock.advance(seconds=1)

        keys = [key_of(value) for value in sealed]
        assert [keys.count(key) for key in dict.fromkeys(keys)] == [3, 3, 1]
        assert list(house.data_keys.kept) == list(dict.fromkeys(keys))
        assert [await vault.open(value, HERE) for value in sealed] == [b"value"] * 7

    async def test_a_worn_key_stays_worn_whatever_the_store_calls_newest(self, house):
        """Keys of the same moment have no order; none is counted from nothing again."""
        vault = house.vault(seals_per_key=3)

        sealed = [await vault.seal(b"value", HERE) for _ in range(12)]

        keys = [key_of(value) for value in sealed]
        assert [keys.count(key) for key in dict.fromkeys(keys)] == [3, 3, 3, 3]

    async def test_a_workspace_counts_its_own_seals(self, house):
        """Another's do not wear its key."""
        vault = house.vault(seals_per_key=2)

        for _ in range(2):
            await vault.seal(b"value", HERE)
            await vault.seal(b"value", ELSEWHERE[0])

        assert len(house.data_keys.kept) == 2

    async def test_a_worn_key_gives_way_to_the_newest_of_another_process(self, house):
        """Replicas renew together: one makes a key, the others take it."""
        one, two = house.vault(seals_per_key=2), house.vault(seed="two", seals_per_key=2)
        await two.seal(b"value", HERE)
        await one.seal(b"value", HERE)
        await one.seal(b"value", HERE)
        house.clock.advance(seconds=1)
        renewed = await one.seal(b"value", HERE)
        await two.seal(b"value", HERE)

        assert key_of(await two.seal(b"value", HERE)) == key_of(renewed)
        assert len(house.data_keys.kept) == 2

    async def test_after_90_days(self, house):
        """Counted from when it was made, to the second; the old one still opens."""
        vault = house.vault()
        first = await vault.seal(b"value", HERE)
        house.clock.advance(days=90, seconds=-1)
        last = await vault.seal(b"value", HERE)
        house.clock.advance(seconds=1)

        renewed = await vault.seal(b"value", HERE)
        after = await vault.seal(b"value", HERE)

        assert key_of(first) == key_of(last) != key_of(renewed) == key_of(after)
        assert house.newest("ws_a").created_at == house.clock.now()
        assert await vault.open(first, HERE) == b"value"

    async def test_another_process_does_not_take_an_old_key(self, house):
        """The age is that of the key, not of the process; a day younger it takes it."""
        first = await house.vault().seal(b"value", HERE)
        house.clock.advance(days=89)
        young = await house.vault(seed="two").seal(b"value", HERE)
        house.clock.advance(days=1)
        old = await house.vault(seed="three").seal(b"value", HERE)

        assert key_of(young) == key_of(first)
        assert key_of(old) != key_of(first)
        assert len(house.data_keys.kept) == 2

    async def test_a_key_that_was_taken_ages_from_when_it_was_made(self, house):
        """Not from when this process took it."""
        first = await house.vault().seal(b"value", HERE)
        house.clock.advance(days=60)
        vault = house.vault(seed="two")
        taken = await vault.seal(b"value", HERE)
        house.clock.advance(days=30)

        assert key_of(taken) == key_of(first)
        assert key_of(await vault.seal(b"value", HERE)) != key_of(first)


async def test_another_replica_takes_over_each_workspace_s_own_key(house):
    """Not the one that it met first."""
    there = replace(HERE, workspace_id="ws_b")
    first = house.vault()
    ours, theirs = await first.seal(b"ours", HERE), await first.seal(b"theirs", there)

    other = house.vault(old_source(), seed="two")

    assert key_of(await other.seal(b"ours", HERE)) == key_of(ours)
    assert key_of(await other.seal(b"theirs", there)) == key_of(theirs)


class TestDataKeyRotation:
    """Data keys are retired by others, and what they sealed is sealed anew."""

    async def test_a_rotation_by_others_is_seen_within_a_second(self, house):
        """Looked for once a second, and only where something is sealed."""
        vault = house.vault()
        first = await vault.seal(b"value", HERE)
        made, _ = await made_data_key("ws_a", old_source(), CountedRandomness("x"), house.clock)
        await house.data_keys.add(made)
        await house.data_keys.retire_others(made, at=house.clock.now())
        asked = len(house.data_keys.reads)

        house.clock.advance(seconds=0.9)
        still = await vault.seal(b"value", HERE)
        house.clock.advance(seconds=0.1)
        renewed = [await vault.seal(b"value", HERE) for _ in range(2)]

        assert key_of(first) == key_of(still) != made.id
        assert [key_of(value) for value in renewed] == [made.id] * 2
        assert len(house.data_keys.reads) == asked + 1
        assert await vault.open(first, HERE) == b"value"

    async def test_where_all_are_retired_a_new_one_is_made(self, house):
        """Whatever the one that retired them did, or did not come to."""
        vault = house.vault()
        first = await vault.seal(b"value", HERE)
        kept = house.newest("ws_a")
        house.data_keys.kept[kept.id] = replace(kept, retired_at=house.clock.now())
        house.clock.advance(seconds=1)

        assert key_of(await vault.seal(b"value", HERE)) != key_of(first)

    async def test_while_the_key_source_is_away_the_open_key_goes_on(self, house):
        """It is asked again a second later; a worn key does not go on."""
        vault = house.vault(source := old_source(), seals_per_key=3)
        first = await vault.seal(b"value", HERE)
        made, _ = await made_data_key("ws_a", old_source(), CountedRandomness("x"), house.clock)
        await house.data_keys.add(replace(made, created_at=made.created_at + timedelta(hours=1)))
        source.away = True
        house.clock.advance(seconds=1)

        still = [await vault.seal(b"value", HERE) for _ in range(2)]
        with pytest.raises(KeySourceUnavailable):
            await vault.seal(b"value", HERE)
        source.away = False

        assert {key_of(value) for value in still} == {key_of(first)}
        assert key_of(await vault.seal(b"value", HERE)) == made.id

    async def test_after_so_many_bytes(self, house):
        """However few values they were."""
        assert signature(Vault).parameters["bytes_per_key"].default == BYTES_PER_KEY == 2**36
        vault = house.vault(bytes_per_key=10)

        sealed = [await vault.seal(b"12345", HERE) for _ in range(5)]

        keys = [key_of(value) for value in sealed]
        assert [keys.count(key) for key in dict.fromkeys(keys)] == [2, 2, 1]

    async def test_a_value_is_sealed_anew_for_its_place(self, house):
        """Under the newest key, with a nonce of its own."""
        sealed = await house.vault().seal(b"value", HERE)
        house.clock.advance(days=90)
        vault = house.vault(seed="two")

        anew = await vault.seal_anew(sealed, HERE)
        again = await vault.seal_anew(anew, HERE)

        assert key_of(anew) == key_of(again) == house.newest("ws_a").id != key_of(sealed)
        assert anew != again
        assert await vault.open(again, HERE) == b"value"
        with pytest.raises(CannotOpen):
            await vault.seal_anew(sealed, ELSEWHERE[0])

    async def test_a_sealed_value_names_its_key_at_its_beginning(self, house):
        """So that it is found by what it begins with."""
        sealed = await house.vault().seal(b"value", HERE)

        assert data_key_of(sealed) == house.newest("ws_a").id
        assert sealed.startswith(head_of(data_key_of(sealed)))
        with pytest.raises(CannotOpen, match=NO_SEAL):
            data_key_of(sealed[:8])
