"""A key file that is changed: the same file for all who use it, and still its owner's."""

from __future__ import annotations

import ctypes
import json
import os
import stat
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from service.tests.support.fakes import CountedRandomness
from service.tests.support.values import START

from keyturn_service.adapters.key_sources.file import KeyFile

AS_ROOT = pytest.mark.usefixtures("as_root")
CHANGES = [
    pytest.param(lambda keys: keys.stage(), id="stage"),
    pytest.param(lambda keys: keys.rotate(now=START), id="rotate"),
    pytest.param(lambda keys: keys.mark_unneeded({"kek_old"}, now=START), id="mark_unneeded"),
    pytest.param(lambda keys: keys.destroy("kek_old"), id="destroy"),
]
ROTATE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from keyturn_service.adapters.key_sources.file import KeyFile, KeyFileRefused
from keyturn_service.adapters.system import SystemRandomness
try:
    KeyFile.load(Path(sys.argv[1]), SystemRandomness()).rotate(now=datetime.now(UTC))
except KeyFileRefused as refused:
    print(refused)
"""
_PR_CAPBSET_DROP, _CAP_CHOWN = 24, 0


def without_chown() -> None:
    """Give no file away any more, in this process from its next program on."""
    ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_CHOWN)


@pytest.fixture
def as_root() -> None:
    """See that the test may give files to others."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files to others")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the key file, or a link to it, is to be."""
    return tmp_path / "keyturn.key"


def two_keys(path: Path) -> str:
    """Make a key file after one rotation; return its text."""
    [old, new] = (b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    text = json.dumps({"format": 1, "active": "kek_new", "keys": {"kek_old": old, "kek_new": new}})
    path.write_text(text)
    path.chmod(0o600)
    return text


@pytest.mark.parametrize("change", CHANGES)
def test_the_file_that_a_link_leads_to_is_changed(path, tmp_path, change):
    """Replicas that use it by its own name see what is done by the link."""
    shared = tmp_path / "shared" / "key"
    shared.parent.mkdir()
    before = two_keys(shared)
    replica = KeyFile.load(shared, CountedRandomness("replica"))
    path.symlink_to("shared/key")

    keys = KeyFile.load(path, CountedRandomness())
    change(keys)

    assert json.loads(shared.read_text()) != json.loads(before)
    assert replica.active_key_id == keys.active_key_id
    assert path.readlink() == Path("shared/key")
    assert {file.name for file in path.parent.iterdir()} == {path.name, "shared"}
    assert {file.name for file in shared.parent.iterdir()} == {"key", ".key.lock"}


@AS_ROOT
@pytest.mark.parametrize("change", CHANGES)
def test_what_root_changes_stays_its_owners(path, change):
    """`sudo keyturn keys rotate`: the service's user read it before, and does so after."""
    before = two_keys(path)
    os.chown(path, 4711, 4712)

    change(KeyFile.load(path, CountedRandomness()))

    assert json.loads(path.read_text()) != json.loads(before)
    for each in (path, path.with_name(f".{path.name}.lock")):
        found = each.stat()
        assert (found.st_uid, found.st_gid) == (4711, 4712)
        assert stat.S_IMODE(found.st_mode) == 0o600


@AS_ROOT
def test_who_may_not_keep_its_owner_changes_nothing(path):
    """The message says as whom to run the command; the old file is there, nothing beside it."""
    KeyFile.create(path, CountedRandomness())
    os.chown(path, 4711, 0)
    before, made = path.read_bytes(), path.stat()

    ended = subprocess.run(
        [sys.executable, "-c", ROTATE, str(path)],
        preexec_fn=without_chown,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "the key file stays as it is: it is user 4711's" in ended.stdout
    assert "sudo -u '#4711'" in ended.stdout
    assert path.read_bytes() == before
    assert os.path.samestat(path.stat(), made)
    assert not path.with_name(f".{path.name}.new").exists()


@AS_ROOT
def test_a_group_that_cannot_be_kept_is_let_go(path):
    """It may do nothing with the file, so nobody misses it."""
    KeyFile.create(path, CountedRandomness())
    os.chown(path, -1, 4712)

    subprocess.run(
        [sys.executable, "-c", ROTATE, str(path)],
        preexec_fn=without_chown,
        check=True,
    )

    assert len(json.loads(path.read_text())["keys"]) == 2
    assert path.stat().st_gid == os.getegid()


@AS_ROOT
def test_a_lock_that_somebody_put_there_is_not_given_away(path, tmp_path):
    """A link in a folder of the service's user would make any file of root's theirs."""
    KeyFile.create(path, CountedRandomness())
    os.chown(path, 4711, 4711)
    precious = tmp_path / "precious"
    precious.write_text("root's")
    path.with_name(f".{path.name}.lock").symlink_to(precious)

    KeyFile.load(path, CountedRandomness()).rotate(now=START)

    assert precious.stat().st_uid == 0
