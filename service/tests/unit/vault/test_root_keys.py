"""The rotation of key-encryption keys: what is done, what is counted, what is refused."""

# ruff: noqa: D102 - the ports say what these do

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.fakes import CountedRandomness, FakeClock, RecordingAudit
from service.tests.support.values import START
from service.tests.unit.vault.vault_house import MemoryDataKeys

from keyturn_service.adapters.key_sources.file import KeyFile, KeyFileRefused
from keyturn_service.ports import StoreUnavailable
from keyturn_service.vault.data_keys import DataKeyId
from keyturn_service.vault.key_uri import KeyUri
from keyturn_service.vault.place import Place
from keyturn_service.vault.refusals import Refusals
from keyturn_service.vault.root_keys import (
    BACKUP_AGE,
    KeyUnknown,
    Rewrapped,
    RootKeys,
    RootKeyState,
    SpoolNeed,
    StillNeeded,
)
from keyturn_service.vault.vault import Vault

HELD = KeyUri.read(f"azure-key-vault://acme.vault.azure.net/keys/keyturn/{'0' * 32}")
HERE = Place(workspace_id="ws_a", table="apps", row="app_1", column="consumer_secret")


class LookedThrough(MemoryDataKeys):
    """Data keys with what a rotation needs; may die half-way, or be changed by another."""

    def __init__(self) -> None:
        super().__init__()
        self.dies_after: int | None = None
        self.meanwhile = lambda: None
        self.barred: dict[str, object] = {}
        self.late = 0
        self.at_the_bar = lambda: None

    async def add(self, key):
        self._see_that_it_stands(key.key_id)
        return await super().add(key)

    async def after(self, last, *, but_under, limit):
        del limit  # two at once: several batches
        found = [key for key in self.kept.values() if key.key_id != but_under and key.id > last]
        return sorted(found, key=lambda key: key.id)[:2]

    async def rewrap(self, key, *, key_id, wrapped):
        if self.dies_after is not None:
            if not self.dies_after:
                raise ConnectionError("killed")
            self.dies_after -= 1
        self.meanwhile()
        self._see_that_it_stands(key_id)
        if self.kept[key.id].wrapped != key.wrapped:
            return False
        self.kept[key.id] = replace(key, key_id=key_id, wrapped=wrapped)
        return True

    async def bar(self, key_id, *, at):
        late, self.late = self.late, 0
        if not late:
            self.barred[key_id] = at
        self.at_the_bar()
        return late

    async def allow(self, key_id):
        self.barred.pop(key_id, None)

    def _see_that_it_stands(self, key_id):
        if key_id in self.barred:
            raise StoreUnavailable(f"{key_id} was destroyed")

    async def needs(self):
        ids = [key.key_id for key in self.kept.values()]
        return {key_id: ids.count(key_id) for key_id in ids}

    async def is_away(self, key_id):
        """Stand in for `allow` while the database does not answer."""
        raise StoreUnavailable(key_id)


class Service:
    """`RemoteKeys`: whoever has its leave wraps by any key of it."""

    async def wrap(self, uri, key, *, associated_data):
        return uri.id.encode() + associated_data + key

    async def unwrap(self, uri, wrapped, *, associated_data):
        return wrapped.removeprefix(uri.id.encode() + associated_data)


class Needs:
    """What spools said."""

    def __init__(self) -> None:
        self.said: list[SpoolNeed] = []
        self.heard: set[str] = set()

    async def all(self, *, since):
        self.since = since
        return self.said

    async def say(self, spool_id, needs):
        self.said = [
            SpoolNeed(spool_id=spool_id, key_id=key_id, files=files, seen_at=START)
            for key_id, files in needs.items()
        ]

    async def was_heard(self, spool_id, *, within):
        self.within = within
        return spool_id in self.heard

    async def forget(self, spool_id, *, at):
        self.forgotten_at = at
        before = self.said
        self.said = [need for need in before if need.spool_id != spool_id]
        return len(self.said) < len(before)


