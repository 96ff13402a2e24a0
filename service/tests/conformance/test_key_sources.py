"""What every key source promises: the key file, and each provider's own client against it.

The providers are stand-ins (`tests/support/kms` says what each does not do), reached under their
real names through a proxy. AWS KMS is moto's.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from service.tests.support.key_sources import (
    REMOTE,
    Providers,
    ProvidersSide,
    key_file,
    running_providers,
)
from service.tests.support.values import START

from keyturn_service.adapters.key_sources.file import KeyFile, KeyFileRefused
from keyturn_service.adapters.key_sources.kms_key import KmsAccess
from keyturn_service.adapters.key_sources.remote import KmsKeys
from keyturn_service.vault.data_keys import DataKeyId, associated_data
from keyturn_service.vault.errors import (
    CannotOpen,
    KeyMissing,
    KeySourceRefused,
    KeySourceUnavailable,
)
from keyturn_service.vault.key_uri import KeyUri, Provider

KEY = bytes(range(32))
BOUND = associated_data(DataKeyId("dk_1"), "ws_a")
BY_SCHEME = {
    Provider.AWS: "aws",
    Provider.GCP: "gcp",
    Provider.AZURE: "azure",
    Provider.TRANSIT: "transit",
}
ELSEWHERE = [
    associated_data(DataKeyId("dk_2"), "ws_a"),
    associated_data(DataKeyId("dk_1"), "ws_b"),
    associated_data(DataKeyId("dk_1\0ws_a"), ""),
    associated_data(DataKeyId("dk_1:ws_a"), ""),
    b"",
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    """Every provider."""
    with running_providers(tmp_path_factory.mktemp("kms")) as providers:
        yield providers


@pytest.fixture
def providers(running: Providers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Providers]:
    """Every provider, working, and an environment that leads there."""
    for name, value in running.environment().items():
        monkeypatch.setenv(name, value)
    yield running
    running.reset()


@pytest.fixture(params=REMOTE)
def at(request: pytest.FixtureRequest, providers: Providers) -> ProvidersSide:
    """A key at each provider."""
    return providers.key(request.param)


@pytest.fixture(scope="module")
def kept() -> dict[str, tuple[KeyFile, ProvidersSide]]:
    """Sources that some test has made: a client takes a tenth of a second."""
    return {}


@pytest.fixture(params=["file", *REMOTE])
async def source(
    request: pytest.FixtureRequest,
    providers: Providers,
    kept: dict[str, tuple[KeyFile, ProvidersSide]],
    tmp_path: Path,
) -> KeyFile:
    """Each key source. Tests share it, and leave it as it is; it is asked again at once."""
    if request.param not in kept:
        at = providers.key("transit" if request.param == "file" else request.param)
        of = None if request.param == "file" else at
        kept[request.param] = await key_file(tmp_path / "keyturn.key", of, KmsKeys(rest=0)), at
    return kept[request.param][0]


@pytest.fixture(params=REMOTE)
async def shared(
    request: pytest.FixtureRequest,
    providers: Providers,
    kept: dict[str, tuple[KeyFile, ProvidersSide]],
    tmp_path: Path,
) -> tuple[KeyFile, ProvidersSide]:
    """Each source at a provider, and its provider's side, which works again after the test."""
    if request.param not in kept:
        at = providers.key(request.param)
        kept[request.param] = await key_file(tmp_path / "keyturn.key", at, KmsKeys(rest=0)), at
    return kept[request.param]


@pytest.fixture
def like_it(providers: Providers) -> Callable[[KeyFile], ProvidersSide]:
    """Return another key at the provider of a source; of any, for the key file's own."""

    def made(source: KeyFile) -> ProvidersSide:
        uri = source.active.uri
        return providers.key("transit" if uri is None else BY_SCHEME[uri.provider])

    return made


async def wrapped_by(source: KeyFile) -> bytes:
    """Return the key, wrapped."""
    return await source.wrap(KEY, associated_data=BOUND)


async def test_a_key_comes_back(source):
    """Under the id of the key that wrapped it; and it is not to be seen in what it became."""
    wrapped = await wrapped_by(source)

    assert await source.unwrap(source.active_key_id, wrapped, associated_data=BOUND) == KEY
    assert KEY not in wrapped
    assert b64encode(KEY) not in wrapped


