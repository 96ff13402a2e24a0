"""What all tests run under."""

from __future__ import annotations

import gc

from hypothesis import settings

# For `make check`, which is waited for; all other runs try five times as many examples.
settings.register_profile("quick", settings.get_profile("ci"), max_examples=20)


def pytest_collection_finish() -> None:
    """Keep what collecting made out of every later collection of garbage."""
    gc.collect()
    gc.freeze()