class Room:
    """A key file of one key, five data keys under it, and whoever rotates."""

    def __init__(self, path) -> None:
        self.path = path / "keyturn.key"
        self.file = KeyFile.create(self.path, CountedRandomness("file"), remote=Service())
        self.first = self.file.active_key_id
        self.data_keys, self.spools = LookedThrough(), Needs()
        self.clock, self.audit = FakeClock(), RecordingAudit([])
        self.root_keys = RootKeys(
            key_file=self.file,
            data_keys=self.data_keys,
            spools=self.spools,
            audit=self.audit,
            clock=self.clock,
        )

    def vault(self, seed: str) -> Vault:
        """Return the vault of another process."""
        return Vault(
            KeyFile.load(self.path, CountedRandomness(f"{seed} file"), Service()),
            self.data_keys,
            CountedRandomness(seed),
            self.clock,
            Refusals(self.audit, self.clock),
        )

    def by_service(self) -> RootKeys:
        """Return who rotates to the key that a service holds."""

        async def newest():
            return HELD

        return replace(self.root_keys, newest=newest)

    async def sealed(self):
        """Seal a value for each of five workspaces."""
        vault = self.vault("sealing")
        places = [replace(HERE, workspace_id=f"ws_{number}") for number in range(5)]
        return [(place, await vault.seal(b"value", place)) for place in places]

    async def opens(self, sealed, seed: str) -> bool:
        """Tell whether a fresh process opens it all."""
        vault = self.vault(seed)
        return all([await vault.open(value, place) == b"value" for place, value in sealed])

    def types(self) -> list[str]:
        """Return what was recorded."""
        return [event.type for event in self.audit.events]


@pytest.fixture
def room(tmp_path):
    """Return a room."""
    return Room(tmp_path)


async def test_a_rotation_makes_a_new_key_active_and_retires_the_old_one(room):
    """What was sealed before still opens, and the audit names the new key."""
    sealed = await room.sealed()

    second = await room.root_keys.rotate()

    assert second != room.first
    assert room.file.active_key_id == second
    standing = await room.root_keys.standing()
    assert [(need.key.id, need.key.state, need.data_keys) for need in standing.keys] == [
        (second, RootKeyState.ACTIVE, 0),
        (room.first, RootKeyState.RETIRED, 5),
    ]
    assert standing.keys[1].key.retired_at == room.clock.now()
    assert await room.opens(sealed, "after")
    assert [(event.type, event.detail) for event in room.audit.events] == [
        ("root_key.rotated", {"key_id": second})
    ]


async def test_a_staged_key_opens_and_wraps_nothing_until_the_rotation(room):
    """So that every copy of the file has it before anything is under it."""
    staged = await room.root_keys.stage()

    assert await room.root_keys.stage() == staged
    assert room.file.active_key_id == room.first
    assert [need.key.state for need in (await room.root_keys.standing()).keys] == [
        RootKeyState.ACTIVE,
        RootKeyState.STAGED,
    ]
    assert await room.root_keys.rotate() == staged
    assert room.types() == ["root_key.staged", "root_key.staged", "root_key.rotated"]


async def test_a_rotation_takes_the_key_that_a_service_holds(room):
    """Where one is to: its newest version, asked for once, and not where a key is staged."""
    asked = []

    async def newest():
        asked.append(HELD)
        return HELD

    root_keys = replace(room.root_keys, newest=newest)

    assert await root_keys.stage() == HELD.id
    assert await root_keys.stage() == HELD.id
    assert await root_keys.rotate() == HELD.id

    assert asked == [HELD]
    [active, _] = (await root_keys.standing()).keys
    assert (active.key.uri, active.key.state) == (HELD, RootKeyState.ACTIVE)


async def test_every_data_key_is_put_under_the_active_key(room):
    """In batches, told as it goes; then nothing needs the old key, and all opens."""
    sealed = await room.sealed()
    second = await room.root_keys.rotate()
    told = []

    done = await room.root_keys.rewrap(lambda *counts: told.append(counts))

    assert done == Rewrapped(key_id=second, rewrapped=5, refused=[])
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert await room.data_keys.needs() == {second: 5}
    assert await room.opens(sealed, "after")
    assert room.audit.events[-1].detail == {"key_id": second, "count": 5, "refused": 0}


async def test_killed_half_way_it_goes_on_where_it_stopped(room):
    """Between the two runs all opens; the second does only what is left; a third does nothing."""
    sealed = await room.sealed()
    second = await room.root_keys.rotate()
    room.data_keys.dies_after = 3

    with pytest.raises(ConnectionError):
        await room.root_keys.rewrap()

    assert await room.data_keys.needs() == {second: 3, room.first: 2}
    assert await room.opens(sealed, "between")
    room.data_keys.dies_after = None
    assert (await room.root_keys.rewrap()).rewrapped == 2
    assert await room.opens(sealed, "after")
    assert (await room.root_keys.rewrap()).rewrapped == 0


