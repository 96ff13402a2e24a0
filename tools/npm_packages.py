"""Counts the locked npm packages; with `--tidy`, drops the addresses npm leaves in the lock."""

from __future__ import annotations

import json
import sys
from pathlib import Path

LOCK = Path("package-lock.json")


def main() -> None:
    """Print how many packages are locked."""
    lock = json.loads(LOCK.read_text())
    if "--tidy" in sys.argv[1:]:
        for package in lock["packages"].values():
            package.pop("funding", None)
            package.pop("resolved", None)
        LOCK.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")
    print(len([path for path in lock["packages"] if path]))


if __name__ == "__main__":
    main()
