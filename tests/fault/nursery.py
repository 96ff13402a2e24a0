"""A program that has the service loaded, and forks a replica for each line of standard input.

A replica started anew takes seconds to load; one that is forked answers in a tenth of that, with a
process of its own that is killed like any other. One replica lives at a time. Standard output has
a line of JSON when one is there (`pid`), when it answers (`urls`), and when it has ended (`ended`,
the status as `os.wait` tells it).

The replica does what the file `arm` says, from the moment that it is there: a line of JSON with
`place`, where it is killed (null: nowhere), `fault` (of `tests.fault.kills`), and `record`, a file
that it writes the places to.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import gc
import json
import os
import signal
import sys
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import sqlalchemy.dialects.postgresql.asyncpg
import sqlalchemy.dialects.sqlite.aiosqlite  # noqa: F401 - loaded before anybody is forked
import uvloop
from tests.fault.replica import ROUNDS, WATCHED, WATCHED_STORES, Watched

from keyturn_service.bootstrap import Parts
from keyturn_service.cli.logs import log_to_stderr
from keyturn_service.cli.serve import run_replica
from keyturn_service.ports import AuditUnavailable, StoreUnavailable
from keyturn_service.settings import read_settings

ANSWER: Final = "answer"  # the place where all is done, and the caller has not been told
LAST: Final = "audit.record(token.read)"
_PR_SET_PDEATHSIG: Final = 1


class Armed:
    """What stands between the use cases of a replica and its adapters."""

    def __init__(self, arm: Path) -> None:
        self._arm = arm
        self._met: Counter[str] = Counter()
        self._away = False

    async def met(self, name: str, when: str) -> None:
        """Go on, fail, or die."""
        if name in ROUNDS or not self._arm.exists():
            return
        plan = json.loads(self._arm.read_text())
        if when == "before":
            self._met[name] += 1
            self._pass(plan, f"{name} ({self._met[name]})" if self._met[name] > 1 else name)
        self._fail(plan["fault"], name, when)
        if (name, when) == (LAST, "after"):
            self._pass(plan, ANSWER)

    def _pass(self, plan: dict[str, Any], place: str) -> None:
        if plan["place"] == place:
            os.kill(os.getpid(), signal.SIGKILL)
        with Path(plan["record"]).open("a") as file:
            file.write(f"{place}\n")

    def _fail(self, fault: str, name: str, when: str) -> None:
        if self._away and when == "before" and not name.startswith(("spool.", "endpoint.")):
            raise _unavailable(name)
        match fault, name, when:
            case ("disk full", "spool.put", "before"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            case ("database away after the call", "endpoint.present", "after") | (
                "database away after the spool",
                "spool.put",
                "after",
            ):
                self._away = True
            case ("commit fails", "tokens.replace", "before") | (
                "commit done, and not told",
                "tokens.replace",
                "after",
            ):
                raise _unavailable(name)

    def between(self, parts: Parts) -> Parts:
        """Put it between."""
        stores = replace(
            parts.stores,
            **{
                name: Watched(name, getattr(parts.stores, name), self.met)
                for name in WATCHED_STORES
            },
        )
        known = {field.name for field in fields(parts)} & {*WATCHED}
        ports = {name: Watched(name, getattr(parts, name), self.met) for name in known}
        return replace(parts, stores=stores, **ports)


def _unavailable(name: str) -> Exception:
    return AuditUnavailable() if name.startswith("audit.") else StoreUnavailable(name)


def serve(given: dict[str, Any]) -> None:
    """Be a replica until killed."""
    end_with_parent()
    log_to_stderr()
    settings = read_settings(**given["settings"], dev_world=given["dev_world"])
    armed = Armed(Path(given["arm"]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            run_replica(settings, as_json=True, until_stdin_ends=False, between=armed.between)
        )


def end_with_parent() -> None:
    """Be killed when whoever started this process has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def say(**what: object) -> None:
    """Write a line."""
    os.write(sys.stdout.fileno(), json.dumps(what).encode() + b"\n")


def main() -> None:
    """Fork a replica for each line, one after the other."""
    end_with_parent()
    gc.collect()
    gc.freeze()
    while line := sys.stdin.readline():
        pid = os.fork()
        if not pid:
            try:
                serve(json.loads(line))
            finally:
                os._exit(1)
        say(pid=pid)
        _, status = os.waitpid(pid, 0)
        say(ended=status)


if __name__ == "__main__":
    main()
