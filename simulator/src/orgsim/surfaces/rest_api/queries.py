"""Queries and their further pages.

Spec: REST API Developer Guide, "Query", "QueryAll", "Query More Results", "Query Options Header".
"""

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from orgsim.soql import run_query
from orgsim.soql.answers import Queried
from orgsim.surfaces.rest_api.columns import column_metadata
from orgsim.surfaces.rest_api.cursors import Cursor
from orgsim.surfaces.rest_api.errors import RestRefused
from orgsim.surfaces.rest_api.exchange import Answer, Asked

_BATCH = re.compile(r"batchSize\s*=\s*([0-9]{1,9})", re.ASCII | re.IGNORECASE)
_FROM = re.compile(r"\bFROM\s+(\w+)", re.IGNORECASE)
_LOCATOR = re.compile(r"(?P<locator>01g[A-Za-z0-9]{15})-(?P<at>[0-9]{1,9})", re.ASCII)
_LEAST_BATCH, _MOST_BATCH = 200, 2_000


def _batch_size(asked: Asked) -> int:
    """Return how many records go into one answer."""
    found = _BATCH.search(asked.headers.get("sforce-query-options", ""))
    if found is None:
        return _MOST_BATCH
    return min(max(int(found[1]), _LEAST_BATCH), _MOST_BATCH)


def query(asked: Asked) -> Answer:
    """Answer a query over the records that are not deleted."""
    return _query(asked, include_deleted=False)


def query_all(asked: Asked) -> Answer:
    """Answer a query over all records, deleted ones too."""
    return _query(asked, include_deleted=True)


def _queried(asked: Asked, text: str) -> AbstractContextManager[Queried]:
    """Return what a query runs over: the org's records, or rows of its Setup."""
    found = _FROM.search(text)
    setup = None if found is None else asked.setup_of(found[1])
    return nullcontext(asked.data) if setup is None else setup


def _query(asked: Asked, *, include_deleted: bool) -> Answer:
    text = asked.query.get("q")
    if text is None:
        raise RestRefused("MALFORMED_QUERY", "A query string has to be specified")
    with _queried(asked, text) as data:
        answered = run_query(data, text, base=asked.base, include_deleted=include_deleted)
    if asked.flag("columns"):
        return Answer(body=column_metadata(answered.compiled))
    batch = _batch_size(asked)
    if len(answered.records) <= batch:
        body = {"totalSize": answered.total, "done": True, "records": list(answered.records)}
        return Answer(body=body)
    cursor = asked.cursors.open(
        answered.records, batch=batch, user_id=asked.user_id, now=asked.data.now()
    )
    return _page(asked, cursor, 0)


def _page(asked: Asked, cursor: Cursor, at: int) -> Answer:
    end = at + cursor.batch
    body: dict[str, Any] = {"totalSize": cursor.total, "done": end >= cursor.total}
    if end < cursor.total:
        body["nextRecordsUrl"] = f"{asked.base}/query/{cursor.locator}-{end}"
    body["records"] = list(cursor.records[at:end])
    return Answer(body=body)


def query_more(asked: Asked) -> Answer:
    """Answer the page that `nextRecordsUrl` names."""
    found = _LOCATOR.fullmatch(asked.path[1])
    cursor = None
    if found is not None:
        cursor = asked.cursors.find(found["locator"], user_id=asked.user_id, now=asked.data.now())
    if found is None or cursor is None or int(found["at"]) >= cursor.total:
        raise RestRefused("INVALID_QUERY_LOCATOR", "invalid query locator")
    return _page(asked, cursor, int(found["at"]))
