"""Keys in headers, and the limit for strangers."""

from __future__ import annotations

import pytest

from keyturn_service.web.problems import WebRefusal
from keyturn_service.web.security import Strangers, bearer

KNOWN, WRONG = b"known", b"wrong"


class TestClock:
    """The machine's clock, set by hand."""

    __test__ = False

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self):
        """Return the seconds as they were set."""
        return self.seconds


def exhausted(clock):
    """Return strangers after more wrong keys from one address than it may show."""
    strangers = Strangers(clock)
    for _ in range(60):
        strangers.check("10.0.0.1", WRONG)
        strangers.turn_away("10.0.0.1", WRONG)
    return strangers


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([b"Bearer kt_live_x"], "kt_live_x"),
        ([b"bearer  kt_live_x "], "kt_live_x"),
        ([b"OAuth 00D!abc"], "00D!abc"),
        ([b"Basic a3Q6eA=="], None),
        ([b"kt_live_x"], None),
        ([], None),
        ([b"Bearer a", b"Bearer b"], None),
    ],
)
def test_a_credential_is_read_from_authorization(values, shown):
    """Two headers are one too many: who reads which cannot be known."""
    headers = [(b"authorization", value) for value in values]

    assert bearer({"type": "http", "headers": headers}) == shown


def test_an_address_with_too_many_wrong_keys_is_refused():
    """The key is not even looked up, and the refusal says when to come back."""
    strangers = exhausted(TestClock())

    with pytest.raises(WebRefusal) as refused:
        strangers.check("10.0.0.1", b"another")

    assert refused.value.code == "too_many_failures"


def test_other_addresses_are_not_concerned():
    """The limit is of one address."""
    exhausted(TestClock()).check("10.0.0.2", WRONG)


def test_a_key_that_opened_something_passes_whatever_its_neighbours_do():
    """Nobody locks out who calls from the same address."""
    strangers = exhausted(TestClock())
    strangers.welcome(KNOWN)

    strangers.check("10.0.0.1", KNOWN)


def test_a_key_that_opens_nothing_any_more_is_a_stranger_again():
    """A deleted key loses what it had."""
    strangers = exhausted(TestClock())
    strangers.welcome(KNOWN)
    strangers.turn_away("10.0.0.1", KNOWN)

    with pytest.raises(WebRefusal):
        strangers.check("10.0.0.1", KNOWN)


def test_an_address_may_try_again_later():
    """One key a second."""
    clock = TestClock()
    strangers = exhausted(clock)
    clock.seconds += 1

    strangers.check("10.0.0.1", WRONG)
