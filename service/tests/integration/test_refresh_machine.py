"""The refresh protocol as a state machine: nothing twice, nothing lost, and it comes to rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from service.tests.support.oracle import Violation
from service.tests.support.plants import EXCHANGE_PLANTS, PLANTS, Plant
from service.tests.support.refresh_machine import EXCHANGED, TOLD, explore, furnished, told

STORIES = 20
MOVES = 14


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make the database that every world starts with."""
    with furnished(tmp_path_factory.mktemp("template")) as made:
        yield made


@pytest.mark.timeout(600)  # a story that breaks a rule is shortened
def test_no_story_breaks_a_rule_of_the_protocol(template: Path, tmp_path: Path) -> None:
    """Whatever happens in whatever order: nothing twice, nothing lost, and it comes to rest."""
    happened = explore(tmp_path / "world", template, stories=STORIES, moves=MOVES)

    assert happened["stories"] >= STORIES
    assert happened["presented"] > STORIES
    assert happened["cut_off"] + happened["lose_disk"] > STORIES / 9
    assert happened["wake_up_late"] > STORIES / 9
    assert happened["fail_over"] > STORIES / 2
    assert happened["token.replayed"] > STORIES / 9


async def test_no_told_story_breaks_a_rule(template: Path, tmp_path: Path) -> None:
    """The stories that find what is planted find nothing in the product."""
    await told(tmp_path / "world", template, [*TOLD, *EXCHANGED])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_found(
    plant: Plant, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can fail: the told stories, which the product passes, find each of these."""
    plant(monkeypatch)

    with pytest.raises(Violation, match=PLANTS[plant]):
        asyncio.run(told(tmp_path / "world", template, TOLD))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", EXCHANGE_PLANTS)
def test_a_fault_planted_in_the_watch_is_found(
    plant: Plant, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can fail there, too: when the database is exchanged for an older one."""
    plant(monkeypatch)

    with pytest.raises(Violation, match=EXCHANGE_PLANTS[plant]):
        asyncio.run(told(tmp_path / "world", template, EXCHANGED))
