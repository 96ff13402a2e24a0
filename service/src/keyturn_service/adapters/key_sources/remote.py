"""Keys that a key management service holds: asked in threads of their own, with a time limit."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

import structlog

from keyturn_service.adapters.key_sources.kms_key import KmsAccess, KmsKey, NoSuchKey
from keyturn_service.vault.data_keys import DataKeyId, associated_data
from keyturn_service.vault.errors import (
    CannotOpen,
    KeyMissing,
    KeySourceRefused,
    KeySourceUnavailable,
)
from keyturn_service.vault.key_uri import KeyUri, Provider

_T = TypeVar("_T")
_LIMIT: Final = 6.0  # seconds; a caller of the API waits for this
_MAKE_LIMIT: Final = 30.0  # a client that is loaded and looks for its credentials
_REST: Final = 1.0  # seconds that a key is left alone after it did not answer, or refused
_THREADS: Final = 8
_LONGEST_TEXT: Final = 500  # characters of what a provider says
_TRIAL: Final = b"trial"
_ELSEWHERE: Final = associated_data(DataKeyId("trial"), "trial")  # policies allow a data key's
_AWAKE: Final = 0.0, KeySourceUnavailable()
_Verb: TypeAlias = Literal["wrap", "unwrap"]
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Client:
    name: str
    module: str
    cls: str
    extra: str


_HERE: Final = "keyturn_service.adapters.key_sources"
_CLIENTS: Final = {
    Provider.AWS: _Client("AWS KMS", f"{_HERE}.aws_kms", "AwsKmsKey", "aws"),
    Provider.GCP: _Client("Google Cloud KMS", f"{_HERE}.gcp_kms", "GcpKmsKey", "gcp"),
    Provider.AZURE: _Client("Azure Key Vault", f"{_HERE}.azure_key_vault", "AzureKey", "azure"),
    Provider.TRANSIT: _Client("Vault or OpenBao", f"{_HERE}.vault_transit", "TransitKey", "vault"),
}


class RemoteKeys(Protocol):
    """Keys by their URIs."""

    async def wrap(self, uri: KeyUri, key: bytes, *, associated_data: bytes) -> bytes:
        """Wrap a key; see `vault.key_source.KeySource.wrap`."""
        ...

    async def unwrap(self, uri: KeyUri, wrapped: bytes, *, associated_data: bytes) -> bytes:
        """Return a key that was wrapped; see `vault.key_source.KeySource.unwrap`."""
        ...


class KmsKeys:
    """`RemoteKeys` by the providers' own clients, each loaded when the first key of it is met.

    The threads are not those of the disk: a service that hangs holds up no spool.
    """

    def __init__(
        self,
        access: KmsAccess | None = None,
        *,
        limit: float = _LIMIT,
        rest: float = _REST,
        load: Callable[[KeyUri, KmsAccess], KmsKey] | None = None,
    ) -> None:
        self._access = access or KmsAccess()
        self._limit = limit
        self._rest = rest
        self._load = load or _loaded
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="key-source")
        self._keys: dict[KeyUri, KmsKey] = {}
        self._making = asyncio.Lock()
        self._resting: dict[tuple[KeyUri, _Verb], tuple[float, KeySourceUnavailable]] = {}

    async def wrap(self, uri: KeyUri, key: bytes, *, associated_data: bytes) -> bytes:
        """Wrap a key, and see that it opens: what does not would lose all that it seals.

        Raises:
            KeySourceUnavailable: the service does not answer; `KeySourceRefused`: it refuses.
        """
        wrapped = await self._asked(uri, "wrap", lambda kms: kms.wrap(key, associated_data))
        opened = await self._asked(uri, "unwrap", lambda kms: kms.unwrap(wrapped, associated_data))
        if opened != key:
            raise KeySourceUnavailable(f"{uri.text}: what was wrapped does not open")
        return wrapped

    async def unwrap(self, uri: KeyUri, wrapped: bytes, *, associated_data: bytes) -> bytes:
        """Return a key that was wrapped.

        Raises:
            CannotOpen: it was wrapped with other associated data, or changed.
            KeyMissing: the service does not have the key.
            KeySourceUnavailable: the service does not answer; `KeySourceRefused`: it refuses.
        """
        try:
            return await self._asked(
                uri, "unwrap", lambda kms: kms.unwrap(wrapped, associated_data)
            )
        except _Gone:
            raise KeyMissing(uri.text) from None

    async def current(self, uri: KeyUri) -> KeyUri:
        """Return the version of a key that wraps now, after a trial of it.

        Raises:
            KeySourceUnavailable: the service does not answer.
            KeySourceRefused: it refuses, or opens what was wrapped for another place.
        """
        self._keys.pop(uri, None)  # a client may remember which version was the newest
        found = await self._asked(uri, "wrap", lambda kms: kms.current())
        wrapped = await self.wrap(found, _TRIAL, associated_data=_TRIAL)
        await self._see_it_binds(found, wrapped)
        return found

    async def _see_it_binds(self, uri: KeyUri, wrapped: bytes) -> None:
        """See that what opened for its place does not open for another.

        That it cannot be opened there is the proof; no answer, or a missing right, is none.
        """
        try:
            await self._asked(uri, "unwrap", lambda kms: kms.unwrap(wrapped, _ELSEWHERE))
        except CannotOpen:
            return
        raise KeySourceRefused(
            f"{_CLIENTS[uri.provider].name} does not serve for {uri.text}: it, or its release,"
            " ignores associated data, so that whoever writes the database could have one"
            " workspace's key open for another. The operator names another key"
            " (KEYTURN_KEY_SOURCE), or has it brought up to date; what it wrapped before would not"
            " open any more then, so move that to another key first"
        )

    async def _asked(self, uri: KeyUri, verb: _Verb, work: Callable[[KmsKey], _T]) -> _T:
        until, error = self._resting.get((uri, verb), _AWAKE)
        if time.monotonic() < until:
            raise type(error)(str(error))
        try:
            kms = self._keys.get(uri) or await self._made(uri)
            return await self._in_a_thread(partial(work, kms), self._limit)
        except CannotOpen as refused:
            if verb == "unwrap":
                raise
            error = _refused(uri, f"it cannot wrap ({refused})", KeySourceRefused)
        except NoSuchKey as gone:
            error = _refused(uri, f"there is no such key ({gone})", _Gone)
        except KeySourceRefused as refused:
            error = _refused(uri, str(refused), KeySourceRefused)
        except KeySourceUnavailable as away:
            error = _away(uri, str(away))
        except Exception as unknown:  # noqa: BLE001 - whatever a client raises beside, no key came
            error = _away(uri, type(unknown).__name__)
        self._resting[uri, verb] = time.monotonic() + self._rest, error
        raise error

    async def _made(self, uri: KeyUri) -> KmsKey:
        async with self._making:
            if uri not in self._keys:
                self._keys[uri] = await self._in_a_thread(
                    partial(self._load, uri, self._access), _MAKE_LIMIT
                )
            return self._keys[uri]

    async def _in_a_thread(self, work: Callable[[], _T], limit: float) -> _T:
        running: Awaitable[_T] = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            async with asyncio.timeout(limit):  # wait_for swallows a cancellation in 3.11
                return await running
        except TimeoutError:
            raise KeySourceUnavailable(f"no answer within {limit:g} seconds") from None


def _away(uri: KeyUri, because: str) -> KeySourceUnavailable:
    _log.error("key_source_away", name=uri.text, reason=_short(because))
    return KeySourceUnavailable(
        f"{_CLIENTS[uri.provider].name} does not answer for {uri.text}: {_short(because)}"
    )


def _refused(uri: KeyUri, because: str, kind: type[KeySourceRefused]) -> KeySourceRefused:
    _log.error("key_source_refused", name=uri.text, reason=_short(because))
    return kind(f"{_CLIENTS[uri.provider].name} refuses {uri.text}: {_short(because)}")


def _short(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_TEXT]


class _Gone(KeySourceRefused):
    """The service says that it has no such key."""


def _loaded(uri: KeyUri, access: KmsAccess) -> KmsKey:
    """Load the provider's client, and return the key by it.

    Raises:
        KeySourceRefused: the client is not installed.
    """
    client = _CLIENTS[uri.provider]
    try:
        module = importlib.import_module(client.module)
    except ModuleNotFoundError as error:
        raise KeySourceRefused(
            f"the client of {client.name} is not installed (there is no {error.name}): whoever"
            f" installs this service runs `pip install 'keyturn-service[{client.extra}]'`"
        ) from None
    made: KmsKey = getattr(module, client.cls)(uri, access)
    return made
