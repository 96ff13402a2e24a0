"""COVERAGE.md is what the route tables say."""

from pathlib import Path

from click.testing import CliRunner

import orgsim
from orgsim.cli import main
from orgsim.faults import MEANINGS

COVERAGE = Path(orgsim.__file__).parent / "COVERAGE.md"


def test_coverage_is_up_to_date():
    """Write it anew: `orgsim coverage > COVERAGE.md`."""
    written = CliRunner().invoke(main, ["coverage"])
    assert written.exit_code == 0
    assert written.output == COVERAGE.read_text("utf-8")


def test_coverage_names_routes_grants_and_faults():
    """All three tables."""
    text = COVERAGE.read_text("utf-8")
    for name in ("/services/oauth2/token", "/services/data/v{version}/query", *MEANINGS):
        assert f"`{name}`" in text
