"""Writes COVERAGE.md from the route tables: what this version answers, and nothing else."""

import inspect
from collections.abc import Iterable
from datetime import datetime

from starlette.routing import BaseRoute, Route

from orgsim.data import OrgData
from orgsim.faults import MEANINGS
from orgsim.site_app import all_routes
from orgsim.surfaces.oauth.grant_types import GRANT_TYPES

_HEAD = """\
# What orgsim answers

Written by `orgsim coverage` from the route tables; do not edit. Where an answer knowingly differs
from Salesforce's, `DIVERGENCES.md` says how and why.
"""
_REFUSING = {
    "saml_bearer": "refused: no org trusts an issuer",
    "my_domain_only": "refused: at a login host for the host, else as not enabled",
    "not_enabled": "refused: not enabled on any app",
    "password": "refused: External Client Apps do not support it",
}


def coverage_text() -> str:
    """Return the whole file."""
    parts = [_HEAD, _routes_part(), _grants_part(), _faults_part()]
    return "\n".join(parts)


def _no_data(org_id: str) -> OrgData:
    raise LookupError(org_id)


def _no_clock() -> datetime:
    raise LookupError("no clock")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _routes_part() -> str:
    routes = all_routes(data_of=_no_data, now=_no_clock)
    rows = sorted({row for route in routes for row in _rows(route)})
    ordered = [(f"`{path}`", ", ".join(methods), what) for path, methods, what in rows]
    table = _table(("path", "methods", "does"), ordered)
    return f"## Paths of an org and of the login hosts\n\n{table}"


def _rows(route: BaseRoute) -> Iterable[tuple[str, tuple[str, ...], str]]:
    if isinstance(route, Route):
        methods = tuple(sorted((route.methods or set()) - {"HEAD"}))
        yield route.path, methods, _first_line(route.endpoint)


def _first_line(endpoint: object) -> str:
    text = inspect.getdoc(endpoint) or ""
    return text.split("\n\n", maxsplit=1)[0].replace("\n", " ")


def _grants_part() -> str:
    rows = [
        (f"`{name}`", _REFUSING.get(grant.__name__, "served"))
        for name, grant in GRANT_TYPES.items()
    ]
    return f"## Grant types of the token endpoint\n\n{_table(('grant type', 'answer'), rows)}"


def _faults_part() -> str:
    rows = [(f"`{name}`", meaning) for name, meaning in MEANINGS.items()]
    return f"## Faults by name\n\n{_table(('fault', 'what happens'), rows)}"
