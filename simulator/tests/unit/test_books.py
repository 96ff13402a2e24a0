"""Books of a world: grants, sessions, codes and logins, kept and found again."""

from datetime import UTC, datetime, timedelta

from orgsim.keyring import TokenHashes
from orgsim.orgs.browsers import Pass, Shelf
from orgsim.orgs.codes import Code, CodeBook
from orgsim.orgs.grants import Grant, GrantBook
from orgsim.orgs.logins import LoginCounter
from orgsim.orgs.sessions import Session, SessionBook
from orgsim.orgs.store import Store

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HASHES = TokenHashes(b"k" * 32)


def _grant(grant_id="g1"):
    return Grant(
        grant_id=grant_id,
        org_id="00D",
        user_id="005",
        consumer_key="3MVG9",
        scopes=frozenset({"api"}),
        created_at=NOW,
        last_used_at=NOW,
        refresh_hash=None,
    )


def _session(grant_id="g1"):
    return Session(
        token_hash="",
        grant_id=grant_id,
        org_id="00D",
        user_id="005",
        consumer_key="3MVG9",
        scopes=frozenset({"api"}),
        created_at=NOW,
        last_used_at=NOW,
        idle_minutes=120,
    )


def test_a_grant_is_found_by_any_token_that_was_its_own(tmp_path):
    """Also after a restart; only the last one is in force."""
    store = Store(tmp_path / "world.sqlite")
    book = GrantBook(store=store, hashes=HASHES)
    grant = book.add(_grant(), refresh_token="first")
    book.rotate(grant, refresh_token="second", now=NOW)
    for known in (book, GrantBook(store=store, hashes=HASHES)):
        first, second = known.presented("first"), known.presented("second")
        assert first is not None
        assert second is not None
        assert first[0].grant_id == second[0].grant_id == "g1"
        assert (first[1], second[1]) == (False, True)
        assert known.presented("third") is None
    book.remove("g1")
    assert book.presented("first") is None
    assert len(GrantBook(store=store, hashes=HASHES)) == 0
    store.close()


def test_a_session_ends_two_hours_after_its_last_use():
    """Then it is forgotten."""
    book = SessionBook(store=Store(None), hashes=HASHES)
    session = book.add(_session(), access_token="t")
    assert book.find("t", now=NOW + timedelta(minutes=119)) == session
    book.extend(session, now=NOW + timedelta(minutes=119))
    assert book.find("t", now=NOW + timedelta(minutes=238)) is not None
    assert book.find("t", now=NOW + timedelta(minutes=239)) is None
    assert len(book) == 0


def test_sessions_end_with_their_grant_or_org():
    """And no other ones."""
    book = SessionBook(store=Store(None), hashes=HASHES)
    for grant_id, token in (("g1", "a"), ("g1", "b"), ("g2", "c")):
        book.add(_session(grant_id), access_token=token)
    book.end_of_grant("g1")
    assert [book.find(token, now=NOW) is None for token in "abc"] == [True, True, False]
    assert book.end_of_org("00D", user_id="another") == 0
    assert book.end_of_org("00D") == 1


def test_codes_are_forgotten_when_they_are_long_dead():
    """Used ones are known until then."""
    store = Store(None)
    book = CodeBook(store=store, hashes=HASHES)
    code = Code(
        code_hash="",
        org_id="00D",
        user_id="005",
        consumer_key="3MVG9",
        redirect_uri="https://app.example/",
        scopes=frozenset(),
        code_challenge=None,
        nonce=None,
        issued_at=NOW,
    )
    book.use(book.add(code, text="one"), grant_id="g1")
    found = book.find("one")
    assert found is not None
    assert (found.used, found.grant_id) == (True, "g1")
    book.add(Code(**_fields(code, issued_at=NOW + timedelta(minutes=31))), text="two")
    assert book.find("one") is None


def _fields(code, **changed):
    return {name: getattr(code, name) for name in code.__dataclass_fields__} | changed


def test_logins_are_counted_by_the_hour():
    """So many for each user, and anew as the hour passes."""
    counter = LoginCounter()
    times = [NOW + timedelta(minutes=20 * at) for at in range(5)]
    assert [counter.allows("a", most=2, now=at) for at in times] == [True, True, False, True, True]
    assert counter.allows("b", most=2, now=NOW)


def test_a_pass_serves_once_and_for_a_minute():
    """Whichever comes first."""
    shelf: Shelf[Pass] = Shelf(timedelta(minutes=1))
    ticket = Pass(org_id="00D", user_id="005", site="org1", at=NOW)
    shelf.put("one", ticket)
    shelf.put("two", ticket)
    assert shelf.take("one", now=NOW) == ticket
    assert shelf.take("one", now=NOW) is None
    assert shelf.get("two", now=NOW + timedelta(minutes=1)) is None
    assert shelf.get(None, now=NOW) is None
