"""Keys in a key management service, asked in threads: made once, left alone, never trusted."""

from __future__ import annotations

import asyncio

import pytest

from keyturn_service.adapters.key_sources.kms_key import KmsAccess
from keyturn_service.adapters.key_sources.remote import KmsKeys
from keyturn_service.vault.errors import CannotOpen, KeySourceRefused, KeySourceUnavailable
from keyturn_service.vault.key_uri import KeyUri

URI = KeyUri.read("vault-transit://vault.acme.example/transit/keys/keyturn")
KEY = bytes(32)


class Kms:
    """A service that turns bytes round, or does what it is told."""

    def __init__(self) -> None:
        self.made = 0
        self.calls = 0
        self.fails: Exception | None = None
        self.forgets = False
        self.binds = True
        self.elsewhere: Exception = CannotOpen("changed, or wrapped for another place")

    def __call__(self, uri: KeyUri, access: KmsAccess) -> Kms:
        """Stand for the client of a key."""
        del uri, access
        self.made += 1
        return self

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """Wrap a key."""
        self.calls += 1
        if self.fails is not None:
            raise self.fails
        return key[::-1] + associated_data

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the key that was wrapped."""
        if self.forgets:
            return b"another"
        opened = self.wrap(wrapped.removesuffix(associated_data), b"")
        if not wrapped.endswith(associated_data) and self.binds:
            raise self.elsewhere
        return opened

    def current(self) -> KeyUri:
        """Return the newest version."""
        return URI.at("3")


@pytest.fixture
def kms() -> Kms:
    """Return a service."""
    return Kms()


async def test_a_client_is_made_once_for_all_who_ask(kms):
    """Loading one takes a second."""
    keys = KmsKeys(load=kms)

    await asyncio.gather(*(keys.wrap(URI, KEY, associated_data=b"a") for _ in range(20)))

    assert kms.made == 1


async def test_what_does_not_open_is_not_wrapped(kms):
    """Everything sealed under it would be lost."""
    kms.forgets = True

    with pytest.raises(KeySourceUnavailable, match="what was wrapped does not open"):
        await KmsKeys(load=kms).wrap(URI, KEY, associated_data=b"a")


async def test_a_service_that_is_away_is_left_alone_for_a_moment(kms):
    """A thousand readers do not ask it a thousand times."""
    keys = KmsKeys(load=kms, rest=60)
    kms.fails = KeySourceUnavailable("connection refused")

    for _ in range(3):
        with pytest.raises(KeySourceUnavailable, match=r"Vault or OpenBao .* connection refused"):
            await keys.unwrap(URI, b"wrapped", associated_data=b"a")

    assert kms.calls == 1


async def test_a_missing_right_to_wrap_stops_no_unwrapping(kms):
    """Each is left alone for itself, and says the same again meanwhile."""
    keys = KmsKeys(load=kms, rest=60)
    wrapped = await keys.wrap(URI, KEY, associated_data=b"a")
    kms.fails = KeySourceRefused("no right")
    for _ in range(2):
        with pytest.raises(KeySourceRefused, match=r"Vault or OpenBao refuses .* no right"):
            await keys.wrap(URI, KEY, associated_data=b"a")
    kms.fails = None

    assert await keys.unwrap(URI, wrapped, associated_data=b"a") == KEY


async def test_a_key_that_cannot_wrap_is_refused_in_its_services_words(kms):
    """Nothing was to be opened, so nothing was changed: another kind of key is meant."""
    kms.fails = CannotOpen("parameter alg is not allowed for this key")

    with pytest.raises(KeySourceRefused, match=r"cannot wrap .*alg is not allowed"):
        await KmsKeys(load=kms).wrap(URI, KEY, associated_data=b"a")


async def test_an_unknown_error_of_a_client_tells_its_kind_alone(kms):
    """Its text may hold anything."""
    kms.fails = RuntimeError("the key is 0000")

    with pytest.raises(KeySourceUnavailable, match="RuntimeError") as said:
        await KmsKeys(load=kms).unwrap(URI, b"wrapped", associated_data=b"a")
    assert "0000" not in str(said.value)


async def test_the_newest_version_is_asked_of_a_new_client(kms):
    """A client may remember which one was the newest."""
    keys = KmsKeys(load=kms)

    assert (await keys.current(URI)).text == f"{URI.text}/3"
    await keys.current(URI)

    assert kms.made == 3  # twice of the key without version, once of its version


async def test_a_service_that_binds_nothing_is_refused_when_it_is_tried(kms):
    """One workspace's key could be made to open for another. Who mends it is said."""
    kms.binds = False

    with pytest.raises(KeySourceRefused, match=r"ignores associated data.* The operator names"):
        await KmsKeys(load=kms).current(URI)


@pytest.mark.parametrize(
    "said", [KeySourceUnavailable("connection reset"), KeySourceRefused("policy denies it")]
)
async def test_that_another_place_was_not_tried_is_no_proof(kms, said):
    """A service that went away, or did not look, may bind nothing."""
    kms.elsewhere = said

    with pytest.raises(type(said), match=str(said)):
        await KmsKeys(load=kms).current(URI)


async def test_another_place_is_tried_by_a_trial_alone(kms):
    """Wrapped, opened, and not opened elsewhere; a key in use is wrapped and opened."""
    keys = KmsKeys(load=kms)

    await keys.current(URI)
    tried = kms.calls
    await keys.wrap(URI, KEY, associated_data=b"a")

    assert (tried, kms.calls) == (3, 5)
