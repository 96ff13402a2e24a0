"""The key file: key-encryption keys, or where they are, in a file of this machine.

A key whose value stands in it is right for development and single servers; one that a key
management service holds is named in it, and never comes here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, TypeVar

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyturn_service.adapters.disk import sync_folder
from keyturn_service.adapters.key_sources.remote import KmsKeys, RemoteKeys
from keyturn_service.domain.ids import new_id
from keyturn_service.ports import Randomness
from keyturn_service.vault.errors import CannotOpen, KeyMissing
from keyturn_service.vault.key_uri import KeyUri, KeyUriRefused
from keyturn_service.vault.root_keys import RootKey, RootKeyState

_T = TypeVar("_T")
_log = structlog.get_logger()
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_LONGEST_WRAPPED: Final = 4096  # bytes; an RSA key of 4096 bits with its signature makes 1027
_BRING_BACK: Final = ": bring back a copy that you keep apart from the database"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_FORMAT: Final = 1
_FORMAT_WITH_REMOTE: Final = 2  # an earlier release refuses the file, and does not lose keys of it


class KeyFileRefused(Exception):
    """The key file is missing, readable by others or out of shape; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    """What stands in a key file, without its format."""

    active: str
    keys: Mapping[str, bytes]
    remote: Mapping[str, KeyUri] = field(default_factory=dict)
    staged: str | None = None
    retired: Mapping[str, datetime] = field(default_factory=dict)
    unneeded: Mapping[str, datetime] = field(default_factory=dict)

    def written(self) -> str:
        """Return the file's text."""
        format_ = _FORMAT_WITH_REMOTE if self.remote else _FORMAT
        said: dict[str, object] = {"format": format_, "active": self.active}
        if self.staged is not None:
            said["staged"] = self.staged
        for name, moments in (("retired", self.retired), ("unneeded", self.unneeded)):
            if moments:
                said[name] = {key_id: at.isoformat() for key_id, at in moments.items()}
        said["keys"] = {key_id: b64encode(key).decode() for key_id, key in self.keys.items()}
        if self.remote:
            said["remote"] = {key_id: uri.text for key_id, uri in self.remote.items()}
        return json.dumps(said, indent=1) + "\n"