async def test_a_key_opens_for_its_own_place_only(source):
    """Another data key's id or workspace does not open it, nor one that looks like both."""
    wrapped = await wrapped_by(source)

    for bound in ELSEWHERE:
        with pytest.raises(CannotOpen):
            await source.unwrap(source.active_key_id, wrapped, associated_data=bound)


async def test_what_was_changed_does_not_open(source):
    """A bit anywhere, the beginning or the end cut off, nothing at all."""
    wrapped = await wrapped_by(source)
    step = len(wrapped) // 6
    changed = [
        bytes((*wrapped[:at], wrapped[at] ^ 1, *wrapped[at + 1 :]))
        for at in {*range(0, len(wrapped), step), len(wrapped) - 1}
    ]

    for wrong in (*changed, wrapped[1:], wrapped[:-1], wrapped[: len(wrapped) // 2], b"", b"\xff"):
        with pytest.raises(CannotOpen):
            await source.unwrap(source.active_key_id, wrong, associated_data=BOUND)


async def test_only_keys_of_the_key_file_are_asked_for(source, like_it, tmp_path):
    """Whoever writes the database cannot name a key of their own, or have one pass for ours."""
    at = like_it(source)
    theirs = await key_file(tmp_path / "theirs.key", at)
    wrapped = await wrapped_by(theirs)

    for key_id in (theirs.active_key_id, KeyUri.read(at.uri).id, at.uri):
        with pytest.raises(KeyMissing):
            await source.unwrap(key_id, wrapped, associated_data=BOUND)
    with pytest.raises(CannotOpen):
        await source.unwrap(source.active_key_id, wrapped, associated_data=BOUND)


async def test_a_new_version_becomes_active_by_a_rotation(at, tmp_path):
    """Not before: what is counted as needing a version does need it. The old one still opens."""
    remote = KmsKeys()
    source = await key_file(tmp_path / "keyturn.key", at, remote)
    old, wrapped = source.active_key_id, await wrapped_by(source)
    uri = KeyUri.read(at.uri)
    with pytest.raises(KeyFileRefused, match="is the active key already"):
        source.rotate(now=START, uri=await remote.current(uri))

    at.new_version()
    before = await wrapped_by(source)
    assert source.active.uri is not None
    assert source.active.uri.version
    assert source.active.uri.may_be(uri)
    new = source.rotate(now=START, uri=await remote.current(uri))

    assert new == source.active_key_id != old
    for each in (wrapped, before):
        assert await source.unwrap(old, each, associated_data=BOUND) == KEY
    again = await wrapped_by(source)
    assert await source.unwrap(new, again, associated_data=BOUND) == KEY
    source.destroy(old)
    with pytest.raises(KeyMissing):
        await source.unwrap(old, wrapped, associated_data=BOUND)


async def test_the_id_of_a_key_is_the_same_on_every_machine(shared, tmp_path):
    """A key file that is lost is made again from the settings, and opens what there was."""
    first, at = shared
    second = await key_file(tmp_path / "second.key", at, first._remote, seed="second")

    wrapped = await wrapped_by(first)

    assert await second.unwrap(first.active_key_id, wrapped, associated_data=BOUND) == KEY
    assert json.loads((tmp_path / "second.key").read_text())["keys"] == {}


async def test_a_disabled_key_refuses_and_one_that_is_gone_is_missing(at, tmp_path):
    """Whoever disabled it can bring it back. Nothing is wrapped under it either."""
    source = await key_file(tmp_path / "keyturn.key", at, KmsKeys(rest=0))
    wrapped = await wrapped_by(source)
    at.disable()
    with pytest.raises(KeySourceRefused, match=r"(?i)disabled|not enabled|disallowed"):
        await source.unwrap(source.active_key_id, wrapped, associated_data=BOUND)
    at.delete()

    with pytest.raises(KeyMissing, match="key source has no key"):
        await source.unwrap(source.active_key_id, wrapped, associated_data=BOUND)
    with pytest.raises(KeySourceRefused, match="there is no such key"):
        await wrapped_by(source)


async def test_a_provider_that_is_away_is_told_apart(shared, providers):
    """From one that refuses; and it is asked again when it is back."""
    source, _ = shared
    wrapped = await wrapped_by(source)
    providers.front.away = True

    with pytest.raises(KeySourceUnavailable, match="does not answer for") as away:
        await source.unwrap(source.active_key_id, wrapped, associated_data=BOUND)
    with pytest.raises(KeySourceUnavailable):
        await wrapped_by(source)
    assert not isinstance(away.value, KeySourceRefused)
    providers.front.away = False
    assert await source.unwrap(source.active_key_id, wrapped, associated_data=BOUND) == KEY


async def test_an_answer_that_is_none_of_the_providers_is_no_answer(shared, providers):
    """Something in between answers with a page of its own."""
    source, _ = shared
    wrapped = await wrapped_by(source)
    providers.front.garbled = True

    with pytest.raises(KeySourceUnavailable) as said:
        await source.unwrap(source.active_key_id, wrapped, associated_data=BOUND)
    assert not isinstance(said.value, KeySourceRefused)


async def test_a_provider_that_hangs_is_not_waited_for(shared, providers, tmp_path):
    """The time limit holds, and the threads of the disk are free meanwhile."""
    path = tmp_path / "keyturn.key"
    remote = KmsKeys(KmsAccess(answer_seconds=1.0), limit=0.3, rest=0)
    ours, at = shared
    await key_file(path, at, ours._remote)
    source = KeyFile.load(path, ours._randomness, remote)
    wrapped = await wrapped_by(ours)
    providers.front.held = threading.Event()

    asked = [source.unwrap(source.active_key_id, wrapped, associated_data=BOUND) for _ in range(20)]
    said = asyncio.gather(*asked, return_exceptions=True)
    assert await asyncio.wait_for(asyncio.to_thread(int, "7"), 1) == 7
    for refused in await asyncio.wait_for(said, 30):
        assert isinstance(refused, KeySourceUnavailable)
        assert not isinstance(refused, KeySourceRefused)


@pytest.mark.parametrize("verb", ["wrap", "unwrap"])
async def test_a_right_that_is_missing_is_named(shared, verb):
    """The operator reads what the provider said."""
    source, at = shared
    wrapped = await wrapped_by(source)
    (at.deny_wrap if verb == "wrap" else at.deny_unwrap)()

    work = {
        "wrap": source.wrap(KEY, associated_data=BOUND),
        "unwrap": source.unwrap(source.active_key_id, wrapped, associated_data=BOUND),
    }
    asked = work.pop(verb)
    work.popitem()[1].close()

    with pytest.raises(KeySourceRefused, match=r"(?i)refuses .*(kms:|permission|microsoft)"):
        await asked


@pytest.mark.parametrize(
    ("provider", "name", "value"),
    [
        ("aws", "AWS_ACCESS_KEY_ID", "AKIAKEYTURNDUMMY9999"),
        ("gcp", "GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/account.json"),
        ("azure", "AZURE_CLIENT_SECRET", "dummy-wrong"),
        ("transit", "VAULT_TOKEN", "hvs.dummy-wrong"),
    ],
)
async def test_credentials_that_do_not_serve_are_refused(
    providers, monkeypatch, provider, name, value
):
    """Before a key file is made of a key that this program cannot use."""
    at = providers.key(provider)
    monkeypatch.setenv(name, value)

    with pytest.raises(KeySourceRefused):
        await KmsKeys().current(KeyUri.read(at.uri))


async def test_without_credentials_the_operator_is_told_which(providers, monkeypatch, tmp_path):
    """For AWS and Vault their absence shows without a call."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "VAULT_TOKEN"):
        monkeypatch.delenv(name)

    with pytest.raises(KeySourceRefused, match="give this program's role kms:Encrypt"):
        await KmsKeys().current(KeyUri.read(providers.key("aws").uri))
    with pytest.raises(KeySourceRefused, match="KEYTURN_KEY_SOURCE_TOKEN_FILE"):
        await KmsKeys().current(KeyUri.read(providers.key("transit").uri))


async def test_the_token_of_an_agent_is_read_anew(providers, tmp_path):
    """An agent writes a new one before the old one ends; until its first, Vault is away."""
    token = tmp_path / "token"
    remote = KmsKeys(KmsAccess(token_file=token), rest=0)
    uri = KeyUri.read(providers.key("transit").uri)

    with pytest.raises(KeySourceUnavailable, match="cannot read the token"):
        await remote.current(uri)
    for text in ("hvs.dummy-first\n", "hvs.dummy-second\n"):
        token.write_text(text)
        providers.transit.tokens = {text.strip()}
        assert await remote.current(uri)


async def test_a_sealed_vault_is_away(providers, tmp_path):
    """It answers, and somebody unseals it."""
    source = await key_file(tmp_path / "keyturn.key", providers.key("transit"))
    providers.transit.sealed = True

    with pytest.raises(KeySourceUnavailable, match="Vault is sealed") as said:
        await wrapped_by(source)
    assert not isinstance(said.value, KeySourceRefused)


async def test_a_vault_that_says_500_to_what_was_changed_is_not_away(providers, tmp_path):
    """Some releases do: whoever writes the database could make it look away."""
    source = await key_file(tmp_path / "keyturn.key", providers.key("transit"))
    wrapped = await wrapped_by(source)
    providers.transit.changed_is = 500

    with pytest.raises(CannotOpen):
        await source.unwrap(source.active_key_id, wrapped, associated_data=ELSEWHERE[0])
    assert await source.unwrap(source.active_key_id, wrapped, associated_data=BOUND) == KEY


async def test_a_vault_that_knows_no_associated_data_is_not_taken(providers, tmp_path):
    """An old release opens everything everywhere; no key file is made of a key of it."""
    at = providers.key("transit")
    providers.transit.binds = False

    with pytest.raises(KeySourceRefused, match="ignores associated data"):
        await key_file(tmp_path / "keyturn.key", at)
    assert not (tmp_path / "keyturn.key").exists()


async def test_a_trial_asks_nothing_that_the_policy_of_the_docs_forbids(providers, tmp_path):
    """It allows the encryption contexts `keyturn-*` and `trial`; a denial would prove nothing."""
    await key_file(tmp_path / "keyturn.key", providers.key("aws"))

    asked = [each.json()["EncryptionContext"]["keyturn"] for each in providers.front.asked[-4:]]
    assert asked == [*["trial"] * 3, "keyturn-data-key-1:trial:trial"]


async def test_what_a_key_is_for_can_be_read_in_cloudtrail(providers, tmp_path):
    """The encryption context names data key and workspace: policies and readers see it."""
    source = await key_file(tmp_path / "keyturn.key", providers.key("aws"))
    await wrapped_by(source)

    context = providers.front.asked[-1].json()["EncryptionContext"]
    assert context == {"keyturn": "keyturn-data-key-1:dk_1:ws_a"}


async def test_whoever_has_the_public_key_alone_wraps_nothing(providers, tmp_path):
    """RSA lets everybody wrap; so what Azure's key did not sign does not open."""
    at = providers.key("azure")
    source = await key_file(tmp_path / "keyturn.key", at)
    ours = await wrapped_by(source)
    public = providers.azure.public_key(at.uri.rpartition("/")[2])
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    theirs = public.encrypt(b"\x07" * 32, oaep)

    for planted in (ours[:3] + theirs + ours[3 + len(theirs) :], ours[:3] + theirs):
        with pytest.raises(CannotOpen):
            await source.unwrap(source.active_key_id, planted, associated_data=BOUND)


async def test_a_vault_answers_a_challenge_first(providers):
    """The client has no token until the vault says whose it wants."""
    before = providers.azure.challenged

    await KmsKeys().current(KeyUri.read(providers.key("azure").uri))

    assert providers.azure.challenged > before or providers.azure.tokens > 1


async def test_a_client_that_is_not_installed_is_named(providers, monkeypatch):
    """With who installs what."""
    monkeypatch.delitem(
        sys.modules, "keyturn_service.adapters.key_sources.vault_transit", raising=False
    )
    monkeypatch.setitem(sys.modules, "hvac", None)

    with pytest.raises(KeySourceRefused, match=r"pip install 'keyturn-service\[vault\]'"):
        await KmsKeys().current(KeyUri.read(providers.key("transit").uri))
