"""A spool in a folder of a local disk."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import stat
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import structlog

from keyturn_service.adapters.disk import sync_folder
from keyturn_service.domain.attempt import SpooledAnswer
from keyturn_service.domain.ids import (
    ID_BYTES,
    AttemptId,
    ConnectionId,
    SpoolId,
    WorkspaceId,
    new_id,
)
from keyturn_service.ports import Randomness
from keyturn_service.vault.envelope import Envelopes, key_of
from keyturn_service.vault.errors import CannotOpen
from keyturn_service.vault.place import Place

_MODE: Final = 0o700
_LONGEST_NAME: Final = 257  # bytes of an envelope's version, length and id
_FILE_MODE: Final = 0o600
# File systems that end with the machine or the container.
_FLEETING: Final = frozenset({"tmpfs", "ramfs", "overlay", "overlayfs", "aufs"})
_ANSWERS: Final = ("undelivered", "delivered")
_INTENTS: Final = "intents"
# An attempt or an exchange, of earlier releases too; a suffix is a generation or a trip.
_OURS: Final = re.compile(r"(?:att|cs|con)_[0-9A-Za-z_]+(?:\.[0-9a-f_]+)?")
_ID: Final = re.compile(r"spool_[0-9A-Za-z]+")
_NAME: Final = re.compile(r"\w*", re.ASCII)  # of the parts of a head
_MOST: Final = 2**31  # what a database takes
_log = structlog.get_logger()


class SpoolRefused(Exception):
    """The folder cannot be this replica's spool; the text says why and what to do."""


