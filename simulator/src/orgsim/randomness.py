"""Everything random: what a seed decides, and secrets that nobody can foresee.

Every secret carries the world's canary inside, so that a leak can be found by searching for one
text. Its alphabets are the narrowest that Salesforce's own clients accept.

Spec: `@salesforce/core` `authInfo.js` and `sfdc.js` (token and auth URL patterns).
"""

import base64
import hashlib
import hmac
import random  # noqa: TID251 - this is the place it comes from
import secrets  # noqa: TID251 - this is the place it comes from
import string

ALPHANUMERIC = string.ascii_letters + string.digits
_OPAQUE = ALPHANUMERIC + "._"
_ID_CASE = string.ascii_uppercase + "012345"
_ID_CHUNK = 5
_MINIMUM_FILL = 32
_GROUPS = 5
# Three characters whose base64 is four letters in lower case or digits.
_FIRST = "jknorsvwz"
_SECOND = "789ghijklmnowxyz"
_THIRD = string.digits + string.ascii_lowercase


def widen_id(short: str) -> str:
    """Turn a 15-character record ID into its 18-character case-safe form.

    Spec: Salesforce Object Reference, "ID Field Type".
    """
    suffix = ""
    for start in range(0, 15, _ID_CHUNK):
        chunk = short[start : start + _ID_CHUNK]
        suffix += _ID_CASE[sum(1 << at for at, sign in enumerate(chunk) if sign.isupper())]
    return short + suffix


def new_canary() -> str:
    """Return a mark that occurs nowhere by chance.

    It is the base64 of letters and digits, so that it can stand in a JWT as the JWT is sent.
    """
    inner = "".join(secrets.choice(some) for some in (_FIRST, _SECOND, _THIRD) * _GROUPS)
    return base64.b64encode(inner.encode()).decode()


def _read_from_base64(canary: str) -> str:
    """Return what a canary is the base64 of; nothing where that is no text for a JSON string."""
    try:
        inner = base64.b64decode(canary, validate=True).decode("ascii")
    except ValueError:
        return ""
    return inner if inner.isalnum() else ""


def new_key() -> bytes:
    """Return 32 random bytes."""
    return secrets.token_bytes(32)


def _text(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


class Seeded:
    """What one seed decides: ids, names, passwords, lengths. The same seed, the same world."""

    def __init__(self, *, seed: int, canary: str) -> None:
        self._seed = seed
        self._canary = canary
        self._shape = random.Random(f"shape:{seed}")  # noqa: S311 - shapes, not secrets
        self._dice = random.Random(f"dice:{seed}")  # noqa: S311 - hostility, not secrets
        self.length_jitter = self._shape.randrange(0, 24)
        self.leaves_out_optional = self._shape.random() < 0.5  # noqa: PLR2004 - a coin
        self.scope_order = self._shape.randrange(1, 1000)

    def _letters(self, label: str, length: int, alphabet: str = ALPHANUMERIC) -> str:
        pick = random.Random(  # noqa: S311 - derived by HMAC, the stream only spreads it
            hmac.digest(f"{self._seed}:{self._canary}".encode(), label.encode(), hashlib.sha256)
        )
        return "".join(pick.choice(alphabet) for _ in range(length))

    def _public(self, label: str, length: int, alphabet: str = ALPHANUMERIC) -> str:
        pick = random.Random(f"{self._seed}:{label}")  # noqa: S311 - public identifiers
        return "".join(pick.choice(alphabet) for _ in range(length))

    def record_id(self, prefix: str, label: str) -> str:
        """Return an 18-character ID that starts with `prefix`."""
        return widen_id(f"{prefix}5g{self._public(f'id:{prefix}:{label}', 10)}")

    def consumer_key(self, name: str) -> str:
        """Return a consumer key: public, so without the canary."""
        return "3MVG9" + self._public(f"consumer key:{name}", 80, _OPAQUE)

    def consumer_secret(self, name: str) -> str:
        """Return a consumer secret."""
        return self._letters(f"consumer secret:{name}", 44, "0123456789ABCDEF") + self._canary

    def password(self, username: str) -> str:
        """Return a person's password."""
        return f"{self._letters(f'password:{username}', 10)}-{self._canary}"

    def dice(self) -> float:
        """Return the next throw, 0 to 1, of the seed's own dice."""
        return self._dice.random()


class Mint:
    """Makes the secrets of a running world; no seed foretells them."""

    def __init__(self, *, canary: str, length_jitter: int) -> None:
        self._canary = canary
        self._inner = _read_from_base64(canary)
        self._jitter = length_jitter

    def _marked(self, alphabet: str, length: int) -> str:
        """Return a text of about `length` characters with the canary somewhere inside."""
        fill = max(length + self._jitter - len(self._canary), _MINIMUM_FILL)
        text = _text(alphabet, fill)
        at = 4 + secrets.randbelow(fill - 8)
        return text[:at] + self._canary + text[at:]

    def access_token(self, org_id: str) -> str:
        """Return an opaque access token: 15-character org ID, `!`, letters, digits, `.`, `_`."""
        return f"{org_id[:15]}!{self._marked(_OPAQUE, 96)}"

    def refresh_token(self) -> str:
        """Return a refresh token of the alphabet that fits into an SFDX auth URL."""
        return "5Aep861" + self._marked(_OPAQUE, 80)

    def authorization_code(self) -> str:
        """Return a code; its `==` must be encoded in a query and decoded again."""
        return f"aPrx{self._marked(_OPAQUE, 76)}=="

    def handle(self) -> str:
        """Return an opaque handle for a browser: a cookie, a form's token, a pending request."""
        return _text(ALPHANUMERIC, 40)

    def request_id(self) -> str:
        """Return a request's id: 32 hexadecimal digits, no secret."""
        return secrets.token_hex(16)

    def browser_secret(self) -> str:
        """Return what logs a browser in: a session's cookie, a pass for a front door."""
        return self._marked(ALPHANUMERIC, 60)

    def session_mark(self, *, before: int) -> str:
        """Return the opaque `sfi` of a JWT access token, behind so many bytes of its claims.

        It carries the canary, and so placed that it is in the claims' base64 as well: three
        bytes become four characters.
        """
        fill = _text(_OPAQUE, 4 + -(before + 4) % 3)
        return fill + self._inner + self._marked(_OPAQUE, 40)
