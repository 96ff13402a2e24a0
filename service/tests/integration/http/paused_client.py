"""Sends requests to the origin it is given, all at once, and says what came of each, in lines.

`python paused_client.py ORIGIN HOW_MANY ANSWER_SECONDS`, a process of its own so that it can be
stopped; on the loop that the service runs on.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.adapters.http.egress import Egress
from keyturn_service.adapters.http.one_shot import NoAnswer, OneShot, Request


async def _send(one_shot: OneShot, origin: Origin) -> str:
    request = Request(method="POST", target="/services/oauth2/token", headers={}, body=b"a=b")
    try:
        answer = await one_shot(origin, request)
    except NoAnswer:
        return "no answer"
    return f"{answer.status} {len(answer.body)} {answer.complete}"


async def _main(origin: Origin, count: int, answer_seconds: float) -> None:
    egress = Egress(loopback=frozenset({origin}), connect_seconds=10, answer_seconds=answer_seconds)
    one_shot = OneShot(egress)
    for line in await asyncio.gather(*(_send(one_shot, origin) for _ in range(count))):
        print(line)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(Origin(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
