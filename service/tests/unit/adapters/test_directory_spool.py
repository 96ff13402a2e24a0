"""A spool in a folder: what came survives whatever happens to the process."""

from __future__ import annotations

import json
import os
import resource
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service.tests.support import values
from service.tests.support.fakes import CountedRandomness

from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.spool import directory
from keyturn_service.adapters.spool.directory import DirectorySpool, SpoolRefused
from keyturn_service.domain.attempt import SpooledAnswer
from keyturn_service.domain.ids import AttemptId, ConnectionId, WorkspaceId
from keyturn_service.vault.envelope import Envelopes
from keyturn_service.vault.errors import KeyMissing

KEYS = {"kek_one": bytes(range(32))}
ONE = AttemptId("att_one")
ANSWER = values.spooled(
    attempt_id=ONE,
    received_at=datetime(2026, 11, 24, 10, 30, 0, 123456, tzinfo=UTC),
    status=200,
    body=b'{"access_token": "canary-1",\n "refresh_token": "canary-2"}',
    complete=True,
    generation=7,
    token_hash=b"\x00\x01 keyed hash",
    authorized_at=datetime(2026, 11, 23, 8, 0, 0, 654321, tzinfo=UTC),
    presented_again=True,
    login_url=values.LOGIN_URL,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where the spool is to be."""
    return tmp_path / "spool"


@asynccontextmanager
async def spool_in(
    folder: Path, *, seed: str = "one", keys: Mapping[str, bytes] = KEYS
) -> AsyncIterator[DirectorySpool]:
    """Start a process and end it: its spool meanwhile."""
    source = KeyFile(next(iter(keys)), keys, CountedRandomness(f"keys {seed}"))
    envelopes = await Envelopes.for_this_run(source, CountedRandomness(f"envelopes {seed}"))
    spool = DirectorySpool.open(folder, envelopes, CountedRandomness(seed), accepts_loss=True)
    try:
        yield spool
    finally:
        spool.close()


def nothing_came(**known: object) -> SpooledAnswer:
    """Return what a damaged file says: nothing came, to whom it still names."""
    nothing = values.spooled(
        attempt_id=ONE, generation=7, received_at=datetime(1970, 1, 1, tzinfo=UTC)
    )
    return replace(nothing, **known)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no byte be written to a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the machine's table of mounts, to be filled in; without a line it has none."""
    lines: list[str] = []
    read_text = Path.read_text

    def read(path: Path) -> str:
        if path != Path("/proc/self/mountinfo"):
            return read_text(path)
        if not lines:
            raise PermissionError(13, "Permission denied")
        return "".join(f"{line}\n" for line in lines)

    # The operating system is what is watched here.
    # ast-grep-ignore: fakes-not-patches
    monkeypatch.setattr(Path, "read_text", read)
    return lines


def mount(point: Path | str, kind: str) -> str:
    """Return a line of the table of mounts, as the kernel writes it."""
    written = str(point).replace(" ", "\\040")
    return f"36 35 98:0 / {written} rw,noatime master:1 - {kind} /dev/root rw,errors=continue"


async def open_folder(folder: Path, *, accepts_loss: bool = False) -> None:
    """Take a folder and let go of it."""
    source = KeyFile("kek_one", KEYS, CountedRandomness())
    envelopes = await Envelopes.for_this_run(source, CountedRandomness())
    opened = DirectorySpool.open(folder, envelopes, CountedRandomness(), accepts_loss=accepts_loss)
    opened.close()


class TestKeeping:
    """Answers go in sealed and come out as they were."""

    @pytest.mark.parametrize(
        "answer",
        [
            ANSWER,
            replace(ANSWER, complete=False, body=b"half"),
            replace(ANSWER, status=None, body=b"", complete=False),
            replace(ANSWER, status=503, body=bytes(range(256)), generation=0),
        ],
    )
    async def test_an_answer_comes_back_as_it_was(self, folder, answer):
        """Status, bytes and time; at once, and in every later run."""
        async with spool_in(folder) as spool:
            await spool.put(answer)
            assert await spool.get(ONE) == answer

        async with spool_in(folder, seed="two") as spool:
            assert await spool.get(ONE) == answer
            assert await spool.undelivered() == [ONE]

    async def test_nothing_is_kept_for_an_attempt_that_nothing_came_for(self, folder):
        """None says so: the file of another attempt does not count."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)

            assert await spool.get(AttemptId("att_two")) is None

    async def test_the_disk_holds_no_secret(self, folder):
        """Only workspace, connection and generation can be read; others cannot open the file."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)

        path = folder / "undelivered" / ONE
        line, _, sealed = path.read_bytes().partition(b"\n")
        assert json.loads(line) == {
            "workspace_id": ANSWER.workspace_id,
            "connection_id": ANSWER.connection_id,
            "generation": 7,
        }
        assert b"canary" not in sealed
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for part in (folder, *(folder / name for name in ("undelivered", "delivered", "intents"))):
            assert stat.S_IMODE(part.stat().st_mode) == 0o700

    async def test_a_later_answer_takes_the_place_of_an_earlier_one(self, folder):
        """One file an attempt."""
        later = replace(ANSWER, body=b"later")
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            await spool.put(later)

            assert await spool.get(ONE) == later
            assert await spool.undelivered() == [ONE]

    async def test_an_answer_is_on_the_disk_before_it_is_said_to_be_kept(self, folder, monkeypatch):
        """The bytes before the name, and the name before the caller goes on."""
        place = folder / "undelivered" / ONE
        synced = []

        def fsync(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            synced.append(
                (path.relative_to(folder).as_posix(), path.stat().st_size, place.exists())
            )

        async with spool_in(folder) as spool:
            # The operating system is what is watched here.
            # ast-grep-ignore: fakes-not-patches
            monkeypatch.setattr(os, "fsync", fsync)
            await spool.put(ANSWER)

            folder_size = place.parent.stat().st_size
            assert synced == [
                ("att_one.new", place.stat().st_size, False),
                ("undelivered", folder_size, True),
            ]

    async def test_keeping_holds_no_file_open(self, folder):
        """A replica keeps answers for months; a limit of open files would end that."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            held = len(list(Path("/proc/self/fd").iterdir()))
            for _ in range(5):
                await spool.put(ANSWER)
                await spool.get(ONE)
                await spool.delivered(ONE)

            assert len(list(Path("/proc/self/fd").iterdir())) == held

    async def test_a_full_disk_leaves_nothing_half_written(self, folder):
        """The caller is told, and the earlier answer stays."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            with full_disk(), pytest.raises(OSError, match="large"):
                await spool.put(replace(ANSWER, body=b"later"))

            assert await spool.get(ONE) == ANSWER
            assert not list(folder.glob("*.new"))

    async def test_what_a_killed_process_left_half_written_is_cleared_away(self, folder):
        """It was never an answer, and never becomes one."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
        (folder / "att_two.new").write_bytes(b'{"workspace')

        async with spool_in(folder, seed="two") as spool:
            assert not list(folder.glob("*.new"))
            assert await spool.get(AttemptId("att_two")) is None
            assert await spool.get(ONE) == ANSWER


class TestDelivering:
    """What the database knows is told apart from what it may not know."""

    async def test_a_delivered_answer_stays_in_the_journal(self, folder):
        """It can be read, and is not brought again, in this run or a later one."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            await spool.delivered(ONE)
            assert await spool.undelivered() == []

        async with spool_in(folder, seed="two") as spool:
            assert await spool.undelivered() == []
            assert await spool.get(ONE) == ANSWER

    async def test_noting_it_twice_or_for_nothing_does_nothing(self, folder):
        """A crash between two steps repeats the second."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            for attempt_id in (ONE, ONE, AttemptId("att_two")):
                await spool.delivered(attempt_id)

            assert await spool.get(ONE) == ANSWER
            assert await spool.get(AttemptId("att_two")) is None

    async def test_a_disk_that_lets_nothing_be_tidied_up_stops_nobody(self, folder):
        """It turned read-only: what was to go stays, and another run delivers or clears it."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            (folder / "delivered" / ONE).mkdir()
            (folder / "intents" / ONE).mkdir()

            await spool.delivered(ONE)
            await spool.not_sent(ONE)

            assert await spool.undelivered() == []

        async with spool_in(folder, seed="two") as spool:
            assert await spool.undelivered() == [ONE]

    async def test_what_waits_is_named_in_the_order_it_came(self, folder):
        """By the answers' time, whatever the order of writing and the names."""
        ages = {"att_b": 3, "att_c": 1, "att_a": 2}
        async with spool_in(folder) as spool:
            for name, minutes in ages.items():
                came = ANSWER.received_at + timedelta(minutes=minutes)
                await spool.put(replace(ANSWER, attempt_id=AttemptId(name), received_at=came))

            assert await spool.undelivered() == ["att_c", "att_a", "att_b"]

    async def test_a_file_that_goes_away_meanwhile_is_passed_over(self, folder):
        """Another task may deliver or purge it while the folder is read."""
        folder.mkdir()
        for name in ("att_a", "att_b", "att_c"):
            (folder / name).touch()

        files = directory._files(folder, set())
        first, _ = next(files)
        for path in folder.iterdir():
            path.unlink()

        assert first.startswith("att_")
        assert list(files) == []

    async def test_purging_removes_old_answers_that_were_delivered(self, folder):
        """Not one of that very time, and never one that waits."""
        before = ANSWER.received_at
        ages = {"att_old": -1, "att_edge": 0, "att_new": 1, "att_waits": -1}
        async with spool_in(folder) as spool:
            for name, days in ages.items():
                attempt_id = AttemptId(name)
                came = before + timedelta(days=days)
                await spool.put(replace(ANSWER, attempt_id=attempt_id, received_at=came))
                if name != "att_waits":
                    await spool.delivered(attempt_id)

            assert await spool.purge(before) == 1
            assert await spool.purge(before) == 0
            left = [name for name in ages if await spool.get(AttemptId(name)) is not None]
            assert left == ["att_edge", "att_new", "att_waits"]


class TestDamage:
    """A damaged file counts as "nothing came", and is named all the same."""

    @pytest.mark.parametrize(
        ("head", "known"),
        [
            (b"", False),
            (b"null", False),
            (b"[1]", False),
            (b"\xff", False),
            (b"[" * 100_000, False),
            (b'{"workspace_id": "ws_a", "connection_id": "con_1"}', False),
            (b'{"workspace_ie": "a", "connection_id": "b", "generation": 7}', False),
            (b'{"workspace_id": "a", "connection_id": "b", "generation": "7"}', False),
            (b'{"workspace_id": 1, "connection_id": "b", "generation": 7}', False),
            (b'{"workspace_id": "\\ud800", "connection_id": "b", "generation": 7}', False),
            (b'{"workspace_id": "a", "connection_id": "b\\u0000", "generation": 7}', False),
            (b'{"workspace_id": "a", "connection_id": "b", "generation": 2147483648}', False),
            (b'{"workspace_id": "a", "connection_id": "b", "generation": 7}', True),
        ],
    )
    async def test_a_damaged_head_says_that_nothing_came(self, folder, head, known):
        """The envelope is bound to it, so another workspace or generation opens nothing."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            path = folder / "undelivered" / ONE
            path.write_bytes(head + b"\n" + path.read_bytes().partition(b"\n")[2])

            read = await spool.get(ONE)
            waiting = await spool.undelivered()

        names = ("a", "b", 7) if known else ("", "", 0)
        assert read == nothing_came(
            workspace_id=WorkspaceId(names[0]),
            connection_id=ConnectionId(names[1]),
            generation=names[2],
        )
        assert waiting == [ONE]

    async def test_a_file_cut_anywhere_says_that_nothing_came(self, folder):
        """Whatever a crash or a full disk left of it."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            path = folder / "undelivered" / ONE
            whole = path.read_bytes()
            head = whole.index(b"\n")
            for length in (0, 1, head, head + 1, head + 5, len(whole) // 2, len(whole) - 1):
                path.write_bytes(whole[:length])
                read = await spool.get(ONE)
                assert read is not None
                assert (read.status, read.body, read.complete) == (None, b"", False), length

    async def test_an_answer_does_not_open_for_another_attempt(self, folder):
        """A file renamed or copied is damaged."""
        two = AttemptId("att_two")
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            (folder / "undelivered" / two).write_bytes((folder / "undelivered" / ONE).read_bytes())

            assert await spool.get(two) == nothing_came(attempt_id=two)

    @given(content=st.binary())
    async def test_any_bytes_say_that_nothing_came(self, tmp_path_factory, content):
        """Nothing is raised."""
        async with spool_in(tmp_path_factory.mktemp("spool")) as spool:
            (spool._folder / "undelivered" / ONE).write_bytes(content)
            read = await spool.get(ONE)

        assert read is not None
        assert (read.status, read.body, read.complete) == (None, b"", False)

    async def test_a_missing_key_is_not_taken_for_damage(self, folder):
        """The answer is there: once the operator brings the key back, it opens."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)

        async with spool_in(folder, seed="two", keys={"kek_two": b"\1" * 32}) as spool:
            with pytest.raises(KeyMissing, match="kek_one"):
                await spool.get(ONE)


class TestTakingTheFolder:
    """One process at a time, on a disk that lasts."""

    async def test_the_spool_keeps_its_name(self, folder):
        """It stays with the disk; two disks have two."""
        async with spool_in(folder) as spool:
            name = spool.id
        async with spool_in(folder, seed="two") as spool:
            assert spool.id == name
        async with spool_in(folder.with_name("other"), seed="three") as spool:
            assert spool.id != name

        assert name.startswith("spool_")

    async def test_a_second_process_is_refused_until_the_first_lets_go(self, folder):
        """The message says what to do."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            (folder / "att_two.new").write_bytes(b"being written")
            with pytest.raises(SpoolRefused, match=r"another process holds .*KEYTURN_SPOOL_DIR"):
                async with spool_in(folder, seed="two"):
                    pass
            assert (folder / "att_two.new").exists()

        async with spool_in(folder, seed="two") as spool:
            assert await spool.get(ONE) == ANSWER

    async def test_a_folder_that_cannot_be_used_is_said(self, tmp_path):
        """A file in its place, for one."""
        (tmp_path / "file").write_text("")

        with pytest.raises(SpoolRefused, match=r"^cannot use the spool .*/file: .+"):
            async with spool_in(tmp_path / "file"):
                pass

    @pytest.mark.parametrize(
        "content", [b"", b"\n", b"\xff\xfe", b"spool_", b"spool_a b", b"att_1"]
    )
    async def test_a_damaged_name_is_refused_and_not_made_anew(self, folder, content):
        """Attempts would look for it in vain; the message says what to do."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
        whole = (folder / "id").read_bytes()
        (folder / "id").write_bytes(content)

        with pytest.raises(SpoolRefused, match=r"/id is damaged: .*`token.presented`.*spool_id"):
            async with spool_in(folder, seed="two"):
                pass

        assert (folder / "id").read_bytes() == content
        (folder / "id").write_bytes(whole + b"\n")
        async with spool_in(folder, seed="three") as spool:
            assert (spool.id, await spool.get(ONE)) == (whole.decode(), ANSWER)

    async def test_a_start_that_fails_lets_go_of_the_folder(self, folder):
        """Once the reason is mended, the next one takes it."""
        folder.mkdir()
        (folder / "id").mkdir()
        with pytest.raises(SpoolRefused, match=r"^cannot use the spool .*: Is a directory$"):
            async with spool_in(folder):
                pass

        (folder / "id").rmdir()
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)

    @pytest.mark.parametrize("kind", ["tmpfs", "ramfs", "overlay", "overlayfs", "aufs"])
    async def test_a_file_system_that_ends_with_the_container_is_refused(
        self, folder, mounts, kind
    ):
        """Unless the loss is accepted."""
        mounts[:] = [mount("/", kind)]

        with pytest.raises(SpoolRefused, match=f"lies on {kind}, which ends with the container"):
            await open_folder(folder)

        await open_folder(folder, accepts_loss=True)

    @pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "nfs4", "fuse.tmpfs", ""])
    async def test_any_other_file_system_is_taken(self, folder, mounts, kind):
        """One that nobody names too."""
        mounts[:] = [mount("/", kind)]

        await open_folder(folder)

        assert (folder / "id").exists()

    async def test_where_the_machine_does_not_say_the_folder_is_taken(self, folder, mounts):
        """Nothing is refused on a guess."""
        assert mounts == []

        await open_folder(folder)

        assert (folder / "id").exists()

    @pytest.mark.parametrize("turned", [False, True])
    async def test_the_nearest_mount_above_the_folder_counts(self, tmp_path, mounts, turned):
        """A volume in a container; not one beside it, whose name begins alike, nor one below."""
        volume = tmp_path / "my volume"
        table = [
            mount("/", "overlay"),
            mount(tmp_path, "tmpfs"),
            mount(volume, "ext4"),
            mount(tmp_path / "my", "ramfs"),
            mount(volume / "spo", "ramfs"),
            mount(volume / "spool" / "below", "ramfs"),
        ]
        mounts[:] = reversed(table) if turned else table

        await open_folder(volume / "spool")
        with pytest.raises(SpoolRefused, match="lies on tmpfs"):
            await open_folder(tmp_path / "spool")

    @pytest.mark.parametrize(("kinds", "taken"), [("tmpfs ext4", True), ("ext4 tmpfs", False)])
    async def test_of_two_mounts_at_one_place_the_later_one_counts(
        self, folder, mounts, kinds, taken
    ):
        """It hides the earlier one."""
        mounts[:] = [mount(folder.parent, kind) for kind in kinds.split()]

        if taken:
            await open_folder(folder)
        else:
            with pytest.raises(SpoolRefused, match="lies on tmpfs"):
                await open_folder(folder)

    async def test_a_link_is_followed_to_where_the_bytes_go(self, tmp_path, mounts):
        """A folder that lasts, reached by a link, lies where it lies."""
        (tmp_path / "lasting").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "lasting")
        mounts[:] = [mount("/", "tmpfs"), mount(tmp_path / "lasting", "ext4")]

        await open_folder(tmp_path / "link" / "spool")

        assert (tmp_path / "lasting" / "spool" / "id").exists()

    async def test_a_folder_in_memory_is_refused_unless_the_loss_is_accepted(self):
        """A crash of the machine would cost connections; the message names both ways out."""
        source = KeyFile("kek_one", KEYS, CountedRandomness())
        envelopes = await Envelopes.for_this_run(source, CountedRandomness())
        with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
            folder = Path(memory) / "spool"
            told = r"on tmpfs.*KEYTURN_SPOOL_DIR.*KEYTURN_SPOOL_ACCEPTS_LOSS=true"
            with pytest.raises(SpoolRefused, match=told):
                DirectorySpool.open(folder, envelopes, CountedRandomness(), accepts_loss=False)

            DirectorySpool.open(folder, envelopes, CountedRandomness(), accepts_loss=True).close()


class TestKeyNeeds:
    """Which key-encryption keys open what lies there: a key is kept as long as one does."""

    async def test_each_answer_counts_for_the_key_that_opens_it(self, folder):
        """Of this run and of earlier ones, delivered or not; none yet for this run's own."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            await spool.put(replace(ANSWER, attempt_id=AttemptId("att_two")))
            await spool.delivered(ANSWER.attempt_id)
            assert await spool.key_needs() == {"kek_one": 2}
        later = {"kek_new": bytes(32), **KEYS}

        async with spool_in(folder, seed="two", keys=later) as spool:
            assert await spool.key_needs() == {"kek_new": 0, "kek_one": 2}
            await spool.put(replace(ANSWER, attempt_id=AttemptId("att_three")))
            assert await spool.key_needs() == {"kek_new": 1, "kek_one": 2}
            assert await spool.purge(ANSWER.received_at + timedelta(seconds=1)) == 1
            assert await spool.key_needs() == {"kek_new": 1, "kek_one": 1}

    async def test_a_damaged_file_needs_no_key(self, folder):
        """No key opens it."""
        async with spool_in(folder) as spool:
            await spool.put(ANSWER)
            (folder / "undelivered" / ANSWER.attempt_id).write_bytes(b"{}")

            assert await spool.key_needs() == {"kek_one": 0}

    async def test_a_rotation_is_said_before_it_is_taken_up(self, folder, tmp_path):
        """The new key is among the needs while nothing lies under it."""
        source = KeyFile.create(tmp_path / "keyturn.key", CountedRandomness("file"))
        first = source.active_key_id
        envelopes = await Envelopes.for_this_run(source, CountedRandomness("envelopes"))
        spool = DirectorySpool.open(folder, envelopes, CountedRandomness("s"), accepts_loss=True)
        second = source.rotate(now=ANSWER.received_at)

        needs = await spool.key_needs()
        await spool.renew_key(needs)
        await spool.put(ANSWER)

        assert needs == {first: 0, second: 0}
        assert await spool.key_needs() == {second: 1}
        assert await spool.get(ANSWER.attempt_id) == ANSWER
        spool.close()


async def test_the_whole_journal_is_listed_by_the_answers_times(folder: Path) -> None:
    """Newest first, delivered or not, whenever they were written."""
    async with spool_in(folder) as spool:
        for hours in (2, 3, 1):
            at = ANSWER.received_at + timedelta(hours=hours)
            answer = replace(ANSWER, attempt_id=AttemptId(f"att_{hours}"), received_at=at)
            await spool.put(answer)
        await spool.delivered(AttemptId("att_2"))

        assert await spool.newest_first() == ["att_3", "att_2", "att_1"]
