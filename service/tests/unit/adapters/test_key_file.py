"""A key source in a file: made once, read strictly, never half-written."""

from __future__ import annotations

import json
import os
import resource
import stat
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service.tests.support.fakes import CountedRandomness
from service.tests.support.values import START

from keyturn_service.adapters.key_sources.file import KeyFile, KeyFileRefused
from keyturn_service.vault.errors import CannotOpen, KeyMissing
from keyturn_service.vault.key_uri import KeyUri

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
REMOTE = KeyUri.read(f"azure-key-vault://acme.vault.azure.net/keys/keyturn/{'0' * 32}")
BOUND = b"keyturn-data-key-1\0dk_1\0ws_a"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the key file is to be."""
    return tmp_path / "keyturn.key"


def encoded(key: bytes) -> str:
    """Return a key as a key file writes it."""
    return b64encode(key).decode()


def write(path: Path, text: str | bytes, mode: int = 0o600) -> None:
    """Put a file there."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)


def two_keys(active: str = "kek_new") -> str:
    """Write a key file after one rotation."""
    keys = {"kek_old": encoded(OLD), "kek_new": encoded(NEW)}
    return json.dumps({"format": 1, "active": active, "keys": keys})


def source(active: str = "kek_new", seed: str = "") -> KeyFile:
    """Return the same without a file."""
    return KeyFile(active, {"kek_old": OLD, "kek_new": NEW}, CountedRandomness(seed))


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no byte be written to a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestCreating:
    """`keyturn keys create`, and the first start of a development world."""

    def test_a_key_file_is_made_for_its_owner_alone(self, path):
        """Mode 0600, one key of 32 bytes, and nothing beside it."""
        made = KeyFile.create(path, CountedRandomness())

        kept = json.loads(path.read_text())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert kept == {"format": 1, "active": made.active_key_id, "keys": kept["keys"]}
        assert list(kept["keys"]) == [made.active_key_id]
        assert made.active_key_id.startswith("kek_")
        assert list(path.parent.iterdir()) == [path]

    def test_the_key_is_made_of_its_own_randomness(self, path):
        """18 bytes for the id, then 32 for the key."""
        drawn = CountedRandomness("seed")
        drawn.token_bytes(18)

        KeyFile.create(path, CountedRandomness("seed"))

        assert list(json.loads(path.read_text())["keys"].values()) == [
            encoded(drawn.token_bytes(32))
        ]

    def test_the_folder_is_made_for_its_owner_alone(self, tmp_path):
        """With every folder above that is missing."""
        path = tmp_path / "a" / "b" / "keyturn.key"

        KeyFile.create(path, CountedRandomness())

        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_one_that_is_there_is_read_and_not_touched(self, path):
        """The second start takes the key of the first."""
        first = KeyFile.create(path, CountedRandomness("first"))
        kept = path.read_bytes()

        second = KeyFile.create(path, CountedRandomness("second"))

        assert second.active_key_id == first.active_key_id
        assert path.read_bytes() == kept
        assert list(path.parent.iterdir()) == [path]

    def test_one_that_is_there_and_cannot_be_used_is_not_overwritten(self, path):
        """It may be the only key there is."""
        write(path, "precious, but damaged")

        with pytest.raises(KeyFileRefused, match="is no key file of ours"):
            KeyFile.create(path, CountedRandomness())

        assert path.read_text() == "precious, but damaged"
        assert list(path.parent.iterdir()) == [path]

    def test_the_key_is_on_the_disk_before_anything_is_sealed_under_it(self, path, monkeypatch):
        """The bytes before the name, and the name before the caller goes on."""
        synced = []

        def fsync(descriptor: int) -> None:
            target = Path(f"/proc/self/fd/{descriptor}").readlink()
            synced.append((target.is_dir(), target.parent, target.stat().st_size, path.exists()))

        # The operating system is what is watched here.
        # ast-grep-ignore: fakes-not-patches
        monkeypatch.setattr(os, "fsync", fsync)
        KeyFile.create(path, CountedRandomness())

        folder = path.parent
        assert synced == [
            (False, folder, path.stat().st_size, False),
            (True, folder.parent, folder.stat().st_size, True),
        ]

    def test_making_it_leaves_no_file_open(self, path):
        """Neither the file nor its folder."""
        held = len(list(Path("/proc/self/fd").iterdir()))

        KeyFile.create(path, CountedRandomness())

        assert len(list(Path("/proc/self/fd").iterdir())) == held

    def test_a_full_disk_leaves_nothing_half_written(self, path):
        """Neither a key file nor a part of one; the next try begins afresh."""
        with full_disk(), pytest.raises(KeyFileRefused, match=r"cannot make the key file .*large"):
            KeyFile.create(path, CountedRandomness())

        assert list(path.parent.iterdir()) == []
        assert KeyFile.create(path, CountedRandomness()).active_key_id

    def test_a_folder_that_is_none_is_said(self, tmp_path):
        """The message names the path and the reason."""
        (tmp_path / "file").write_text("")

        with pytest.raises(KeyFileRefused, match=r"cannot make the key file .*/file/key: .+"):
            KeyFile.create(tmp_path / "file" / "key", CountedRandomness())


