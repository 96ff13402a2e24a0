"""`make demo`: start everything, walk the whole job, print each step with its time, then serve.

The walk begins with `keyturn.toml`, in a world that has no app of the vendor's yet.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path

from tools.journey import Step
from tools.package_journey import PackageJourney
from tools.vendor_machine import VendorMachine
from tools.world import World, running_world

REPORT = Path("build/demo.json")


def main() -> int:
    """Run the demo; return the exit status."""
    options = argparse.ArgumentParser(prog="make demo")
    options.add_argument("--once", action="store_true", help="walk, then stop everything")
    asked = options.parse_args()
    REPORT.parent.mkdir(exist_ok=True)
    log = REPORT.parent / "demo.log"
    log.unlink(missing_ok=True)
    print(f"starting service, simulator and Acme (log: {log})", flush=True)
    with (
        running_world("--bare", log=log) as world,
        tempfile.TemporaryDirectory(prefix="keyturn-demo-") as folder,
    ):
        steps = _walk(world, Path(folder))
        REPORT.write_text(json.dumps([asdict(step) for step in steps], indent=1) + "\n")
        held = all(step.ok for step in steps)
        if not asked.once:
            _serve(world)
    print(f"{sum(step.ok for step in steps)} of {len(steps)} steps held")
    return 0 if held else 1


def _walk(world: World, folder: Path) -> list[Step]:
    journey = PackageJourney(world, VendorMachine(folder, world))
    steps = []
    try:
        for step in journey.steps():
            steps.append(step)
            mark = "ok  " if step.ok else "FAIL"
            print(f"{mark} {step.seconds:7.3f} s  {step.step}: {step.detail}", flush=True)
    finally:
        journey.close()
    return steps


def _serve(world: World) -> None:
    """Print where everything is, and wait for Ctrl-C."""
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    acme = world.line["acme"]
    print(f"\nAcme        {acme['url']}")
    for user in acme["users"]:
        print(f"            {user['username']} / {user['password']} ({user['customer_id']})")
    print(f"Keyturn     {world.service_url}")
    print(f"simulator   {world.line['simulator']['login_url']} (control: {world.control_url})")
    for org in world.orgs():
        admin = org["users"][0]
        print(f"            {org['name']}: {admin['username']} / {admin['password']}")
    print("\nCtrl-C stops it all.", flush=True)
    stop.wait()


if __name__ == "__main__":
    sys.exit(main())
