"""A vendor's machine: a home in which the real `sf` is logged in, and a folder for the product."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.sf import SF, Sf, browser_of, user_of
from tools.vendor_machine import Ended, VendorMachine
from tools.world import World

# The product's addresses, as a real vendor has them.
ADDRESSES = (
    *("--return-origin", "https://app.acme.example", "--egress", "192.0.2.8/29"),
    *("--post-install-url", "https://app.acme.example/installed"),
)
# Records arguments, and the private home as each command of `sf` leaves it.
_RECORDER = f"""#!{sys.executable}
import os, pathlib, shutil, subprocess, sys, time
record = pathlib.Path({{record!r}})
number = len(list(record.iterdir()))
mine = record / f"{{{{number:03}}}}"
mine.mkdir()
(mine / "argv").write_text("\\n".join(sys.argv[1:]))
begun = time.monotonic()
status = subprocess.run([{str(SF)!r}, *sys.argv[1:]]).returncode
(mine / "seconds").write_text(str(time.monotonic() - begun))
home = pathlib.Path(os.environ["HOME"])
if home.name.startswith("keyturn-sf-"):
    shutil.copytree(home, mine / "home", symlinks=True)
sys.exit(status)
"""


class Machine(VendorMachine):
    """Runs `keyturn` as the vendor does; `record` has what `sf` was given and left."""

    def __init__(self, folder: Path, world: World) -> None:
        super().__init__(folder, world)
        self.sf = Sf(self.home)
        self.record = folder / "record"
        self.said = folder / "said"
        for one in (self.record, self.said):
            one.mkdir()
        self.ran: set[tuple[str, ...]] = set()
        recorder = folder / "sf"
        recorder.write_text(_RECORDER.format(record=str(self.record)))
        recorder.chmod(0o755)
        self.environment["KEYTURN_SF"] = str(recorder)

    def beside(self, folder: Path) -> Machine:
        """Return another machine of the same vendor, logged in, with its own `keyturn.toml`."""
        other = Machine(folder, self.world)
        other.log_in()
        other.start_config(*ADDRESSES)
        return other

    @property
    def calls(self) -> int:
        """How often `sf` was called."""
        return len(list(self.record.iterdir()))

    def argvs(self, since: int) -> list[list[str]]:
        """Return the arguments of the calls of `sf` from the one of that number on."""
        calls = sorted(self.record.iterdir())[since:]
        return [(call / "argv").read_text().splitlines() for call in calls]

    def keyturn(self, *arguments: str) -> Ended:
        """Run a command in the product's folder; what it says is kept in `said`."""
        ended = super().keyturn(*arguments)
        self._keep(arguments[:2], ended)
        return ended

    def kill_at_step(self, name: str, *arguments: str | Path) -> bool:
        """Run a command, and kill it as it begins a step; tell whether it came so far."""
        with subprocess.Popen(
            self.argv(*map(str, arguments)),
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stderr is not None
            for line in running.stderr:
                if line.rstrip() == f"... {name}":
                    running.kill()
                    return True
        return False

    def _keep(self, words: tuple[str, ...], ended: Ended) -> None:
        self.ran.add(words)
        number = len(list(self.said.iterdir()))
        (self.said / f"{number:03}-{'-'.join(words)}").write_text(ended.out + ended.err)

    def seconds_in_sf(self, since: int) -> float:
        """Return how long the calls of `sf` took, from the one of that number on."""
        return sum(
            float((call / "seconds").read_text()) for call in sorted(self.record.iterdir())[since:]
        )

    def sit_down_at_browser(self) -> None:
        """Let the Dev Hub org's admin be at the browser that `sf` opens."""
        self.environment |= browser_of(self.record.parent, user_of(self.hub))

    def files_with(self, text: str) -> list[str]:
        """Return the files of home, product, temporary folder and records that hold a text."""
        return [
            os.path.relpath(path, folder.parent)
            for folder in (self.sf.home, self.work, self.temporary, self.record, self.said)
            for path in folder.rglob("*")
            if path.is_file() and text.encode() in path.read_bytes()
        ]
