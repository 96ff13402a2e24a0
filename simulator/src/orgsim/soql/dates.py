"""Date literals: the days that words such as `LAST_N_DAYS:30` mean.

The users of these orgs live in the time zone GMT, their weeks start on Sunday, and their fiscal
year is the calendar's.

Spec: SOQL and SOSL Reference, "Date Formats and Date Literals".
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Unit = Literal["DAY", "WEEK", "MONTH", "QUARTER", "YEAR"]

_MONTHS_IN: dict[Unit, int] = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_NINETY = 90
_NEXT_TO = {"YESTERDAY": -1, "LAST": -1, "TOMORROW": 1, "NEXT": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Whole days from `first` on; `end` is the day after the last."""

    first: date
    end: date


_UNITS: tuple[Unit, ...] = ("WEEK", "MONTH", "QUARTER", "YEAR")


def _unit_of(word: str) -> Unit:
    return next((unit for unit in _UNITS if unit in word), "DAY")


def _literals() -> tuple[frozenset[str], frozenset[str]]:
    plain = {"YESTERDAY", "TODAY", "TOMORROW", "LAST_90_DAYS", "NEXT_90_DAYS"}
    counted = set[str]()
    for unit in ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR", "FISCAL_QUARTER", "FISCAL_YEAR"):
        if unit != "DAY":
            plain |= {f"{which}_{unit}" for which in ("LAST", "THIS", "NEXT")}
        counted |= {f"LAST_N_{unit}S", f"NEXT_N_{unit}S", f"N_{unit}S_AGO"}
    return frozenset(plain), frozenset(counted)


_PLAIN, _COUNTED = _literals()


def known_date_literal(word: str) -> bool:
    """Tell whether a word is a date literal."""
    return word in _PLAIN or word in _COUNTED


def takes_count(word: str) -> bool:
    """Tell whether a date literal is followed by a colon and a number."""
    return word in _COUNTED


def _start(unit: Unit, day: date, *, moved: int) -> date:
    """Return the first day of the unit around `day`, so many units later.

    Raises:
        OverflowError: outside of the calendar.
    """
    if unit == "DAY":
        return day + timedelta(days=moved)
    if unit == "WEEK":
        since_sunday = (day.weekday() + 1) % 7
        return day + timedelta(days=7 * moved - since_sunday)
    size = _MONTHS_IN[unit]
    month = (day.year * 12 + day.month - 1) // size * size + moved * size
    if not 12 <= month < 9999 * 12:  # noqa: PLR2004 - years 1 to 9998
        raise OverflowError
    return date(month // 12, month % 12 + 1, 1)


def _shift(word: str, unit: Unit, count: int) -> tuple[int, int]:
    """Return from which unit to before which, counted from the one around today."""
    if word.startswith("LAST_N_"):
        return -count, 1 if unit == "DAY" else 0
    if word.startswith("NEXT_N_"):
        return 1, count + 1
    if word.startswith("N_"):
        return -count, 1 - count
    begin = _NEXT_TO.get(word.split("_", maxsplit=1)[0], 0)
    return begin, begin + 1


def days_of(word: str, count: int | None, *, today: date) -> Days:
    """Return the days that a date literal means on a given day.

    Raises:
        OverflowError: outside of the calendar.
    """
    if word in {"LAST_90_DAYS", "NEXT_90_DAYS"}:
        word, count = f"{word[:4]}_N_DAYS", _NINETY
    unit = _unit_of(word)
    first, end = _shift(word, unit, count or 0)
    return Days(first=_start(unit, today, moved=first), end=_start(unit, today, moved=end))
