"""Where a world is kept over restarts: one SQLite table of small JSON texts.

Books are the truth while the program runs and write each change through; a program that is killed
has lost nothing. Secrets arrive here hashed or sealed, never as they are.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path


class Store:
    """Keeps texts by kind and key; without a path, until the process ends."""

    def __init__(self, path: Path | None) -> None:
        self._connection = sqlite3.connect(
            path or ":memory:", isolation_level=None, check_same_thread=False
        )
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = normal")
        self._connection.execute(
            "create table if not exists kept (n integer primary key, kind text not null,"
            " key text not null, body blob not null, unique (kind, key)) strict"
        )

    def put(self, kind: str, key: str, body: bytes) -> None:
        """Keep a text, instead of the earlier one."""
        self._connection.execute(
            "insert into kept (kind, key, body) values (?, ?, ?)"
            " on conflict (kind, key) do update set body = excluded.body",
            (kind, key, body),
        )

    def delete(self, kind: str, key: str) -> None:
        """Forget a text; an unknown one is no error."""
        self._connection.execute("delete from kept where kind = ? and key = ?", (kind, key))

    def load(self, kind: str) -> Iterator[bytes]:
        """Give all texts of a kind in the order in which they were first put."""
        rows = self._connection.execute("select body from kept where kind = ? order by n", (kind,))
        return iter([bytes(row[0]) for row in rows.fetchall()])

    def clear(self) -> None:
        """Forget everything."""
        self._connection.execute("delete from kept")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
