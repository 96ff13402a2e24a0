"""The builder's pages say all that there is: schema, keys, errors."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tools.reference import PAGES, SCHEMA

from keyturn_builder.app_config import AppConfig
from keyturn_builder.config_file import parse_config, schema_text

ROOT = Path(__file__).parents[2]


def test_the_schema_is_published_as_it_is() -> None:
    """`python -m tools.reference` would change nothing."""
    assert (ROOT / SCHEMA).read_text(encoding="utf-8") == schema_text()


def test_the_example_of_the_page_is_sound() -> None:
    """It is what people copy first."""
    page = (ROOT / PAGES / "keyturn-toml.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    assert parse_config(example, file="keyturn-toml.md").package.source == "force-app"
    assert set(tomllib.loads(example)) == set(AppConfig.model_fields)
