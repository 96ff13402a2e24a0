"""Many readers of one access token at the same time, each on a connection of its own.

`python -m tests.long.readers` takes a JSON object by standard input (`host`, `port`, `path`,
`api_key`, `readers`) and prints how often each status and generation came, and how often one was
told to come again later, which it does, as the SDK does for its callers.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import Any

_WITHIN = 150.0  # seconds
_DONE = 200
_LATER = 503


async def _read(
    asked: dict[str, Any], opened: asyncio.Semaphore, told: Counter[str]
) -> tuple[int, int | None]:
    """Ask until the answer is no "later"; return status and generation."""
    while True:
        async with opened:
            reader, writer = await asyncio.open_connection(asked["host"], asked["port"])
        head = (
            f"POST {asked['path']} HTTP/1.1\r\nHost: {asked['host']}:{asked['port']}\r\n"
            f"Authorization: Bearer {asked['api_key']}\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode())
        received = await reader.read(-1)
        writer.close()
        answered, _, body = received.partition(b"\r\n\r\n")
        status = int(answered.split(b" ", 2)[1])
        if status != _LATER:
            return status, json.loads(body)["generation"] if status == _DONE else None
        told["later"] += 1
        await asyncio.sleep(1)


async def _all(asked: dict[str, Any]) -> dict[str, Any]:
    opened = asyncio.Semaphore(200)  # so many at once while connecting: no listener turns one away
    told: Counter[str] = Counter()
    answers = await asyncio.wait_for(
        asyncio.gather(*(_read(asked, opened, told) for _ in range(asked["readers"]))), _WITHIN
    )
    return {
        "statuses": Counter(str(status) for status, _ in answers),
        "generations": Counter(str(generation) for _, generation in answers),
        "told to come later": told["later"],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_all(json.load(sys.stdin)))))
