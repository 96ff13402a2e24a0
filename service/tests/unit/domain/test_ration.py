"""`domain.ration`: strangers are recorded, but cannot fill a disk."""

from __future__ import annotations

from keyturn_service.domain.ration import Ration


def test_a_flood_is_recorded_up_to_a_burst_and_then_by_the_second() -> None:
    """Sixty at once, then one a second, whatever comes."""
    ration = Ration()

    recorded = [ration.take(1000.0 + n / 1000) for n in range(1000)]

    assert sum(left_out is not None for left_out in recorded) == 60
    assert ration.take(1002.5) is not None
    assert ration.take(1002.6) is not None
    assert ration.take(1002.7) is None


def test_a_burst_can_be_larger() -> None:
    """For what cannot come often; it too grows by one a second."""
    ration = Ration(burst=200.0)

    assert [ration.take(0.0) for _ in range(201)].count(None) == 1
    assert [ration.take(86_400.0) for _ in range(201)].count(None) == 1


def test_what_was_left_out_is_told_with_the_next_record() -> None:
    """Once, so that the trail says how much it does not hold."""
    ration = Ration()
    for _ in range(100):
        ration.take(0.0)

    assert ration.take(10.0) == 40
    assert ration.take(10.0) == 0


def test_a_quiet_time_saves_up_no_more_than_the_burst() -> None:
    """A day of silence does not allow a day's records at once."""
    ration = Ration()
    ration.take(0.0)

    assert [ration.take(86_400.0) for _ in range(61)].count(None) == 1


def test_a_second_allows_one_record_however_often_it_is_asked() -> None:
    """Half a second after the burst allows none, and two seconds allow two."""
    ration = Ration()
    for _ in range(60):
        ration.take(0.0)

    assert ration.take(0.5) is None
    assert [ration.take(2.0) for _ in range(3)].count(None) == 1