class KeyFile:
    """`vault.key_source.KeySource` and `vault.root_keys.RootKeyFile` over a JSON file, mode 0600.

    `{"format": 1, "active": id, "keys": {id: base64 of 32 bytes}}`: retired keys stay in it and
    go on opening. `staged` is the id of the key that the next rotation makes active; `retired`
    and `unneeded` say since when a key is. `"remote": {id: URI}`, of format 2, are the keys that
    a key management service holds. A file that changes is read again when its active key is
    looked at or an unknown key is asked for.
    """

    def __init__(
        self,
        active: str,
        keys: Mapping[str, bytes],
        randomness: Randomness,
        *,
        path: Path | None = None,
        remote: RemoteKeys | None = None,
    ) -> None:
        self._held = _Keys(active=active, keys=keys)
        self._remote = remote or KmsKeys()
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._randomness = randomness
        self._path = path
        self._stamp: _Stamp | None = None

    @classmethod
    def load(cls, path: Path, randomness: Randomness, remote: RemoteKeys | None = None) -> Self:
        """Read a key file.

        Raises:
            KeyFileRefused: there is none, others can read it, or it is out of shape.
        """
        found, held = _read(path)
        made = cls(held.active, held.keys, randomness, path=path, remote=remote)
        made._take(found, held)
        return made

    @classmethod
    def create(
        cls,
        path: Path,
        randomness: Randomness,
        uri: KeyUri | None = None,
        remote: RemoteKeys | None = None,
    ) -> Self:
        """Make a key file with one key, its own or the one of a URI; one that is there stays.

        Raises:
            KeyFileRefused: it is there and cannot be used, or cannot be made.
        """
        held = _with_a_new_key(_Keys(active="", keys={}), randomness, uri)
        beside = path.with_name(f".{path.name}.{new_id('new', randomness.token_bytes(18))}")
        text = replace(held, active=str(held.staged), staged=None).written()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write(beside, text)
            try:
                path.hardlink_to(beside)  # fails where one is there: nothing is overwritten
            except FileExistsError:
                pass
            finally:
                beside.unlink()
            sync_folder(path.parent)  # the name too is there before anything is sealed under it
        except OSError as error:
            raise KeyFileRefused(f"cannot make the key file {path}: {error.strerror}") from None
        return cls.load(path, randomness, remote)

    @property
    def active_key_id(self) -> str:
        """The id of the key that wraps until this is looked at again."""
        self._look()
        return self._held.active

    @property
    def active(self) -> RootKey:
        """The active key, as it was read last."""
        held = self._held
        return RootKey(id=held.active, state=RootKeyState.ACTIVE, uri=held.remote.get(held.active))

    def described(self) -> Sequence[RootKey]:
        """Return the keys in the file, without their values, the active one first.

        Raises:
            KeyFileRefused: the file cannot be used any more.
        """
        held = _read(self._own_path())[1]
        found = [
            RootKey(
                id=key_id,
                state=_state(held, key_id),
                retired_at=held.retired.get(key_id),
                unneeded_since=held.unneeded.get(key_id),
                uri=held.remote.get(key_id),
            )
            for key_id in (*held.keys, *held.remote)
        ]
        return sorted(found, key=lambda key: key.state is not RootKeyState.ACTIVE)

    def stage(self, uri: KeyUri | None = None) -> str:
        """Add a key that the next rotation makes active; return its id, also of one that is there.

        Raises:
            KeyFileRefused: the file cannot be used or written, or the key is active already.
        """
        with self._changing() as change:
            if change.held.staged is None:
                change.held = _with_a_new_key(change.held, self._randomness, uri)
            return str(change.held.staged)

    def rotate(self, *, now: datetime, uri: KeyUri | None = None) -> str:
        """Make the staged key active, or a new one; return its id. The old one is retired.

        Raises:
            KeyFileRefused: the file cannot be used or written, or the key is active already.
        """
        with self._changing() as change:
            held = change.held
            if held.staged is None:
                held = _with_a_new_key(held, self._randomness, uri)
            active = str(held.staged)
            retired = {**held.retired, held.active: now}
            change.held = replace(held, active=active, staged=None, retired=retired)
            return active

    def mark_unneeded(self, key_ids: Collection[str], *, now: datetime) -> None:
        """Note since when nothing in the database needs these keys; the others are needed.

        Raises:
            KeyFileRefused: the file cannot be used or written.
        """
        with self._changing() as change:
            unneeded = {key_id: change.held.unneeded.get(key_id, now) for key_id in key_ids}
            change.held = replace(change.held, unneeded=unneeded)

    def destroy(self, key_id: str) -> None:
        """Take a key out of the file, for good.

        Raises:
            KeyFileRefused: it is the active one, or the file cannot be used or written.
        """
        with self._changing() as change:
            if key_id == change.held.active:
                raise KeyFileRefused(f"{key_id} is the active key: run `keyturn keys rotate` first")
            change.held = _without(change.held, key_id)

    async def wrap(self, key: bytes, *, associated_data: bytes) -> bytes:
        """Wrap a key under the active key."""
        uri = self._held.remote.get(self._held.active)
        if uri is not None:
            return await self._remote.wrap(uri, key, associated_data=associated_data)
        nonce = self._randomness.token_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[self._held.active].encrypt(nonce, key, associated_data)

    async def unwrap(self, key_id: str, wrapped: bytes, *, associated_data: bytes) -> bytes:
        """Return a key that was wrapped under `key_id`."""
        _see_shape(wrapped)
        if key_id not in self._ciphers and key_id not in self._held.remote:
            self._look()
        uri = self._held.remote.get(key_id)
        if uri is not None:
            return await self._remote.unwrap(uri, wrapped, associated_data=associated_data)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise KeyMissing(key_id)
        try:
            return cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], associated_data)
        except (InvalidTag, ValueError):
            raise CannotOpen("the wrapped key was changed or belongs elsewhere") from None

    def _look(self) -> None:
        """Take up the file where it was changed; one that cannot be used changes nothing."""
        if self._path is None:
            return
        try:
            if _stamp_of(self._path.stat()) == self._stamp:
                return
            found, held = _read(self._path)
        except (OSError, KeyFileRefused) as error:
            _log.error("key_file_refused", error=type(error).__name__)
            return
        self._take(found, held)
        _log.info("key_file_read_again", name=held.active)

    def _take(self, found: os.stat_result, held: _Keys) -> None:
        self._stamp, self._held = _stamp_of(found), held
        self._ciphers = {key_id: AESGCM(key) for key_id, key in held.keys.items()}

    def _own_path(self) -> Path:
        if self._path is None:
            raise KeyFileRefused("these keys are in no file")
        return self._path

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_Change]:
        """Change the file, one program at a time: the whole new file or the whole old one.

        Where a link leads to it, the file behind the link is the one, as it is for all who use
        it by another name. It stays its owner's, whoever runs this.
        """
        path = Path(os.path.realpath(self._own_path()))
        try:
            with _lock(path) as lock:
                owner, held = _read(path)
                lock.give_to(owner)
                change = _Change(held)
                yield change
                if change.held == held:
                    return
                beside = path.with_name(f".{path.name}.new")
                beside.unlink(missing_ok=True)  # of a run that was killed
                _write(beside, change.held.written(), owner)
                beside.replace(path)
                sync_folder(path.parent)
        except OSError as error:
            at = "" if error.filename is None else f" ({error.filename})"
            raise KeyFileRefused(
                f"cannot write the key file {path}: {error.strerror}{at}"
            ) from None
        self._look()


@dataclass(slots=True)
class _Change:
    held: _Keys


_Stamp: TypeAlias = tuple[int, int, int]


def _stamp_of(found: os.stat_result) -> _Stamp:
    return found.st_ino, found.st_mtime_ns, found.st_size


def _state(held: _Keys, key_id: str) -> RootKeyState:
    if key_id == held.active:
        return RootKeyState.ACTIVE
    return RootKeyState.STAGED if key_id == held.staged else RootKeyState.RETIRED


