"""The table of what the REST API answers, and the way from a call to its line.

A new resource is a function from `Asked` to `Answer` and a line here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orgsim.data.refusals import SaveRefused
from orgsim.soql import QueryRefused
from orgsim.surfaces.rest_api import (
    actions,
    collections,
    composite,
    describes,
    org_wide,
    queries,
    records,
)
from orgsim.surfaces.rest_api.errors import (
    RestRefused,
    answer_of_query,
    answer_of_save,
    method_not_allowed,
    not_found,
)
from orgsim.surfaces.rest_api.exchange import Answer, Asked

Handler = Callable[[Asked], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A path behind the version, and what each method does; `{…}` stands for any one segment."""

    path: str
    methods: Mapping[str, Handler]

    def holds(self, segments: tuple[str, ...]) -> bool:
        """Tell whether a path is this resource's."""
        parts = self.path.split("/") if self.path else []
        return len(parts) == len(segments) and all(
            part.startswith("{") or part.lower() == segment.lower()
            for part, segment in zip(parts, segments, strict=True)
        )


def _resource(path: str, **methods: Handler) -> Resource:
    return Resource(path=path, methods=methods)


# The more exact line stands before the less exact one.
RESOURCES = (
    _resource("", GET=org_wide.resources),
    _resource("limits", GET=org_wide.limits),
    _resource("recent", GET=org_wide.recent),
    _resource("query", GET=queries.query),
    _resource("queryAll", GET=queries.query_all),
    _resource("query/{locator}", GET=queries.query_more),
    _resource("queryAll/{locator}", GET=queries.query_more),
    _resource("sobjects", GET=describes.describe_global),
    _resource("sobjects/{name}", GET=describes.basic, POST=records.create),
    _resource("sobjects/{name}/describe", GET=describes.describe),
    _resource("sobjects/{name}/updated", GET=describes.updated),
    _resource("sobjects/{name}/deleted", GET=describes.deleted),
    _resource("sobjects/{name}/Id", POST=records.create),
    _resource(
        "sobjects/{name}/{id}", GET=records.read, PATCH=records.change, DELETE=records.delete
    ),
    _resource(
        "sobjects/{name}/{field}/{value}",
        GET=records.read_by_external,
        PATCH=records.upsert,
        DELETE=records.delete_by_external,
    ),
    _resource("composite", GET=composite.index, POST=composite.composite),
    _resource("composite/batch", POST=composite.batch),
    _resource(
        "composite/sobjects",
        POST=collections.create,
        PATCH=collections.change,
        DELETE=collections.delete,
    ),
    _resource("composite/sobjects/{name}", GET=collections.retrieve, POST=collections.retrieve),
    _resource("composite/sobjects/{name}/{field}", PATCH=collections.upsert),
    _resource("actions", GET=actions.kinds),
    _resource("actions/standard", GET=actions.standard),
    _resource("actions/custom", GET=actions.custom),
    _resource("actions/custom/flow", GET=actions.flows),
    _resource("actions/custom/flow/{name}", GET=actions.describe, POST=actions.run),
)


def _handler(asked: Asked) -> Handler:
    """Find what answers a call.

    Raises:
        RestRefused: no such resource, or not by this method.
    """
    resource = next((known for known in RESOURCES if known.holds(asked.path)), None)
    if resource is None:
        raise not_found()
    method = "GET" if asked.method == "HEAD" else asked.method
    handler = resource.methods.get(method)
    if handler is None:
        allowed = {*resource.methods, *({"HEAD"} if "GET" in resource.methods else set())}
        raise method_not_allowed(asked.method, sorted(allowed))
    return handler


def answer_to(asked: Asked) -> Answer:
    """Answer a call, errors included. What a failed call began is taken back."""
    try:
        org_wide.check_version(asked.version)
        with asked.data.undone_on_error():
            return _handler(asked)(asked)
    except RestRefused as refused:
        return refused.answer()
    except SaveRefused as refused:
        return answer_of_save(refused, asked.body)
    except QueryRefused as refused:
        return answer_of_query(refused)