async def test_two_runs_do_not_harm_each_other(room):
    """What the other run has put under the key meanwhile is left as it is."""
    sealed = await room.sealed()
    await room.root_keys.rotate()
    [*ids] = sorted(room.data_keys.kept)
    other = await room.file.wrap(b"k" * 32, associated_data=b"whatever")

    def another_was_first() -> None:
        room.data_keys.meanwhile = lambda: None
        kept = room.data_keys.kept[ids[0]]
        changed[ids[0]] = kept
        room.data_keys.kept[ids[0]] = replace(kept, wrapped=other)

    changed = {}
    room.data_keys.meanwhile = another_was_first

    assert (await room.root_keys.rewrap()).rewrapped == 4
    assert room.data_keys.kept[ids[0]].wrapped == other
    room.data_keys.kept.update(changed)
    assert await room.opens(sealed, "after")


async def test_a_rotation_in_the_middle_is_left_to_the_next_run(room):
    """No data key is noted under another key than the one that wraps it."""
    sealed = await room.sealed()
    await room.root_keys.rotate()

    def rotated_again() -> None:
        room.data_keys.meanwhile = lambda: None
        KeyFile.load(room.path, CountedRandomness("third")).rotate(now=room.clock.now())

    room.data_keys.meanwhile = rotated_again

    assert (await room.root_keys.rewrap()).rewrapped == 1
    assert await room.opens(sealed, "between")
    assert (await room.root_keys.rewrap()).rewrapped == 5
    assert await room.data_keys.needs() == {room.file.active_key_id: 5}


async def test_a_data_key_that_does_not_open_stays_as_it_is(room):
    """The others are put under the new key; the old one is needed by it."""
    await room.sealed()
    await room.root_keys.rotate()
    [first, second, *_] = sorted(room.data_keys.kept)
    changed = replace(room.data_keys.kept[first], wrapped=bytes(60))
    orphan = replace(room.data_keys.kept[second], key_id="kek_of_nobody")
    room.data_keys.kept.update({first: changed, second: orphan})

    done = await room.root_keys.rewrap()

    assert (done.rewrapped, done.refused) == (3, [DataKeyId(first), DataKeyId(second)])
    assert room.data_keys.kept[first] == changed
    standing = await room.root_keys.standing()
    assert standing.unknown_keys == {"kek_of_nobody": 1}
    assert standing.keys[1].key.unneeded_since is None


async def test_the_root_of_the_hashes_is_put_under_the_new_key_too(room):
    """It is a data key of no workspace, and hashes stay as they are."""
    from keyturn_service.vault.hashes import keyed_hashes

    before = await keyed_hashes(room.file, room.data_keys, CountedRandomness("h"), room.clock)
    await room.root_keys.rotate()
    await room.root_keys.rewrap()

    after = await keyed_hashes(room.file, room.data_keys, CountedRandomness("i"), room.clock)

    assert before("api_key", "kt_live") == after("api_key", "kt_live")
    assert await room.data_keys.needs() == {room.file.active_key_id: 1}


async def refusal(room, key_id, **how) -> str:
    """Try to destroy a key; return why it was refused."""
    before = room.path.read_bytes()
    with pytest.raises((KeyUnknown, StillNeeded)) as refused:
        await room.root_keys.destroy(key_id, **how)
    assert room.path.read_bytes() == before
    assert "root_key.destroyed" not in room.types()
    return str(refused.value)


async def test_a_key_that_is_needed_is_not_destroyed(room):
    """Each reason says who mends it how."""
    await room.sealed()
    assert "is the active key" in await refusal(room, room.first)
    assert "has no key kek_unknown" in await refusal(room, "kek_unknown")
    await room.root_keys.rotate()
    assert "5 data keys need it; run `keyturn keys rewrap`" in await refusal(
        room, room.first, backups_are_gone=True
    )


async def test_a_key_that_data_keys_are_put_under_meanwhile_is_not_destroyed(room):
    """Counted once more in the moment from which on none is."""
    await room.root_keys.rotate()
    await room.root_keys.rewrap()
    room.data_keys.late = 2

    said = await refusal(room, room.first, backups_are_gone=True)

    assert said.startswith(f"{room.first} is not destroyed: 2 data keys were put under it")
    assert not room.data_keys.barred
    await room.root_keys.destroy(room.first, backups_are_gone=True)
    assert room.data_keys.barred == {room.first: room.clock.now()}


