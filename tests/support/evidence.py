"""The evidence of an incident, read and checked by what stands in it alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from keyturn_service.domain.audit import AuditEvent, record_hash
from keyturn_service.domain.checkpoint import read_checkpoint
from keyturn_service.vault.checkpoints import is_signed

LINKS: Final = "reauthorization-links.CONFIDENTIAL.jsonl"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a report wrote."""

    folder: Path
    incident: Mapping[str, Any]
    connections: Mapping[str, Mapping[str, Any]]
    records: list[dict[str, Any]]
    links: Mapping[str, Mapping[str, Any]]
    summary: str


def read_evidence(folder: Path) -> Evidence:
    """Read it, and see that files, chains and checkpoint fit together."""
    incident = json.loads((folder / "incident.json").read_text())
    there = {path.name for path in folder.iterdir()}
    assert there == {"incident.json", *incident["sha256"]}
    for name, digest in incident["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    records = _lines(folder / "audit.jsonl")
    _check_chains(records, (folder / "checkpoint.json").read_bytes())
    links = _lines(folder / LINKS)
    assert not links or links[0]["confidential"] is True
    return Evidence(
        folder=folder,
        incident=incident,
        connections={one["connection_id"]: one for one in _lines(folder / "connections.jsonl")},
        records=records,
        links={one["connection_id"]: one for one in links[1:]},
        summary=(folder / "summary.md").read_text(),
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def _check_chains(records: list[dict[str, Any]], checkpoint: bytes) -> None:
    """Each record follows from the one before, and the last one is the checkpoint's."""
    signed = read_checkpoint(checkpoint)
    assert is_signed(signed.checkpoint.message(), signed.signature, by=signed.public_key)
    heads = {end.writer: (end.length, end.head.hex()) for end in signed.checkpoint.chains}
    last: dict[str, dict[str, Any]] = {}
    for record in records:
        writer, before = record["writer"], last.get(record["writer"])
        if before is not None:
            assert record["sequence"] == before["sequence"] + 1
            assert record["previous"] == before["hash"]
        event = AuditEvent(
            type=record["type"],
            at=datetime.fromisoformat(record["at"]),
            workspace_id=record["workspace_id"],
            actor=record["actor"],
            connection_id=record["connection_id"],
            detail=record["detail"],
        )
        found = record_hash(
            event,
            writer=writer,
            sequence=record["sequence"],
            previous=bytes.fromhex(record["previous"]),
        )
        assert found.hex() == record["hash"]
        last[writer] = record
    ends = {writer: (record["sequence"], record["hash"]) for writer, record in last.items()}
    assert ends
    assert ends.items() <= heads.items()
