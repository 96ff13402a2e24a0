"""What has to hold of how any page looks: read aloud, narrow, in the dark, and by keyboard."""

from __future__ import annotations

from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships none
from tests.browser.hands import Keyboard
from tests.support.browser import NARROW, WIDE, Person

_GRAVE: Final = frozenset({"serious", "critical"})
_LEAST_OUTLINE: Final = 2  # pixels
_AXE: Final = Axe()


def faults_of(person: Person, name: str) -> list[str]:
    """Look at the page in each way; return what is wrong, and keep pictures of it.

    The window is wide, and its colours are light, before and after.
    """
    person.photograph(f"{name}-wide")
    faults = [*_read_aloud(person, "light"), *_unseen_stops(person)]
    person.resize(NARROW)
    person.photograph(f"{name}-narrow")
    if person.sideways() > 0:
        faults.append(f"narrow: {person.sideways()} pixels stick out")
    person.page.emulate_media(color_scheme="dark")
    person.photograph(f"{name}-dark")
    faults += _read_aloud(person, "dark and narrow")
    person.page.emulate_media(color_scheme="light")
    person.resize(WIDE)
    return faults


def _read_aloud(person: Person, how: str) -> list[str]:
    """Ask axe."""
    violations: list[dict[str, Any]] = _AXE.run(person.page).response["violations"]
    return [
        f"{how}: {found['id']} ({found['impact']}): {node['html']}"
        for found in violations
        if found["impact"] in _GRAVE
        for node in found["nodes"]
    ]


def _unseen_stops(person: Person) -> list[str]:
    """Walk through by Tab; every control is a stop, and every stop is seen."""
    stops = Keyboard(person).stops()
    unseen = [
        f"focus is not seen: {stop}"
        for stop in stops
        if stop["outline"] < _LEAST_OUTLINE or not stop["inWindow"] or not stop["onTop"]
    ]
    controls = "a[href]:visible, button:visible, select:visible, input:visible"
    wanted = person.page.locator(controls).count()
    radios = person.page.locator("input[type=radio]").count()
    least = wanted - max(0, radios - 1)  # a group of radio buttons is one stop
    if len(stops) < least:
        unseen.append(f"{len(stops)} stops for {least} controls")
    return unseen