def _with_a_new_key(held: _Keys, randomness: Randomness, uri: KeyUri | None) -> _Keys:
    """Return the keys with a staged one: of its own value, or the one that a service holds.

    Raises:
        KeyFileRefused: that one is active already.
    """
    if uri is None:
        key_id = new_id("kek", randomness.token_bytes(18))
        return replace(
            held, keys={**held.keys, key_id: randomness.token_bytes(_KEY_BYTES)}, staged=key_id
        )
    if uri.id == held.active:
        raise KeyFileRefused(
            f"{uri.text} is the active key already: make a new version of it, or another key,"
            " where it is held, or name another in KEYTURN_KEY_SOURCE"
        )
    again = _without(held, uri.id)
    return replace(again, remote={**again.remote, uri.id: uri}, staged=uri.id)


def _without(held: _Keys, key_id: str) -> _Keys:
    def others(of: Mapping[str, _T]) -> dict[str, _T]:
        return {name: value for name, value in of.items() if name != key_id}

    return replace(
        held,
        keys=others(held.keys),
        remote=others(held.remote),
        retired=others(held.retired),
        unneeded=others(held.unneeded),
        staged=None if held.staged == key_id else held.staged,
    )


def _see_shape(wrapped: object) -> None:
    """See that something can be a wrapped key: SQLite keeps texts among bytes.

    Raises:
        CannotOpen: it cannot.
    """
    if not isinstance(wrapped, bytes) or len(wrapped) > _LONGEST_WRAPPED:
        raise CannotOpen("the wrapped key is out of shape")


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[_Lock]:
    name = path.with_name(f".{path.name}.lock")
    try:
        lock = _Lock(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), new=True)
    except FileExistsError:
        lock = _Lock(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), new=False)
    try:
        fcntl.flock(lock.descriptor, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock.descriptor)


@dataclass(frozen=True, slots=True)
class _Lock:
    descriptor: int
    new: bool  # made by us; what was there may be a link that somebody put there

    def give_to(self, owner: os.stat_result) -> None:
        """Let the key file's owner take it too, where root made it."""
        if self.new:
            with contextlib.suppress(OSError):
                os.fchown(self.descriptor, owner.st_uid, owner.st_gid)


def _write(path: Path, text: str, owner: os.stat_result | None = None) -> None:
    """Write a new file that only its owner can read, and see it on the disk.

    Raises:
        KeyFileRefused: it cannot be that owner's.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            if owner is not None:
                _give(descriptor, owner)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, KeyFileRefused):
        path.unlink()
        raise


def _give(descriptor: int, owner: os.stat_result) -> None:
    made = os.fstat(descriptor)
    if (made.st_uid, made.st_gid) == (owner.st_uid, owner.st_gid):
        return
    try:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    except OSError as error:
        if made.st_uid != owner.st_uid:  # else only the group is another, which may do nothing
            raise KeyFileRefused(
                f"the key file stays as it is: it is user {owner.st_uid}'s, who could not read what"
                f" this program writes in its place ({error.strerror}). Run the command as that"
                f" user (`sudo -u '#{owner.st_uid}' …`), or as root"
            ) from None


def _read(path: Path) -> tuple[os.stat_result, _Keys]:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            text = file.read().decode()
    except FileNotFoundError:
        raise KeyFileRefused(
            f"there is no key file {path}: the service does not start without its key."
            " Bring the file back from where you keep it apart from the database. On a new"
            " installation `keyturn keys init` makes one"
        ) from None
    except OSError as error:
        raise KeyFileRefused(f"cannot read the key file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        text = ""  # no JSON either: refused below
    if found.st_mode & _OTHERS:
        raise KeyFileRefused(f"others can read the key file {path}: run `chmod 600` on it")
    return found, _parsed(path, text)


def _parsed(path: Path, text: str) -> _Keys:
    try:
        kept: Any = json.loads(text)
        held = _Keys(
            active=str(kept["active"]),
            keys={str(key): b64decode(value, validate=True) for key, value in kept["keys"].items()},
            remote={str(key): KeyUri.read(uri) for key, uri in kept.get("remote", {}).items()},
            staged=kept.get("staged"),
            retired=_moments(kept.get("retired", {})),
            unneeded=_moments(kept.get("unneeded", {})),
        )
        fits = (
            kept["format"] == (_FORMAT_WITH_REMOTE if held.remote else _FORMAT)
            and {*held.keys, *held.remote} >= {held.active, held.staged or held.active}
            and not held.keys.keys() & held.remote.keys()
        )
    except KeyUriRefused as error:
        raise KeyFileRefused(f"{path} names a key that is no key's URI: {error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise KeyFileRefused(
            f"{path} is no key file of ours, or was changed{_BRING_BACK}"
        ) from None
    if not fits or any(len(key) != _KEY_BYTES for key in held.keys.values()):
        raise KeyFileRefused(f"{path} is no key file of ours, or was changed{_BRING_BACK}")
    return held


def _moments(kept: Mapping[str, str]) -> dict[str, datetime]:
    return {str(key_id): datetime.fromisoformat(at) for key_id, at in kept.items()}