class TestLoading:
    """What a start reads."""

    def test_a_missing_file_stops_the_start(self, path):
        """It is never made silently: what is sealed would stay shut for ever."""
        with pytest.raises(KeyFileRefused, match=r"there is no key file .* Bring the file back"):
            KeyFile.load(path, CountedRandomness())

        assert not path.exists()

    @pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o666, 0o777])
    def test_a_file_others_can_reach_is_refused(self, path, mode):
        """Read, write or execute, group or all; the message says what to run."""
        write(path, two_keys(), mode)

        with pytest.raises(KeyFileRefused, match=r"others can read .*: run `chmod 600` on it"):
            KeyFile.load(path, CountedRandomness())

    @pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
    def test_a_file_of_its_owners_alone_is_read(self, path, mode):
        """A read-only one too, as secrets are mounted."""
        write(path, two_keys(), mode)

        assert KeyFile.load(path, CountedRandomness()).active_key_id == "kek_new"

    def test_what_cannot_be_read_is_said(self, tmp_path):
        """A folder in its place, for one."""
        with pytest.raises(KeyFileRefused, match=r"cannot read the key file .*: .+"):
            KeyFile.load(tmp_path, CountedRandomness())

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            b"\xff\xfe",
            "[]",
            "null",
            "[" * 100_000,
            two_keys(active="kek_other"),
            two_keys().replace('"format": 1', '"format": 2'),
            two_keys().replace('"format": 1, ', ""),
            two_keys().replace('"active": "kek_new", ', ""),
            two_keys().replace('"keys"', '"key"'),
            two_keys()[:-10],
            two_keys().replace(encoded(OLD), encoded(OLD[:31])),
            two_keys().replace(encoded(OLD), encoded(OLD + b"x")),
            two_keys().replace(encoded(OLD), "*" + encoded(OLD)[1:]),
            two_keys().replace(encoded(OLD), ""),
            json.dumps({"format": 1, "active": "a", "keys": [encoded(OLD)]}),
            json.dumps({"format": 1, "active": "a", "keys": {"a": 7}}),
            json.dumps({"format": 1, "active": "a", "keys": {}}),
        ],
    )
    def test_a_file_out_of_shape_is_refused_whole(self, path, text):
        """One bad key is enough; nothing of the file stands in the message."""
        write(path, text)

        with pytest.raises(KeyFileRefused) as refused:
            KeyFile.load(path, CountedRandomness())

        assert str(refused.value) == (
            f"{path} is no key file of ours, or was changed: bring back a copy that you keep apart"
            " from the database"
        )

    @given(content=st.binary())
    def test_any_bytes_are_refused_at_most(self, tmp_path_factory, content):
        """Nothing but the documented error is raised."""
        path = tmp_path_factory.mktemp("keys") / "keyturn.key"
        write(path, content)

        with pytest.raises(KeyFileRefused):
            KeyFile.load(path, CountedRandomness())

    async def test_what_one_process_wrapped_the_next_unwraps(self, path):
        """The keys of the file are the keys that wrap."""
        first = KeyFile.create(path, CountedRandomness("first"))
        wrapped = await first.wrap(b"k" * 32, associated_data=BOUND)

        again = KeyFile.load(path, CountedRandomness("again"))

        opened = await again.unwrap(first.active_key_id, wrapped, associated_data=BOUND)
        assert opened == b"k" * 32