async def test_a_key_that_a_stopped_replicas_spool_needs_is_not_destroyed(room):
    """It said so while it ran. Nor one that a spool may need which never said anything."""
    await room.root_keys.rotate()
    await room.root_keys.rewrap()
    await room.spools.say("spool_stopped", {room.first: 3})
    room.spools.said.append(SpoolNeed(spool_id="spool_silent", key_id=None, files=0, seen_at=None))

    said = await refusal(room, room.first, backups_are_gone=True)

    assert "spool spool_stopped needs it for 3 answers" in said
    assert "spool spool_silent never said what it needs" in said
    need = (await room.root_keys.standing()).keys[1]
    assert (need.files, len(need.spools)) == (3, 1)
    assert await room.root_keys.forget_spool("spool_stopped")
    assert not await room.root_keys.forget_spool("spool_unknown")
    assert room.types().count("spool.declared_lost") == 1
    assert "spool_silent" in await refusal(room, room.first, backups_are_gone=True)
    assert await room.root_keys.forget_spool("spool_silent")
    await room.root_keys.destroy(room.first, backups_are_gone=True)


async def test_a_key_is_kept_as_long_as_backups_need_it(room):
    """From when it was found unneeded, not from the rotation; found again does not begin anew."""
    await room.sealed()
    await room.root_keys.rotate()
    assert "5 data keys" in await refusal(room, room.first)
    room.clock.advance(days=100)
    await room.root_keys.rewrap()
    freed = room.clock.now()

    room.clock.advance(days=34)
    await room.root_keys.rewrap()
    assert f"until {freed + BACKUP_AGE:%Y-%m-%d}" in await refusal(room, room.first)
    assert (await room.root_keys.standing()).keys[1].destroyable_at == freed + BACKUP_AGE

    room.clock.advance(days=1)
    await room.root_keys.destroy(room.first)

    assert [need.key.state for need in (await room.root_keys.standing()).keys] == [
        RootKeyState.ACTIVE
    ]
    assert room.types()[-1] == "root_key.destroyed"


async def test_a_key_that_no_run_found_unneeded_is_kept(room):
    """Backups of this hour may need it."""
    await room.root_keys.rotate()

    assert "no run of `keyturn keys rewrap`" in await refusal(room, room.first)


async def test_a_key_that_is_needed_again_is_not_unneeded(room):
    """A replica that had not seen the rotation wrapped under it after all."""
    sealed = await room.sealed()
    await room.root_keys.rotate()
    kept = dict(room.data_keys.kept)
    await room.root_keys.rewrap()
    [late, *_] = kept
    room.data_keys.kept[late] = replace(kept[late], wrapped=bytes(60))

    await room.root_keys.rewrap()

    assert (await room.root_keys.standing()).keys[1].key.unneeded_since is None
    assert len(sealed) == 5


async def test_a_staged_key_can_be_given_up(room):
    """Nothing was ever wrapped under it."""
    staged = await room.root_keys.stage()

    await room.root_keys.destroy(staged)

    assert [need.key.id for need in (await room.root_keys.standing()).keys] == [room.first]
    assert await room.root_keys.rotate() != staged


async def wraps(room):
    """See that a replica makes a data key under the active key, and that a run re-wraps all."""
    number = len(room.data_keys.kept)
    await room.vault(f"now {number}").seal(b"value", replace(HERE, workspace_id=f"ws_{number}"))
    await room.root_keys.rewrap()
    assert {key.key_id for key in room.data_keys.kept.values()} == {room.file.active_key_id}


async def test_a_key_that_a_service_holds_comes_back_after_it_was_given_up(room):
    """Its id comes from its URI, and is the same again."""
    moving = room.by_service()
    assert await moving.stage() == HELD.id
    await moving.destroy(HELD.id)

    assert await moving.rotate() == HELD.id

    await wraps(room)


