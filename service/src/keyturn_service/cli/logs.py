"""The program's log: one JSON object a line on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog
from structlog.typing import EventDict, WrappedLogger

ALLOWED: Final = frozenset(
    {
        "app_id", "attempt", "attempt_id", "attempts", "code", "connect_session_id",
        "connection_id", "count", "delay", "deleted", "dropped", "duration_ms", "environment",
        "error", "event", "executor_id", "generation", "handler", "host", "kind", "late_ms",
        "level", "method", "name", "org_id", "outcome", "path", "port", "reason", "replica",
        "request_id", "revocation_id", "route", "seconds", "size", "spool_id", "state", "status",
        "timestamp", "type", "url", "version", "workspace_id", "writer",
    }
)  # fmt: skip
"""Fields that may be logged; what carries another name is dropped and counted in `dropped`."""


def log_to_stderr() -> None:
    """Send log events to standard error. Libraries are heard from warnings upwards."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_NameAndTypeOnly())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def only_allowed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop the fields that are not on the list: a secret cannot slip in by a new name."""
    kept = {name: value for name, value in event.items() if name in ALLOWED}
    if len(kept) < len(event):
        kept["dropped"] = len(event) - len(kept)
    return kept


class _NameAndTypeOnly(logging.Formatter):
    """Writes of a library's record who spoke and which error, never its text or its trace.

    A library's text may hold what it was given: a URL with a code, a statement's parameters.
    """

    def format(self, record: logging.LogRecord) -> str:
        kind = record.exc_info[0] if record.exc_info else None
        event = {
            "event": "library_spoke",
            "name": record.name,
            "level": record.levelname.lower(),
            "line": f"{record.module}:{record.lineno}",
            "error": kind.__name__ if kind is not None else None,
        }
        return str(structlog.processors.JSONRenderer()(None, "", event))
