"""Seals, hashes of tokens, signatures."""

import base64

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from orgsim.keyring import (
    Seal,
    SigningKey,
    TokenHashes,
    base64url,
    kept_secret,
    load_or_make_key,
)
from orgsim.orgs.store import Store

SEAL = Seal(b"k" * 32)


@given(st.text(max_size=20), st.binary(max_size=200))
def test_what_is_sealed_opens_under_its_label(label, data):
    """And looks different each time."""
    sealed = SEAL.seal(label, data)
    assert SEAL.open(label, sealed) == data
    assert sealed != SEAL.seal(label, data)


def test_a_seal_opens_under_no_other_label_or_key():
    """Nor when a bit has changed."""
    sealed = SEAL.seal("canary", b"secret")
    with pytest.raises(InvalidTag):
        SEAL.open("hash key", sealed)
    with pytest.raises(InvalidTag):
        Seal(b"x" * 32).open("canary", sealed)
    with pytest.raises(InvalidTag):
        SEAL.open("canary", sealed[:-1] + bytes([sealed[-1] ^ 1]))


def test_a_kept_secret_stays_the_first_one(tmp_path):
    """Over restarts, and no file holds it as it is."""
    path = tmp_path / "world.sqlite"
    for fresh in (b"the first one", b"another one"):
        store = Store(path)
        assert kept_secret(store, SEAL, "canary", fresh=fresh) == b"the first one"
        store.close()
    assert b"the first one" not in path.read_bytes()


def test_a_sealing_key_is_its_owners_only(tmp_path):
    """And the same one the next time."""
    path = tmp_path / "seal.key"
    assert load_or_make_key(path) == load_or_make_key(path)
    assert path.stat().st_mode & 0o077 == 0


def test_hashes_tell_tokens_apart_and_uses_too():
    """The journal's are short and of another key."""
    ours, theirs = TokenHashes(b"a" * 32), TokenHashes(b"b" * 32)
    assert ours.lookup("t") == ours.lookup("t") != ours.lookup("u")
    assert ours.lookup("t") != theirs.lookup("t")
    assert not ours.lookup("t").startswith(ours.reference("t"))


def test_a_signature_verifies_with_the_published_key():
    """Read back from the JWK."""
    key = SigningKey.load(kid="210", pem=SigningKey.new_pem())
    jwk = key.public_jwk()
    head, body, signature = key.sign({"sub": "ada"}).split(".")
    numbers = rsa.RSAPublicNumbers(
        e=int.from_bytes(_decoded(jwk["e"])), n=int.from_bytes(_decoded(jwk["n"]))
    )
    numbers.public_key().verify(
        _decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )


def _decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@given(st.binary(max_size=40))
def test_base64url_is_unpadded(data):
    """And reads back."""
    assert "=" not in base64url(data)
    assert _decoded(base64url(data)) == data
