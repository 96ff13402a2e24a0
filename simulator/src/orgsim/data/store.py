"""One org's records, kept in SQLite."""

import json
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from orgsim.data.catalogue import schema_of
from orgsim.data.computed import computed_fields
from orgsim.data.events import PublishedEvent
from orgsim.data.fields import Field, Scalar
from orgsim.data.furnish import Furnisher, audit_values
from orgsim.data.ids import make_id
from orgsim.data.packaged import NOTHING, FlowType, Packaged
from orgsim.data.rows import Row, Rows
from orgsim.data.schema import ObjectType, Schema
from orgsim.data.seeds import OrgSeed
from orgsim.data.setup_records import setup_records

_POD_SPACE = 62**5
_FURNISHED = "furnished"
_ORIGIN = "origin"
_EVENTS_KEPT = 10_000
_EVENT_SPACE = UUID("8a4c3c0e-7f5b-5d0e-9c55-2f0f3a7d6b11")
_A_DAY = timedelta(hours=24)


class OrgData:
    """An org's schema, records and published events."""

    def __init__(
        self, rows: Rows, *, org: OrgSeed, schema: Schema, now: Callable[[], datetime]
    ) -> None:
        self._kept = rows
        self._furnished = False
        self._now = now
        self._pod = zlib.crc32(org.org_id.encode()) % _POD_SPACE
        self._events: deque[PublishedEvent] = deque(maxlen=_EVENTS_KEPT)
        self._published = 0
        self._calls: dict[datetime, int] = {}
        self._recent: dict[str, list[str]] = {}
        self.org = org
        self.schema = schema
        self._brought = NOTHING
        self._laid_out = (org.namespace, NOTHING)

    @classmethod
    def create(
        cls, path: Path | None, *, org: OrgSeed, seed: int, now: Callable[[], datetime]
    ) -> "OrgData":
        """Open an org's records; the first ones are as of now, and made when they are looked for.

        `path` None keeps them in memory.
        """
        rows, schema = Rows(path), schema_of(org.namespace, dev_hub=org.dev_hub)
        rows.lay_out(schema)
        if rows.setting(_ORIGIN) is None:
            rows.set_setting(_ORIGIN, json.dumps([seed, now().isoformat()]))
        return cls(rows, org=org, schema=schema, now=now)

    @property
    def _rows(self) -> Rows:
        """The tables with the org's first records in them."""
        if not self._furnished:
            self._furnished = True
            if self._kept.setting(_FURNISHED) is None:
                seed, at = json.loads(self._kept.setting(_ORIGIN) or "")
                with self._kept.undone_on_error():
                    self._furnish(seed, datetime.fromisoformat(at))
                    self._kept.set_setting(_FURNISHED, str(seed))
        return self._kept

    def close(self) -> None:
        """Let go of the file."""
        self._kept.close()

    def install_package(self, namespace: str) -> None:
        """Bring in the vendor's object, event and flow; a second time changes nothing."""
        self._change_package(namespace)

    def uninstall_package(self) -> None:
        """Take the vendor's object, event and flow away; its records stay until they are back."""
        self._change_package(None)

    def bring(self, brought: Packaged) -> None:
        """Have what installed packages bring, and nothing of what others brought before.

        Records of an object that goes stay until it is back.
        """
        self._brought = brought
        self._change_package(self.org.namespace)

    @property
    def flows(self) -> tuple[FlowType, ...]:
        """The flows that installed packages brought."""
        return self._brought.flows

    def _change_package(self, namespace: str | None) -> None:
        if (namespace, self._brought) == self._laid_out:
            return
        self._laid_out = (namespace, self._brought)
        self.org = replace(self.org, namespace=namespace)
        self.schema = schema_of(namespace, dev_hub=self.org.dev_hub, brought=self._brought)
        self._kept.lay_out(self.schema)

    def _furnish(self, seed: int, at: datetime) -> None:
        for kind, row in setup_records(self.org, at=at - timedelta(days=1_000)):
            self._kept.insert(self.schema[kind], row)
        owners = [user.user_id for user in self.org.users if user.role != "integration"]
        Furnisher(seed=seed, org_id=self.org.org_id, owners=owners, now=at).furnish(self.keep)

    # -- reading ----------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the world's time in UTC."""
        return self._now()

    def read(self, kind: ObjectType, record_id: str) -> Row | None:
        """Return a record by its ID of 18 characters, also when it is deleted."""
        return self._rows.read(kind, record_id)

    def find(self, record_id: str) -> Row | None:
        """Return a record of whatever kind by its ID."""
        kind = self.schema.by_prefix(record_id)
        return None if kind is None or not kind.queryable else self.read(kind, record_id)

    def live_with(self, kind: ObjectType, field: Field, value: Scalar) -> list[Row]:
        """Return the records that have a value in a field and are not deleted."""
        return self._rows.live_with(kind, field, value)

    def select(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[tuple[Any, ...]]:
        """Run a query that the SOQL compiler wrote."""
        return self._rows.select(sql, parameters)

    def new_id(self, *, prefix: str, serial: int) -> str:
        """Make an ID as this org makes them."""
        return make_id(prefix=prefix, pod=self._pod, serial=serial)

    # -- writing ----------------------------------------------------------------------------

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Take back all that was saved inside if it ends with an error."""
        with self._rows.undone_on_error():
            yield

    def keep(self, kind: str, values: Mapping[str, Scalar], *, at: datetime, by: str) -> str:
        """Add a record whose values were checked, and return its ID."""
        made = self.schema[kind]
        serial = self._rows.count(made) + 1
        record_id = self.new_id(prefix=made.prefix, serial=serial)
        row: Row = {field.name: field.default for field in made.fields}
        if made.field("OwnerId") is not None:
            row["OwnerId"] = by
        row |= {"Id": record_id, **values, **audit_values(at=at, by=by)}
        name = made.name_field
        if name is not None and name.auto_number is not None:
            row[name.name] = name.auto_number.format(serial)
        row |= computed_fields(made.name, row, given=frozenset(values), find=self.find)
        self._rows.insert(made, row)
        return record_id

    def change(
        self, kind: ObjectType, record_id: str, values: Mapping[str, Scalar], *, by: str
    ) -> None:
        """Write checked values over those of a record."""
        moment = audit_values(at=self.now(), by=by)
        stamps = {name: moment[name] for name in _CHANGE_STAMPS}
        row = (self.read(kind, record_id) or {}) | dict(values) | stamps
        computed = computed_fields(kind.name, row, given=frozenset(values), find=self.find)
        self._rows.change(kind, record_id, {**values, **stamps, **computed})

    def put_told(self, kind: str, row: Row) -> None:
        """Keep a row that Salesforce itself writes, instead of the earlier one of its ID."""
        made, record_id = self.schema[kind], str(row["Id"])
        if self._kept.read(made, record_id) is None:
            self._kept.insert(made, row)
        else:
            self._kept.change(made, record_id, row)

    def mark_deleted(self, kind: ObjectType, record_id: str, *, by: str) -> None:
        """Delete a record, and those that live and die with it."""
        stamps = audit_values(at=self.now(), by=by)
        self._rows.change(
            kind,
            record_id,
            {"IsDeleted": True, **{name: stamps[name] for name in _CHANGE_STAMPS}},
        )
        for relation in self.schema.children(kind):
            if relation.field.cascade:
                for child in self.live_with(relation.child, relation.field, record_id):
                    self.mark_deleted(relation.child, str(child["Id"]), by=by)

    # -- events, calls, recent --------------------------------------------------------------

    def publish(self, kind: ObjectType, fields: Row, *, by: str) -> PublishedEvent:
        """Put a platform event on the bus."""
        self._published += 1
        event = PublishedEvent(
            name=kind.name,
            uuid=str(uuid5(_EVENT_SPACE, f"{self.org.org_id}:{self._published}")),
            replay_id=self._published,
            fields=fields,
            at=self.now(),
            by=by,
        )
        self._events.append(event)
        return event

    def published_events(self) -> tuple[PublishedEvent, ...]:
        """Return the events of this run, in order."""
        return tuple(self._events)

    def count_call(self) -> None:
        """Count an API call of the last 24 hours, by the minute."""
        minute = self.now().replace(second=0, microsecond=0)
        self._calls[minute] = self._calls.get(minute, 0) + 1

    def calls_today(self) -> int:
        """Return how many API calls there were within 24 hours.

        Spec: Salesforce Developer Limits and Allocations, "API Request Limits" (rolling).
        """
        oldest = self.now() - _A_DAY
        self._calls = {at: calls for at, calls in self._calls.items() if at >= oldest}
        return sum(self._calls.values())

    def look_at(self, record_id: str, *, by: str) -> None:
        """Note that a user had a record before their eyes."""
        seen = self._recent.setdefault(by, [])
        if record_id in seen:
            seen.remove(record_id)
        seen.insert(0, record_id)
        del seen[200:]

    def recently_seen(self, user_id: str) -> tuple[str, ...]:
        """Return the IDs of what a user has seen, the last one first."""
        return tuple(self._recent.get(user_id, ()))


_CHANGE_STAMPS = ("LastModifiedDate", "LastModifiedById", "SystemModstamp")
