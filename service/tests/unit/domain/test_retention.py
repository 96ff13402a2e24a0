"""`domain.retention`: what of a chain may go, and the mark that stands for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs
from service.tests.support.audit_chains import a_chain, end_of, mark_at
from service.tests.support.values import START

from keyturn_service.domain.audit import AuditRecord
from keyturn_service.domain.checkpoint import ChainEnd
from keyturn_service.domain.retention import ChainNotWhole, TrimMark, next_mark

LATER = START + timedelta(days=1)
OPEN, CLOSED = a_chain("run_one", 5), a_chain("run_one", 5, closed=True)


def up_to(
    page: list[AuditRecord], mark: TrimMark | None = None, **changes: Any
) -> tuple[int, bool] | None:
    """Return how far a chain may be trimmed, and whether that is all of it."""
    asked = {"end": end_of(CLOSED), "before": LATER, "at": LATER, "most": 9} | changes
    found = next_mark(page, mark=mark, **asked)
    if found is None:
        return None
    assert (found.writer, found.at) == ("run_one", LATER)
    assert found.head == page[found.sequence - page[0].sequence].hash
    return found.sequence, found.whole


def test_a_chain_that_was_closed_goes_as_a_whole() -> None:
    """All of it is old and vouched for."""
    assert up_to(CLOSED) == (5, True)


def test_a_chain_that_goes_on_keeps_its_last_record() -> None:
    """Its run, if it still goes on, knows by it where it is."""
    assert up_to(OPEN, end=end_of(OPEN)) == (4, False)
    assert up_to(OPEN[:1], end=end_of(OPEN)) is None


def test_what_the_checkpoint_does_not_know_stays() -> None:
    """However old it is."""
    assert up_to(OPEN, end=end_of(OPEN[:2])) == (2, False)


def test_what_is_not_old_stays_with_all_behind_it() -> None:
    """A record of the very moment is not old."""
    assert up_to(CLOSED, before=START) is None
    assert up_to(CLOSED, before=START + timedelta(microseconds=1)) == (5, True)


def test_only_so_many_go_at_once_and_the_next_ones_follow() -> None:
    """From the mark on."""
    assert up_to(CLOSED, most=3) == (3, False)
    mark = mark_at(CLOSED[2], at=START)
    assert up_to(CLOSED[3:], mark, most=1) == (4, False)
    assert up_to([], mark) is None


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize(
    "change",
    [
        lambda _: None,
        lambda record: structs.replace(record, sequence=9),
        lambda record: structs.replace(record, previous=bytes(31)),
        lambda record: structs.replace(record, hash=bytes(32)),
    ],
)
def test_a_page_that_is_not_whole_is_left_as_it_is(place: int, change: Any) -> None:
    """The first bad record is named, also behind what would go."""
    page: list[Any] = list(CLOSED)
    page[place] = change(page[place])

    with pytest.raises(ChainNotWhole) as caught:
        up_to(page, most=1)

    assert caught.value.args == ("run_one", place + 1)


def test_a_chain_that_does_not_lead_to_the_checkpoint_is_left_as_it_is() -> None:
    """It fits itself, and was written anew."""
    with pytest.raises(ChainNotWhole):
        up_to(CLOSED, end=ChainEnd(writer="run_one", length=4, head=bytes(32)))


def test_nothing_may_stand_behind_the_end_of_a_chain() -> None:
    """Nor behind a mark that says it is gone."""
    behind = a_chain("run_one", 6)[5]
    for page, mark in (
        ([*CLOSED, structs.replace(behind, previous=CLOSED[-1].hash)], None),
        ([behind], mark_at(CLOSED[-1], at=START, whole=True)),
    ):
        with pytest.raises(ChainNotWhole) as caught:
            up_to(page, mark)
        assert caught.value.args == ("run_one", 6)


def test_a_mark_covers_what_a_checkpoint_knows_up_to_it() -> None:
    """At its own record it has to have the same hash."""
    mark = mark_at(OPEN[2], at=START)

    assert [mark.covers(end_of(OPEN[:length])) for length in (1, 2, 3, 4)] == [True] * 3 + [False]
    assert not mark.covers(ChainEnd(writer="run_one", length=3, head=bytes(32)))


@pytest.mark.parametrize(
    "changes",
    [{"writer": "run_x"}, {"sequence": 4}, {"head": bytes(32)}, {"whole": True}, {"at": LATER}],
)
def test_all_that_a_mark_says_is_signed(changes: dict[str, Any]) -> None:
    """None of it can be changed unseen."""
    mark = mark_at(OPEN[2], at=START)

    assert replace(mark, **changes).message() != mark.message()
    assert mark.message().startswith(b"keyturn-audit-trim-1\x00")