class TestWrapping:
    """Under the active key; by any key that is still there."""

    @given(key=st.binary(max_size=64), bound=st.binary(max_size=64))
    async def test_what_was_wrapped_unwraps(self, key, bound):
        """And is not readable meanwhile; a retired key goes on opening."""
        wrapped = await source("kek_old").wrap(key, associated_data=bound)

        assert await source().unwrap("kek_old", wrapped, associated_data=bound) == key
        assert len(wrapped) == 12 + len(key) + 16

    async def test_each_wrapping_has_a_nonce_of_its_own(self):
        """The same key twice gives other bytes."""
        keys = source()

        first = await keys.wrap(OLD, associated_data=BOUND)

        assert (await keys.wrap(OLD, associated_data=BOUND))[:12] != first[:12]

    async def test_the_active_key_wraps(self):
        """A retired one is no longer used for that."""
        wrapped = await source().wrap(OLD, associated_data=BOUND)

        assert await source().unwrap("kek_new", wrapped, associated_data=BOUND) == OLD
        with pytest.raises(CannotOpen):
            await source().unwrap("kek_old", wrapped, associated_data=BOUND)

    async def test_a_key_that_is_not_there_is_named(self):
        """The operator has to bring it back."""
        with pytest.raises(KeyMissing) as missing:
            await source().unwrap("kek_lost", b"", associated_data=BOUND)

        assert missing.value.key_id == "kek_lost"

    async def test_other_associated_data_does_not_open(self):
        """A data key does not move to another workspace."""
        wrapped = await source().wrap(OLD, associated_data=BOUND)

        for other in (b"", BOUND[:-1] + b"b"):
            with pytest.raises(CannotOpen, match=r"was changed or belongs elsewhere$"):
                await source().unwrap("kek_new", wrapped, associated_data=other)

    @pytest.mark.parametrize("wrapped", ["a text", 7, None, bytes(4097), memoryview(bytes(60))])
    async def test_what_no_source_wrapped_does_not_open(self, wrapped):
        """SQLite keeps a text among bytes, and any database as much as somebody writes."""
        for key_id in ("kek_new", "kek_lost"):
            with pytest.raises(CannotOpen, match=r"is out of shape$"):
                await source().unwrap(key_id, wrapped, associated_data=BOUND)

    async def test_the_longest_wrapping_of_a_service_is_taken(self, tmp_path):
        """A key of RSA with 4096 bits, and its signature."""
        asked = []

        class Service:
            """A service that opens whatever it is asked."""

            async def unwrap(self, uri, wrapped, *, associated_data):
                """Return the same key each time."""
                asked.append((uri, wrapped, associated_data))
                return OLD

        key_file = KeyFile.create(tmp_path / "key", CountedRandomness("file"), REMOTE, Service())

        assert await key_file.unwrap(REMOTE.id, bytes(1027), associated_data=BOUND) == OLD
        assert asked == [(REMOTE, bytes(1027), BOUND)]

    async def test_a_changed_or_shortened_key_does_not_open(self):
        """One bit anywhere, or any cut."""
        wrapped = await source().wrap(OLD, associated_data=BOUND)

        for at in range(len(wrapped)):
            flipped = bytes((*wrapped[:at], wrapped[at] ^ 1, *wrapped[at + 1 :]))
            for broken in (flipped, wrapped[:at]):
                with pytest.raises(CannotOpen):
                    await source().unwrap("kek_new", broken, associated_data=BOUND)


