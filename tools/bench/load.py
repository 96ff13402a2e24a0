"""The load: keep-alive connections that each send the next request once the last was answered.

`python -m tools.bench.load` reads one JSON object from standard input (a key has no place among
arguments) and prints one: `{"requests", "seconds", "failures", "p50_ms", "p99_ms"}`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

import uvloop

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_END_OF_HEAD: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_OK: Final = b" 200 "


@dataclass(kw_only=True)
class Tally:
    """What came back, by the time it took; answers before `counts_from` warm up only."""

    counts_from: float
    seconds: list[float] = field(default_factory=list)
    failures: int = 0

    def add(self, begun: float, ended: float, *, ok: bool) -> None:
        """Count an answer."""
        if begun < self.counts_from:
            return
        if ok:
            self.seconds.append(ended - begun)
        else:
            self.failures += 1


class Caller(asyncio.Protocol):
    """One connection: a request at a time, until told to stop."""

    def __init__(self, requests: Iterator[bytes], tally: Tally) -> None:
        self._requests = requests
        self._tally = tally
        self._received = bytearray()
        self._begun = 0.0
        self._stopping = False
        self._transport: asyncio.Transport
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def stop(self) -> None:
        """Send no more once the answer under way is here."""
        self._stopping = True

    def data_received(self, data: bytes) -> None:
        """Go on once the answer is whole."""
        self._received += data
        if not _is_whole(self._received):
            return
        line = bytes(self._received[:32])
        self._tally.add(self._begun, time.perf_counter(), ok=_OK in line)
        self._received.clear()
        if self._stopping:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; a connection that the other side closed is a failure."""
        if not self._stopping or exc is not None:
            self._tally.failures += 1
        if not self.ended.done():
            self.ended.set_result(None)

    def _send(self) -> None:
        self._begun = time.perf_counter()
        self._transport.write(next(self._requests))


def _is_whole(received: bytearray) -> bool:
    head = received.find(_END_OF_HEAD)
    if head < 0:
        return False
    length = _LENGTH.search(received, 0, head)
    if length is not None:
        return len(received) >= head + len(_END_OF_HEAD) + int(length[1])
    if _CHUNKED.search(received, 0, head + 2):
        return received.endswith(_LAST_CHUNK)
    return True


async def _carry_out(asked: dict[str, Any]) -> dict[str, Any]:
    requests = itertools.cycle([text.encode("latin-1") for text in asked["requests"]])
    begun = time.perf_counter()
    tally = Tally(counts_from=begun + asked["warm_up"])
    loop = asyncio.get_running_loop()
    callers = []
    for _, port in zip(range(asked["connections"]), itertools.cycle(asked["ports"]), strict=False):
        _, caller = await loop.create_connection(
            lambda: Caller(requests, tally), asked["host"], port
        )
        callers.append(caller)
    await asyncio.sleep(asked["warm_up"] + asked["seconds"])
    took = time.perf_counter() - tally.counts_from
    for caller in callers:
        caller.stop()
    await asyncio.wait([caller.ended for caller in callers], timeout=10)
    times = sorted(tally.seconds)
    return {
        "requests": len(times),
        "seconds": took,
        "failures": tally.failures,
        "p50_ms": _at(times, 0.50),
        "p99_ms": _at(times, 0.99),
    }


def _at(times: list[float], share: float) -> float | None:
    return 1000 * times[min(len(times) - 1, int(share * len(times)))] if times else None


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_carry_out(json.load(sys.stdin)))))
