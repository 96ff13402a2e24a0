"""Processes that are forked from one which has the service loaded, as good as started anew.

A replica that is started as a program takes a second or two of a core to load. One that is forked
has been spared that alone: it is a process of its own, with the standard streams it is given, and
ends or is killed like any other. The parent is a program (`python -m tests.fault.forked FD`) that
knows nothing of the tests; it forks for each message on the socket FD, which is the environment
and brings three streams, and tells there the number of the process, and how it ended.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import IO, Any, Final

_LONGEST: Final = 2**17  # bytes of a message


class Nursery:
    """The parent of forked replicas, seen from a test."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        with theirs:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "tests.fault.forked", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        self._ended: dict[int, int] = {}

    def fork(self, stderr: IO[Any]) -> Forked:
        """Have a replica, which waits for its line of standard input."""
        read_in, write_in = os.pipe()
        read_out, write_out = os.pipe()
        self._socket.settimeout(None)
        environment = json.dumps(dict(os.environ)).encode()
        socket.send_fds(self._socket, [environment], [read_in, write_out, stderr.fileno()])
        os.close(read_in)
        os.close(write_out)
        while "pid" not in (said := self._said()):
            pass
        return Forked(
            self, int(said["pid"]), stdin=os.fdopen(write_in, "w"), stdout=os.fdopen(read_out)
        )

    def ended(self, pid: int, within: float) -> int | None:
        """Return as `os.wait` tells it how a replica ended; None if it has not, by then."""
        give_up = time.monotonic() + within
        while pid not in self._ended:
            self._socket.settimeout(max(give_up - time.monotonic(), 0))
            try:
                self._said()
            except (TimeoutError, BlockingIOError):
                return None
        return self._ended[pid]

    def _said(self) -> dict[str, int]:
        said: dict[str, int] = json.loads(self._socket.recv(_LONGEST))
        if "ended" in said:
            self._ended[said["ended"]] = said["status"]
        return said

    def close(self) -> None:
        """End it; replicas end when their standard input does."""
        self._socket.close()
        self._parent.wait()


class Forked:
    """A replica; what a test asks of it is asked as of a `subprocess.Popen`."""

    def __init__(self, nursery: Nursery, pid: int, *, stdin: IO[str], stdout: IO[str]) -> None:
        self._nursery = nursery
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout

    def poll(self) -> int | None:
        """Return how it ended: a status, or the signal below zero; None while it runs."""
        return self._code(self._nursery.ended(self.pid, 0))

    def wait(self, timeout: float) -> int:
        """Wait until it has ended, and return how.

        Raises:
            TimeoutError: it runs still.
        """
        code = self._code(self._nursery.ended(self.pid, timeout))
        if code is None:
            raise TimeoutError(f"process {self.pid} runs after {timeout} s")
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _code(self, status: int | None) -> int | None:
        return None if status is None else os.waitstatus_to_exitcode(status)


@functools.cache
def nursery() -> Nursery:
    """Return the one of this test process."""
    made = Nursery()
    atexit.register(made.close)
    return made


def _main(descriptor: int) -> None:
    """Fork for each message, and tell of each end, until the socket's other end is closed."""
    import sqlalchemy.dialects.postgresql.asyncpg
    import sqlalchemy.dialects.sqlite.aiosqlite  # noqa: F401 - loaded before anybody is forked
    from tests.fault import replica

    gc.collect()
    gc.freeze()
    asked = socket.socket(fileno=descriptor)
    waiting: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asked.fileno(), *waiting], [], [])
        for one in ready:
            if one in waiting:
                pid, status = os.waitpid(waiting.pop(one), 0)
                os.close(one)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    asked.send(json.dumps({"ended": pid, "status": status}).encode())
                continue
            message, streams, _, _ = socket.recv_fds(asked, _LONGEST, 3)
            if not message:
                return
            pid = os.fork()
            if not pid:
                os.environ.clear()
                os.environ.update(json.loads(message))
                _be_replica(replica.main, streams, [asked.fileno(), *waiting])
            for stream in streams:
                os.close(stream)
            waiting[os.pidfd_open(pid)] = pid
            asked.send(json.dumps({"pid": pid}).encode())


def _be_replica(main: Any, streams: list[int], others: list[int]) -> None:
    """Serve with these standard streams, and end."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for one in (*streams, *others):
            os.close(one)
        main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - told as a program tells it
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
