"""Counts the locked npm packages; with `--tidy`, drops the addresses npm leaves in the locks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Print how many packages are locked in the files that are named."""
    named = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    paths = [Path(name) for name in named or ["package-lock.json"]]
    locks = {path: json.loads(path.read_text()) for path in paths}
    if "--tidy" in sys.argv[1:]:
        for path, lock in locks.items():
            tidy(path, lock)
    print(sum(1 for lock in locks.values() for name in lock["packages"] if name))


def tidy(path: Path, lock: dict[str, Any]) -> None:
    """Write a lock without addresses."""
    for package in lock["packages"].values():
        package.pop("funding", None)
        package.pop("resolved", None)
    path.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
