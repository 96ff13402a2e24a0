"""Ask a replica over HTTP, and a PostgreSQL beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

PATIENCE: Final = 40.0  # seconds
BACK_UP: Final = """DO $$ DECLARE one text; BEGIN
CREATE SCHEMA backup;
FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
  EXECUTE format('CREATE UNLOGGED TABLE backup.%1$I AS TABLE public.%1$I', one);
END LOOP; END $$"""
PUT_BACK: Final = """DO $$ DECLARE one text; BEGIN
PERFORM set_config('session_replication_role', 'replica', true);
FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
  EXECUTE format('DELETE FROM public.%1$I', one);
  EXECUTE format('INSERT INTO public.%1$I SELECT * FROM backup.%1$I', one);
END LOOP;
DROP SCHEMA backup CASCADE; END $$"""


async def alone(url: str, database: str) -> None:
    """Wait until nobody is connected to a database any more: whoever was killed is gone."""
    connection = await asyncpg.connect(url)
    try:
        asked = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1"
        while await connection.fetchval(asked, database):
            await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def execute(url: str, statement: str) -> None:
    """Carry a statement out."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def http(
    method: str, url: str, path: str, key: str, body: bytes
) -> tuple[int, dict[str, Any]]:
    """Call the REST API on a connection of its own."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        kind = "Content-Type: application/json\r\n" if body else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
            f"{kind}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        received = await asyncio.wait_for(reader.read(-1), PATIENCE)
    finally:
        writer.close()
    if not received:
        raise EOFError
    head_, _, answered = received.partition(b"\r\n\r\n")
    return int(head_.split(b" ", 2)[1]), json.loads(answered)


def free_port() -> int:
    """Return a free port that no outgoing connection is lent."""
    for port in range(20_000 + os.getpid() % 4_000, 26_000):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port")
