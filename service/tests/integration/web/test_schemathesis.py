"""Requests made up from the OpenAPI document are answered as it says."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from web_house import House

# A connection that was disconnected stays readable, as `revoked`, by the contract.
_NOT_PROMISED = "use_after_free"


@pytest.mark.timeout(240)
async def test_the_document_holds(house: House, tmp_path):
    """Valid requests are not called invalid, invalid ones are, and no answer is undocumented."""
    running = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "run",
        f"{house.url}/openapi.json",
        *("-H", f"Authorization: Bearer {house.key}"),
        *("--exclude-path-regex", "/salesforce/"),
        *("--phases", "examples,coverage,fuzzing"),
        *("--exclude-checks", _NOT_PROMISED),
        *("--max-examples", "15"),
        *("--seed", "20261124"),
        "--no-color",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await running.communicate()

    assert running.returncode == 0, said.decode(errors="replace")[-5000:]
