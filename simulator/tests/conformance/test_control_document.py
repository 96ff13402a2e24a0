"""The control port does what its own OpenAPI document says, whatever is sent to it."""

import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from orgsim_program import OrgsimProgram

SCHEMATHESIS = str(Path(sys.executable).parent / "schemathesis")


@pytest.mark.takes(50)
@pytest.mark.timeout(300)
def test_the_control_port_keeps_to_its_document(tmp_path):
    """No status, body, type or method that the document does not have, and no valid call refused.

    All checks run, on examples, boundaries, random requests and sequences of calls.
    """
    with OrgsimProgram() as program:
        url = f"{program.line['control_url']}/openapi.json"
        document = httpx2.get(url, trust_env=False).json()
        found = subprocess.run(
            [
                SCHEMATHESIS,
                "run",
                url,
                "--phases=examples,coverage,fuzzing,stateful",
                "--checks=all",
                "--max-examples=40",
                "--generation-database=none",
                "--seed=20261124",
                "--suppress-health-check=all",
                "--no-color",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert program.end() == 0
    assert found.returncode == 0, found.stdout[-6000:]
    tested = re.search(r"Tested: (\d+)", found.stdout)
    assert tested, found.stdout
    assert int(tested[1]) == sum(len(item) for item in document["paths"].values())