@pytest.mark.parametrize("staged", [False, True])
async def test_a_key_that_a_service_holds_comes_back_after_it_was_destroyed(room, staged):
    """Moved to the service, away, and to it once more, by a copy that was staged or at once."""
    moving = room.by_service()
    await moving.rotate()
    await wraps(room)
    await room.root_keys.rotate()
    await room.root_keys.rewrap()
    await moving.destroy(HELD.id, backups_are_gone=True)
    assert set(room.data_keys.barred) == {HELD.id}

    if staged:
        await moving.stage()
        assert not room.data_keys.barred
    assert await moving.rotate() == HELD.id

    await wraps(room)


async def test_a_staged_key_that_was_in_use_before_is_not_given_up_while_it_is_needed(room):
    """One that a service holds may have been the active one."""
    moving = room.by_service()
    await moving.rotate()
    await wraps(room)
    await room.root_keys.rotate()
    await room.spools.say("spool_stopped", {HELD.id: 3})
    await moving.stage()

    said = await refusal(room, HELD.id, backups_are_gone=True)

    assert "1 data keys need it" in said
    assert "spool spool_stopped needs it for 3 answers" in said


async def test_a_rotation_that_was_killed_on_the_way_to_a_destroyed_key_is_gone_on_with(room):
    """While the database does not answer, the key becomes staged and not active."""
    moving = room.by_service()
    await moving.stage()
    await moving.destroy(HELD.id)
    allow, room.data_keys.allow = room.data_keys.allow, room.data_keys.is_away

    with pytest.raises(StoreUnavailable):
        await moving.rotate()
    assert room.file.active_key_id == room.first

    room.data_keys.allow = allow
    assert await moving.rotate() == HELD.id
    await wraps(room)


async def test_a_run_frees_the_active_key_of_a_service_from_an_old_destruction(room):
    """As an earlier release, or a key file that was made again, leaves it."""
    await room.by_service().rotate()
    room.data_keys.barred[HELD.id] = START

    await room.root_keys.rewrap()

    await wraps(room)


async def test_a_key_of_the_files_own_stays_destroyed(room):
    """It is never made again: nothing that slept meanwhile may put a data key under it."""
    await room.root_keys.rotate()
    await room.root_keys.rewrap()
    await room.root_keys.destroy(room.first, backups_are_gone=True)

    await room.root_keys.stage()
    await room.root_keys.rotate()
    await room.root_keys.rewrap()

    assert set(room.data_keys.barred) == {room.first}


@pytest.mark.parametrize("held", [False, True])
async def test_of_a_destruction_and_a_rotation_at_once_the_rotation_counts(room, held):
    """A staged key that became the active one meanwhile is kept, and wraps."""
    root_keys = room.by_service() if held else room.root_keys
    staged = await root_keys.stage()
    room.data_keys.at_the_bar = lambda: room.file.rotate(now=room.clock.now())

    with pytest.raises(KeyFileRefused, match="is the active key"):
        await root_keys.destroy(staged)

    assert room.file.active_key_id == staged
    await wraps(room)


async def test_a_destruction_that_cannot_write_the_key_file_is_said_again(room):
    """The key is on its way out: nothing more is put under it."""
    await room.root_keys.rotate()
    await room.root_keys.rewrap()
    room.data_keys.at_the_bar = lambda: room.path.chmod(0o644)

    with pytest.raises(KeyFileRefused, match="others can read"):
        await room.root_keys.destroy(room.first, backups_are_gone=True)

    assert set(room.data_keys.barred) == {room.first}
    room.path.chmod(0o600)
    room.data_keys.at_the_bar = lambda: None
    await room.root_keys.destroy(room.first, backups_are_gone=True)


async def test_a_running_vault_takes_a_rotation_up(tmp_path):
    """It seals under the new key, and opens what another replica wrapped under it."""
    room = Room(tmp_path)
    running = room.vault("running")
    old = await running.seal(b"value", HERE)

    second = await room.root_keys.rotate()
    elsewhere = replace(HERE, workspace_id="ws_b")
    sealed = await room.vault("another").seal(b"theirs", elsewhere)

    assert await running.open(sealed, elsewhere) == b"theirs"
    await running.seal(b"value", replace(HERE, workspace_id="ws_c"))
    assert [key.key_id for key in room.data_keys.kept.values()] == [room.first, second, second]
    assert await running.open(old, HERE) == b"value"
    await room.root_keys.rewrap()
    assert await room.vault("fresh").open(old, HERE) == b"value"


def test_the_backup_age_is_the_journals():
    """A backup that is older is not restored: design.md 5.9."""
    assert timedelta(days=35) == BACKUP_AGE