class DirectorySpool:
    """`ports.Spool`: a sealed file for each answer, named by its attempt.

    `undelivered/` holds what the database may not know, `delivered/` what it knows, `intents/`
    what was begun and has no answer yet, as an answer where nothing came. A file is a line of
    JSON (workspace, connection, generation) and an envelope bound to it. Its time of change is
    the answer's time. One process at a time holds the folder. What somebody else put there is
    left alone.
    """

    def __init__(
        self,
        folder: Path,
        spool_id: SpoolId,
        envelopes: Envelopes,
        lock: int,
        *,
        accepts_loss: bool,
    ) -> None:
        self._folder = folder
        self._id = spool_id
        self._envelopes = envelopes
        self._lock = lock
        self._accepts_loss = accepts_loss
        self._stuck: set[AttemptId] = set()  # delivered, and the disk did not let us say so
        self._known: dict[tuple[bool, str], str] = {}  # which key-encryption key opens which file
        self._foreign: set[str] = set()  # what is not ours, and was said to be there

    @classmethod
    def open(
        cls, folder: Path, envelopes: Envelopes, randomness: Randomness, *, accepts_loss: bool
    ) -> Self:
        """Take the folder, making it where it is not there.

        Raises:
            SpoolRefused: another process holds it, it cannot be written, its name is damaged, or
                it lies on a file system that does not outlive the container and the loss was not
                accepted.
        """
        with contextlib.ExitStack() as undone:
            try:
                for part in (folder, *(folder / part for part in (*_ANSWERS, _INTENTS))):
                    part.mkdir(parents=True, exist_ok=True, mode=_MODE)
                _see_that_it_lasts(folder, accepts_loss=accepts_loss)
                lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, _FILE_MODE)
                undone.callback(os.close, lock)
                _take(lock, folder)
                spool_id = _kept_id(folder, randomness)
                for half_written in folder.glob("*.new"):
                    half_written.unlink(missing_ok=True)
            except OSError as error:
                raise SpoolRefused(f"cannot use the spool {folder}: {error.strerror}") from None
            undone.pop_all()
        return cls(folder, spool_id, envelopes, lock, accepts_loss=accepts_loss)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    @property
    def id(self) -> SpoolId:
        """The spool's own name; it stays with the disk."""
        return self._id

    async def put(self, answer: SpooledAnswer) -> None:
        """Seal and keep the answer; return once it would survive a crash.

        Raises:
            OSError: the disk does not take it.
        """
        await asyncio.to_thread(self._write, answer, "undelivered")
        await self.not_sent(answer.attempt_id)

    async def intend(self, nothing: SpooledAnswer) -> None:
        """Keep that a token is about to be presented, until `put` or `not_sent`.

        Raises:
            OSError: the disk does not take it, and the loss of the spool was not accepted.
        """
        try:
            await asyncio.to_thread(self._write, nothing, _INTENTS)
        except OSError:
            if not self._accepts_loss:
                raise

    async def not_sent(self, attempt_id: AttemptId) -> None:
        """Forget an intent whose token did not leave, if the disk lets us: it says no more then."""
        with _not_needed(attempt_id):
            await asyncio.to_thread((self._folder / _INTENTS / attempt_id).unlink, missing_ok=True)

    async def intents(self) -> Sequence[AttemptId]:
        """Return the attempts of which `intend` kept something that met no answer."""
        return await asyncio.to_thread(self._named, (_INTENTS,))

    async def intent(self, attempt_id: AttemptId) -> SpooledAnswer | None:
        """Return what `intend` kept for an attempt, as an answer where nothing came."""
        return await self._get(attempt_id, (_INTENTS,))

    async def get(self, attempt_id: AttemptId) -> SpooledAnswer | None:
        """Return what is kept for an attempt; a damaged file counts as "nothing came"."""
        return await self._get(attempt_id, _ANSWERS)

    async def _get(self, attempt_id: AttemptId, parts: Sequence[str]) -> SpooledAnswer | None:
        read = await asyncio.to_thread(self._read, attempt_id, parts)
        if read is None:
            return None
        head, sealed = read
        place = _place(attempt_id, head["workspace_id"], head["generation"])
        status, complete, body, received_at, token_hash = None, False, b"", _LONG_AGO, b""
        authorized_at: datetime | None = None
        presented_again, login_url = False, None
        try:
            opened = await self._envelopes.open(sealed, place)
        except CannotOpen:
            _log.error("spool_file_damaged", attempt_id=attempt_id)
        else:
            line, _, body = opened.partition(b"\n")
            said: dict[str, Any] = json.loads(line)
            status, complete = said["status"], said["complete"]
            received_at = datetime.fromisoformat(said["received_at"])
            token_hash = bytes.fromhex(said.get("token_hash", ""))  # older files have none
            if said.get("authorized_at"):
                authorized_at = datetime.fromisoformat(said["authorized_at"])
            presented_again = said.get("presented_again", False)
            login_url = said.get("login_url")
        return SpooledAnswer(
            attempt_id=attempt_id,
            workspace_id=WorkspaceId(head["workspace_id"]),
            connection_id=ConnectionId(head["connection_id"]),
            generation=head["generation"],
            received_at=received_at,
            status=status,
            body=body,
            complete=complete,
            token_hash=token_hash,
            authorized_at=authorized_at,
            presented_again=presented_again,
            login_url=login_url,
        )

    async def delivered(self, attempt_id: AttemptId) -> None:
        """Note that the database knows the answer; it stays in the journal.

        Where the disk does not let us, it counts as delivered until the folder is taken anew.
        """
        self._stuck.add(attempt_id)
        with _not_needed(attempt_id):
            await asyncio.to_thread(self._move, attempt_id)
            self._stuck.discard(attempt_id)

    async def undelivered(self) -> Sequence[AttemptId]:
        """Return the attempts whose answers the database may not know, oldest first."""
        names = await asyncio.to_thread(self._named, ("undelivered",))
        return [name for name in names if name not in self._stuck]

    async def newest_first(self) -> Sequence[AttemptId]:
        """Return the attempts of the whole journal, delivered or not, by their answers' times."""
        newest = await asyncio.to_thread(self._named, _ANSWERS)
        return newest[::-1]

    async def key_needs(self) -> Mapping[str, int]:
        """Return which key-encryption keys open what lies here, or will, with how many answers."""
        needs = dict.fromkeys((self._envelopes.key_id, self._envelopes.active_key_id), 0)
        for key_id in await asyncio.to_thread(self._keys_of_files):
            needs[key_id] = needs.get(key_id, 0) + 1
        return needs

    async def renew_key(self, announced: Collection[str]) -> None:
        """Seal under the key source's active key from now on, if that was announced."""
        await self._envelopes.renew(announced)

    async def purge(self, before: datetime) -> int:
        """Remove delivered answers received before that, and intents; return how many."""
        return await asyncio.to_thread(self._purge, before.timestamp())

    def _write(self, answer: SpooledAnswer, part: str) -> None:
        head = {
            "workspace_id": answer.workspace_id,
            "connection_id": answer.connection_id,
            "generation": answer.generation,
        }
        said = {
            "status": answer.status,
            "complete": answer.complete,
            "received_at": answer.received_at.isoformat(),
            "token_hash": answer.token_hash.hex(),
            "authorized_at": answer.authorized_at and answer.authorized_at.isoformat(),
            "presented_again": answer.presented_again,
            "login_url": answer.login_url,
        }
        sealed = self._envelopes.seal(
            json.dumps(said).encode() + b"\n" + answer.body,
            _place(answer.attempt_id, answer.workspace_id, answer.generation),
        )
        beside = self._folder / f"{answer.attempt_id}.new"
        place = self._folder / part / answer.attempt_id
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(head).encode() + b"\n" + sealed)
                file.flush()
                stamp = answer.received_at.timestamp()
                os.utime(file.fileno(), (stamp, stamp))
                os.fsync(file.fileno())
            beside.rename(place)
        except OSError:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
        sync_folder(place.parent)

    def _read(
        self, attempt_id: AttemptId, parts: Sequence[str]
    ) -> tuple[dict[str, Any], bytes] | None:
        for part in parts:
            try:
                line, _, sealed = (self._folder / part / attempt_id).read_bytes().partition(b"\n")
            except FileNotFoundError:
                continue
            return _head(line), sealed
        return None

    def _move(self, attempt_id: AttemptId) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self._folder / "undelivered" / attempt_id).rename(
                self._folder / "delivered" / attempt_id
            )

    def _named(self, parts: Sequence[str]) -> list[AttemptId]:
        """Return whose files these parts have, oldest first."""
        aged = {
            name: when
            for part in parts
            for name, when in _files(self._folder / part, self._foreign)
        }
        return [AttemptId(name) for name in sorted(aged, key=aged.__getitem__)]

    def _keys_of_files(self) -> list[str]:
        """Return the key of each file; a file never changes, so each is read once."""
        known: dict[tuple[bool, str], str] = {}
        for parts in (_ANSWERS, (_INTENTS,)):
            for name in self._named(parts):
                file = (parts is _ANSWERS, name)  # an intent has the name of its answer
                key_id = self._known.get(file) or _key_of_file(self._folder, parts, name)
                if key_id:
                    known[file] = key_id
        self._known = known
        return list(known.values())

    def _purge(self, before: float) -> int:
        old = [
            self._folder / part / name
            for part in ("delivered", _INTENTS)
            for name, when in _files(self._folder / part, self._foreign)
            if when < before
        ]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


