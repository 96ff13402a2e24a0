"""`domain.audit_check`: whatever happened to a chain, its first bad record is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from service.tests.support.audit_chains import mark_at
from service.tests.support.values import START, event

from keyturn_service.domain.audit import CHAIN_START, AuditRecord, chained
from keyturn_service.domain.audit_check import BadRecord, ChainCheck, Wrong
from keyturn_service.domain.checkpoint import ChainEnd
from keyturn_service.domain.retention import TrimMark

RUN = "run_one"
Chain = list[AuditRecord]


def chain(length: int = 5, *, changed: int | None = None, closed: bool = True) -> Chain:
    """Return a whole chain, the event of one place another one where that is asked for."""
    records: Chain = []
    previous = CHAIN_START
    for place in range(1, length + 1):
        kind = "chain.closed" if closed and place == length else "token.read"
        said = event(type=kind, detail={"number": -place if place == changed else place})
        records.append(chained(said, writer=RUN, sequence=place, previous=previous))
        previous = records[-1].hash
    return records


def end_of(records: Chain, length: int | None = None) -> ChainEnd:
    """Return how far a chain went at a moment."""
    last = records[-1 if length is None else length - 1]
    return ChainEnd(writer=RUN, length=last.sequence, head=last.hash)


def checked(
    records: Iterable[AuditRecord | None],
    signed: ChainEnd | None = None,
    mark: TrimMark | None = None,
) -> tuple[int, Wrong] | None:
    """Return what a check names, until it names something."""
    check = ChainCheck(RUN, signed, mark)
    for record in records:
        bad = check.see(record)
        if bad is not None:
            break
    else:
        bad = check.end()
    if bad is None:
        return None
    assert bad.writer == RUN
    return bad.sequence, bad.wrong


def edited(record: AuditRecord, **changes: Any) -> AuditRecord:
    """Return a record whose event says something else."""
    return replace(record, event=replace(record.event, **changes))


def anew(record: AuditRecord, **changes: Any) -> AuditRecord:
    """Return such a record with its hash computed anew."""
    return chained(
        replace(record.event, **changes),
        writer=RUN,
        sequence=record.sequence,
        previous=record.previous,
    )


def at(record: AuditRecord, place: int) -> AuditRecord:
    """Return a record that was given another place."""
    return replace(record, sequence=place)


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("closed", [True, False])
def test_a_whole_chain_has_no_bad_record(length: int, *, closed: bool) -> None:
    """Ended or still going on, with and without a checkpoint."""
    records = chain(length, closed=closed)
    check = ChainCheck(RUN, end_of(records))

    assert [check.see(record) for record in records] == [None] * length
    assert check.end() is None
    assert (check.length, check.closed) == (length, closed)
    assert checked(records) is None


def test_a_chain_may_have_gone_on_since_the_checkpoint() -> None:
    """Each checkpoint of its past holds."""
    records = chain(9)

    assert [checked(records, end_of(records, length)) for length in range(1, 10)] == [None] * 9


def test_no_record_is_a_whole_chain_of_nobody() -> None:
    """Unless a checkpoint knows of it."""
    assert checked([]) is None
    assert checked([], end_of(chain(3))) == (1, Wrong.LEFT_OUT)


@pytest.mark.parametrize("place", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "edit",
    [
        lambda record: edited(record, actor="key_two"),
        lambda record: replace(record, hash=bytes(32)),
        lambda record: replace(record, previous=b"x" * 32),
        lambda record: edited(record, detail={"number": 2**70}),
        lambda record: edited(record, detail={"text": "\ud800"}),
        lambda record: edited(record, detail={"number": object()}),
        lambda _: None,
    ],
)
def test_an_edited_record_is_named(
    place: int, edit: Callable[[AuditRecord], AuditRecord | None]
) -> None:
    """Whatever of it was changed, also to what no record can be."""
    records: list[AuditRecord | None] = [*chain()]
    records[place - 1] = edit(chain()[place - 1])

    assert checked(records) == (place, Wrong.EDITED)


@pytest.mark.parametrize("place", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 2])
def test_a_deleted_record_is_named(place: int, count: int) -> None:
    """The first of several; not the one that stands behind the gap."""
    records = chain(7)
    del records[place - 1 : place - 1 + count]

    assert checked(records) == (place, Wrong.DELETED)


def test_a_gap_that_was_closed_is_named_where_it_was() -> None:
    """The rest was moved up: what stands there now is not what was recorded there."""
    records = chain(6)
    moved = [*records[:2], *(at(record, record.sequence - 1) for record in records[3:])]

    assert checked(moved) == (3, Wrong.EDITED)


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 3), (2, 5), (1, 5), (4, 5)])
def test_of_two_that_changed_places_the_first_place_is_named(one: int, other: int) -> None:
    """The record that belongs there stands further on."""
    records = chain()
    records[one - 1], records[other - 1] = at(records[other - 1], one), at(records[one - 1], other)

    assert checked(records) == (one, Wrong.REORDERED)


def test_a_record_that_was_moved_behind_the_others_is_named_by_its_place() -> None:
    """It leaves a gap, and yet it is there."""
    records = chain()

    assert checked([records[0], *records[2:], at(records[1], 9)]) == (2, Wrong.REORDERED)
    assert checked([at(record, record.sequence + 1) for record in records]) == (1, Wrong.REORDERED)


def test_what_is_behind_a_gap_is_looked_through_whatever_it_is() -> None:
    """A row that cannot be read does not end the search."""
    records = chain()

    assert checked([records[0], records[2], None, at(records[1], 9)]) == (2, Wrong.REORDERED)
    assert checked([records[0], records[2], None]) == (2, Wrong.DELETED)


@pytest.mark.parametrize("place", [1, 2, 3, 4])
def test_a_record_with_a_new_hash_is_named_by_what_the_next_one_knows(place: int) -> None:
    """The one behind it is as it was written, and hangs on another."""
    records = chain()
    records[place - 1] = anew(records[place - 1], actor="key_two")

    assert checked(records) == (place, Wrong.REWRITTEN)


def test_what_the_checkpoint_holds_was_not_rewritten() -> None:
    """So it is the next one that hangs on something else."""
    records = chain()
    records[2] = chained(records[2].event, writer=RUN, sequence=3, previous=b"x" * 32)

    assert checked(records, end_of(records, 2)) == (3, Wrong.EDITED)
    assert checked(records, end_of(records, 1)) == (2, Wrong.REWRITTEN)


def test_a_first_record_that_hangs_on_something_is_named() -> None:
    """Nothing stands before it."""
    first = chained(event(), writer=RUN, sequence=1, previous=b"x" * 32)

    assert checked([first]) == (1, Wrong.EDITED)
    assert checked([first], end_of(chain(3))) == (1, Wrong.EDITED)


@pytest.mark.parametrize("changed", [1, 3, 5])
def test_a_chain_written_anew_is_found_by_the_checkpoint(changed: int) -> None:
    """By itself it is whole; the last record that is signed is not the one that stands there."""
    records = chain(7, changed=changed)

    assert checked(records) is None
    assert checked(records, end_of(chain(7), 5)) == (5, Wrong.REWRITTEN)


def test_a_chain_written_anew_behind_the_checkpoint_is_not_found_by_it() -> None:
    """A later one would."""
    records = chain(7, changed=6)

    assert checked(records, end_of(chain(7), 5)) is None
    assert checked(records, end_of(chain(7), 6)) == (6, Wrong.REWRITTEN)


@pytest.mark.parametrize("left", [1, 2, 4])
def test_an_end_that_was_cut_off_is_found_by_the_checkpoint(left: int) -> None:
    """The first record that is missing is named; by itself the rest is a chain that goes on."""
    records = chain()

    assert checked(records[:left], end_of(records)) == (left + 1, Wrong.CUT_OFF)
    assert checked(records[:left]) is None


def test_nothing_stands_behind_the_end() -> None:
    """However well it fits."""
    records = chain(3)
    after = chained(event(), writer=RUN, sequence=4, previous=records[-1].hash)

    assert checked([*records, after]) == (4, Wrong.AFTER_END)
    assert checked([*records, at(after, 7)]) == (7, Wrong.AFTER_END)
    assert checked([*records, None]) == (4, Wrong.AFTER_END)


@pytest.mark.parametrize("place", [0, -3])
def test_nothing_stands_before_the_beginning(place: int) -> None:
    """It is named by the place it has."""
    planted = chained(event(), writer=RUN, sequence=place, previous=CHAIN_START)

    assert checked([planted, *chain()]) == (place, Wrong.EDITED)


def test_a_bad_record_says_whose_it_is() -> None:
    """Writer, sequence, and what is wrong."""
    check = ChainCheck("run_two", None)

    assert check.see(None) == BadRecord(writer="run_two", sequence=1, wrong=Wrong.EDITED)


@given(st.data())
def test_no_change_of_rows_goes_unnoticed(data: st.DataObject) -> None:
    """Rows deleted, repeated, swapped or edited: only the chain as it was is whole."""
    whole = chain(6)
    pool = [*whole, *(edited(record, actor="key_two") for record in whole)]
    rows = data.draw(st.lists(st.sampled_from(pool), max_size=8))
    placed = data.draw(st.booleans())
    found = [at(row, place) for place, row in enumerate(rows, start=1)] if placed else rows
    in_order = sorted(found, key=lambda record: record.sequence)

    assert (checked(in_order, end_of(whole)) is None) == (in_order == whole)


@pytest.mark.parametrize("trimmed", [1, 3, 4])
def test_a_chain_that_was_trimmed_is_whole_from_its_mark_on(trimmed: int) -> None:
    """Against every checkpoint of its past, also from before what was removed."""
    records = chain()
    mark = mark_at(records[trimmed - 1], at=START)

    for signed in (None, *(end_of(records, length) for length in range(1, 6))):
        assert checked(records[trimmed:], signed, mark) is None


def test_a_chain_that_is_gone_is_whole_with_its_mark() -> None:
    """And nothing may come behind it; what was removed is counted apart."""
    records = chain()
    mark = mark_at(records[-1], at=START, whole=True)
    check = ChainCheck(RUN, end_of(records), mark)

    assert check.end() is None
    assert (check.trimmed, check.length, check.closed) == (5, 0, True)
    assert checked([at(records[-1], 6)], None, mark) == (6, Wrong.AFTER_END)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (lambda records: records[3:], (3, Wrong.DELETED)),
        (lambda records: records[1:], (2, Wrong.EDITED)),
        (lambda records: [edited(records[2], actor="user"), *records[3:]], (3, Wrong.EDITED)),
        (lambda records: [anew(records[2], actor="user"), *records[3:]], (3, Wrong.REWRITTEN)),
        (
            lambda records: [replace(records[2], previous=bytes(32)), *records[3:]],
            (3, Wrong.EDITED),
        ),
        (lambda _: [], (3, Wrong.CUT_OFF)),
    ],
)
def test_behind_a_mark_the_first_bad_record_is_named(
    left: Callable[[Chain], Chain], expected: tuple[int, Wrong]
) -> None:
    """Also where nothing is left, though the mark says that something is."""
    records = chain()
    mark = mark_at(records[1], at=START)

    assert checked(left(records), None, mark) == expected


def test_a_mark_that_the_checkpoint_contradicts_is_named() -> None:
    """It trimmed a chain that had been written anew."""
    records = chain()
    mark = mark_at(anew(records[1], actor="user"), at=START)

    assert checked([], end_of(records, 2), mark) == (2, Wrong.REWRITTEN)


@pytest.mark.parametrize("trimmed", [1, 2, 4])
def test_a_chain_is_never_trimmed_to_nothing_before_its_end(trimmed: int) -> None:
    """Retention leaves the last record of one that goes on: who leaves only a mark took it."""
    records = chain()[:trimmed]
    mark = mark_at(records[-1], at=START)

    assert checked([], end_of(records), mark) == (trimmed + 1, Wrong.CUT_OFF)