class TestRotating:
    """The file is changed by a command while replicas have it open."""

    def test_the_file_keeps_its_form_and_its_mode(self, path):
        """Both keys are in it, the old one with when it was retired; nothing lies beside it."""
        keys = KeyFile.create(path, CountedRandomness())
        first = keys.active_key_id

        second = keys.rotate(now=START)

        said = json.loads(path.read_text())
        assert (said["format"], said["active"]) == (1, second)
        assert set(said["keys"]) == {first, second}
        assert said["retired"] == {first: START.isoformat()}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert {file.name for file in path.parent.iterdir()} <= {path.name, f".{path.name}.lock"}

    async def test_another_process_takes_it_up(self, path):
        """When it looks at the active key, and when it meets a key that it does not know."""
        KeyFile.create(path, CountedRandomness())
        looking, meeting = (
            KeyFile.load(path, CountedRandomness("l")),
            KeyFile.load(path, CountedRandomness("m")),
        )
        rotating = KeyFile.load(path, CountedRandomness("r"))

        second = rotating.rotate(now=START)
        wrapped = await rotating.wrap(b"k" * 32, associated_data=BOUND)

        assert looking.active_key_id == second
        assert await meeting.unwrap(second, wrapped, associated_data=BOUND) == b"k" * 32

    @pytest.mark.parametrize("what", ["gone", "open to others", "damaged"])
    async def test_a_file_that_cannot_be_used_changes_nothing(self, path, what):
        """A replica goes on with the keys that it has; a change by a command is refused."""
        keys = KeyFile.create(path, CountedRandomness())
        first = keys.active_key_id
        wrapped = await keys.wrap(b"k" * 32, associated_data=BOUND)
        if what == "gone":
            path.unlink()
        elif what == "open to others":
            path.write_text(path.read_text() + " ")
            path.chmod(0o644)
        else:
            path.write_text("{}")

        assert keys.active_key_id == first
        assert await keys.unwrap(first, wrapped, associated_data=BOUND) == b"k" * 32
        with pytest.raises(KeyMissing):
            await keys.unwrap("kek_unknown", wrapped, associated_data=BOUND)
        with pytest.raises(KeyFileRefused):
            keys.rotate(now=START)
        with pytest.raises(KeyFileRefused):
            keys.described()

    def test_what_a_killed_run_left_is_in_nobodys_way(self, path):
        """A half-written file beside it is written anew."""
        keys = KeyFile.create(path, CountedRandomness())
        path.with_name(f".{path.name}.new").write_text("half")

        keys.rotate(now=START)

        assert not path.with_name(f".{path.name}.new").exists()

    def test_a_full_disk_changes_nothing(self, path):
        """The old file stays whole, and the next try begins afresh."""
        keys = KeyFile.create(path, CountedRandomness())
        before = path.read_bytes()

        with full_disk(), pytest.raises(KeyFileRefused, match="cannot write the key file"):
            keys.rotate(now=START)

        assert path.read_bytes() == before
        assert keys.rotate(now=START) == keys.active_key_id

    def test_rotations_at_once_follow_each_other(self, path):
        """No key is lost: all are in the file afterwards."""
        KeyFile.create(path, CountedRandomness())
        with ThreadPoolExecutor(8) as pool:
            made = list(
                pool.map(
                    lambda n: KeyFile.load(path, CountedRandomness(f"{n}")).rotate(now=START),
                    range(8),
                )
            )

        said = json.loads(path.read_text())
        assert len(said["keys"]) == 9
        assert set(made) < set(said["keys"])
        assert set(said["retired"]) == set(said["keys"]) - {said["active"]}

    def test_the_active_key_is_never_destroyed(self, path):
        """A retired one is, with all that was noted of it."""
        keys = KeyFile.create(path, CountedRandomness())
        first = keys.active_key_id
        with pytest.raises(KeyFileRefused, match="active key"):
            keys.destroy(first)
        second = keys.rotate(now=START)
        keys.mark_unneeded({first}, now=START)

        keys.destroy(first)

        said = json.loads(path.read_text())
        assert set(said["keys"]) == {second}
        assert first not in path.read_text()
        keys.destroy(first)  # once more: nothing is left to do

    def test_keys_in_no_file_are_not_rotated(self):
        """As tests have them."""
        with pytest.raises(KeyFileRefused, match="in no file"):
            source().rotate(now=START)

    @pytest.mark.parametrize(
        "wrong",
        [{"staged": "kek_unknown"}, {"retired": {"kek_a": "soon"}}, {"unneeded": ["kek_a"]}],
    )
    def test_a_file_with_odd_notes_is_refused(self, path, wrong):
        """Nobody guesses what was meant."""
        KeyFile.create(path, CountedRandomness())
        path.write_text(json.dumps(json.loads(path.read_text()) | wrong))

        with pytest.raises(KeyFileRefused, match="no key file of ours"):
            KeyFile.load(path, CountedRandomness())