@contextlib.contextmanager
def _not_needed(attempt_id: AttemptId) -> Iterator[None]:
    """Go on where a disk refuses what only tidies up: it may be read-only from now on."""
    try:
        yield
    except OSError as error:
        _log.error("spool_not_tidied", attempt_id=attempt_id, error=type(error).__name__)


_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _head(line: bytes) -> dict[str, Any]:
    """Return the head of a file; one that names nobody where the line is damaged."""
    try:
        head: Any = json.loads(line)
    except (ValueError, RecursionError):
        head = None
    match head:
        case {
            "workspace_id": str() as workspace_id,
            "connection_id": str() as connection_id,
            "generation": int() as generation,
        } if _NAME.fullmatch(workspace_id + connection_id) and abs(generation) < _MOST:
            return dict(head)
        case _:
            return {"workspace_id": "", "connection_id": "", "generation": 0}


def _key_of_file(folder: Path, parts: Sequence[str], name: str) -> str:
    """Return the key-encryption key of a file's envelope; empty where that cannot be read."""
    for part in parts:
        try:
            with (folder / part / name).open("rb") as file:
                file.readline()
                return sys.intern(key_of(file.read(_LONGEST_NAME)))
        except FileNotFoundError:
            continue
        except OSError as error:
            _log.error("spool_file_not_read", attempt_id=name, error=type(error).__name__)
    return ""


def _files(folder: Path, foreign: set[str]) -> Iterator[tuple[str, float]]:
    """Tell our files with their times; the others are said once, and added to `foreign`."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                found = entry.stat() if _OURS.fullmatch(entry.name) else None
                if found is not None and stat.S_ISREG(found.st_mode):
                    yield entry.name, found.st_mtime
                elif entry.path not in foreign:
                    foreign.add(entry.path)
                    readable = os.fsencode(entry.path).decode("ascii", "backslashreplace")
                    _log.warning("spool_entry_foreign", path=readable)


def _place(attempt_id: AttemptId, workspace_id: str, generation: int) -> Place:
    return Place(
        workspace_id=workspace_id,
        table="spool",
        row=attempt_id,
        column="answer",
        generation=generation,
    )


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SpoolRefused(
            f"another process holds the spool {folder}: each replica needs a spool of its"
            " own (KEYTURN_SPOOL_DIR)"
        ) from None


def _kept_id(folder: Path, randomness: Randomness) -> SpoolId:
    """Return the spool's id, made at its first use.

    A damaged one is never made anew: attempts name their spool, and would look for it in vain.
    """
    path = folder / "id"
    if not path.exists():
        beside = folder / "id.new"
        with beside.open("w") as file:
            file.write(new_id("spool", randomness.token_bytes(ID_BYTES)))
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        sync_folder(folder)
    kept = path.read_bytes().strip().decode("ascii", "replace")
    if not _ID.fullmatch(kept):
        raise SpoolRefused(
            f"the spool's name in {path} is damaged: write it back, as the audit events"
            " `token.presented` have it (spool_id)"
        )
    return SpoolId(kept)


def _see_that_it_lasts(folder: Path, *, accepts_loss: bool) -> None:
    kind = _file_system(folder.resolve())
    if kind in _FLEETING and not accepts_loss:
        raise SpoolRefused(
            f"the spool {folder} lies on {kind}, which ends with the container: put it on a volume"
            " (KEYTURN_SPOOL_DIR), or accept with KEYTURN_SPOOL_ACCEPTS_LOSS=true that a crash may"
            " cost connections"
        )


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder lies on, empty where nobody says."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return ""
    best, kind = "", ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].replace("\\040", " ")
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind
