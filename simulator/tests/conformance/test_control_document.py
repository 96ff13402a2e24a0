"""The control port does what its own OpenAPI document says, whatever is sent to it."""

import subprocess
import sys
from pathlib import Path

from orgsim_program import OrgsimProgram

SCHEMATHESIS = str(Path(sys.executable).parent / "schemathesis")


def test_the_control_port_keeps_to_its_document(tmp_path):
    """Schemathesis finds no status, body, type or method that the document does not have."""
    with OrgsimProgram() as program:
        found = subprocess.run(
            [
                SCHEMATHESIS,
                "run",
                f"{program.line['control_url']}/openapi.json",
                "--max-examples=25",
                "--generation-database=none",
                "--suppress-health-check=all",
                "--no-color",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert program.end() == 0
    assert found.returncode == 0, found.stdout
    assert "16 passed" in found.stdout or "Tested: 16" in found.stdout, found.stdout
