"""The refresh protocol as a state machine: stories that nobody has told, new ones each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from service.tests.support.refresh_machine import explore, furnished

STORIES = 1500
LENGTHS = (14, 30)  # moves


@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("moves", LENGTHS)
def test_no_story_breaks_a_rule_of_the_protocol(tmp_path: Path, moves: int) -> None:
    """Whatever happens in whatever order: nothing twice, nothing lost, and it comes to rest."""
    (tmp_path / "template").mkdir()
    with furnished(tmp_path / "template") as template:
        happened = explore(tmp_path / "world", template, stories=STORIES, moves=moves, anew=True)

    assert happened["stories"] >= STORIES
    assert happened["fail_over"] > STORIES
    assert happened["token.replayed"] > STORIES / 9