class TestKeysHeldElsewhere:
    """Keys that a key management service holds: the file names them, and holds no secret."""

    def test_a_file_that_names_one_is_of_format_2(self, path):
        """An earlier release refuses it; without such a key it is what that one reads."""
        keys = KeyFile.create(path, CountedRandomness(), REMOTE)
        assert json.loads(path.read_text()) == {
            "format": 2,
            "active": REMOTE.id,
            "keys": {},
            "remote": {REMOTE.id: REMOTE.text},
        }
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

        local = keys.rotate(now=START)
        assert json.loads(path.read_text())["format"] == 2
        keys.destroy(REMOTE.id)

        said = json.loads(path.read_text())
        assert (said["format"], set(said["keys"])) == (1, {local})
        assert "remote" not in said

    def test_one_that_was_retired_can_be_active_again(self, path):
        """Its notes of the time before go."""
        keys = KeyFile.create(path, CountedRandomness(), REMOTE)
        keys.rotate(now=START)
        keys.mark_unneeded({REMOTE.id}, now=START)

        assert keys.rotate(now=START, uri=REMOTE) == REMOTE.id

        assert keys.active.uri == REMOTE
        [active, _] = keys.described()
        assert (active.id, active.retired_at, active.unneeded_since) == (REMOTE.id, None, None)

    def test_the_active_one_is_not_rotated_to(self, path):
        """Nothing would change, and its backups' age would begin anew."""
        keys = KeyFile.create(path, CountedRandomness(), REMOTE)
        before = path.read_text()

        with pytest.raises(KeyFileRefused, match="make a new version of it, or another key"):
            keys.rotate(now=START, uri=REMOTE)
        assert path.read_text() == before

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"format": 1}, "no key file of ours"),
            ({"remote": {}}, "no key file of ours"),
            ({"keys": {REMOTE.id: encoded(OLD)}}, "no key file of ours"),
            ({"remote": {REMOTE.id: "https://acme.vault.azure.net"}}, "say where the key is"),
            ({"remote": {REMOTE.id: 7}}, "no key file of ours"),
        ],
    )
    def test_a_file_that_names_it_otherwise_is_refused(self, path, wrong, said):
        """Nobody guesses what was meant."""
        KeyFile.create(path, CountedRandomness(), REMOTE)
        path.write_text(json.dumps(json.loads(path.read_text()) | wrong))

        with pytest.raises(KeyFileRefused, match=said):
            KeyFile.load(path, CountedRandomness())
