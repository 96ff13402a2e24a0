"""Requests made up from the OpenAPI document are answered as it says.

All checks run, on examples, on every boundary of the schemas, on random requests, and on
sequences in which one call uses what another one brought.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from web_house import House

# A connection that was disconnected, and a session that ended, stay readable by the contract.
_NOT_PROMISED = "use_after_free"
# What lies behind it is an org, whose answers no document of ours describes.
_PROXIED = "/salesforce/"


@pytest.mark.takes(50)
@pytest.mark.timeout(480)
async def test_the_document_holds(house: House, tmp_path):
    """Valid requests are not called invalid, invalid ones are, and no answer is undocumented."""
    document = (await house.http.get("/openapi.json")).json()
    calls = sum(
        len(item.keys() - {"parameters"})
        for path, item in document["paths"].items()
        if _PROXIED not in path
    )
    running = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "run",
        f"{house.url}/openapi.json",
        *("-H", f"Authorization: Bearer {house.key}"),
        *("--exclude-path-regex", _PROXIED),
        *("--phases", "examples,coverage,fuzzing,stateful"),
        *("--checks", "all"),
        *("--exclude-checks", _NOT_PROMISED),
        *("--max-examples", "30"),
        *("--generation-database", "none"),
        *("--seed", "20261124"),
        "--no-color",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await running.communicate()
    text = said.decode(errors="replace")

    assert running.returncode == 0, text[-5000:]
    tested = re.search(r"Tested: (\d+)", text)
    assert tested, text[-5000:]
    assert int(tested[1]) == calls
