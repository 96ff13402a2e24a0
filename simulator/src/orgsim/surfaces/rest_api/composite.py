"""Several calls in one.

Spec: REST API Developer Guide, "Composite", "Batch", "sObject Tree".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from orgsim.surfaces.rest_api.errors import RestRefused, not_found
from orgsim.surfaces.rest_api.exchange import ROOT, Answer, Asked, read_path
from orgsim.surfaces.rest_api.json_bodies import read_object, too_many

_MOST = 25
_REFERENCE = re.compile(
    r"@\{(?P<id>[A-Za-z][A-Za-z0-9_]*)(?P<path>(?:\.[A-Za-z0-9_]+|\[[0-9]+\])+)\}"
)
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[([0-9]+)\]")
_ROLLED_BACK = (
    "The transaction was rolled back since another operation in the same transaction failed."
)
_HALTED = "BATCH_PROCESSING_HALTED"


class _Undo(Exception):
    """Takes back a request of which a part failed."""


class _NoValue(Exception):
    """A reference points to something that an earlier answer does not have."""

    def __init__(self, reference: str, path: str) -> None:
        super().__init__(reference)
        self.message = f"Invalid reference specified. No value for {path} found in {reference}"


def index(asked: Asked) -> Answer:
    """List the composite resources."""
    names = ("batch", "sobjects")
    return Answer(body={name: f"{asked.base}/composite/{name}" for name in names})


def _inner(asked: Asked, *, method: str, url: str, body: Any, headers: Mapping[str, str]) -> Asked:
    """Turn a part of the request into a call.

    Raises:
        RestRefused: its URL is none of the REST API's.
    """
    parts = urlsplit(url if url.startswith("/") else f"{ROOT}/{url}")
    found = read_path(parts.path)
    if found is None:
        raise not_found()
    return replace(
        asked,
        method=method.upper(),
        version=found[0],
        path=found[1],
        query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers={**headers, "content-type": "application/json"},
        body=b"" if body is None else json.dumps(body).encode(),
    )


# -- composite ----------------------------------------------------------------------------------


def composite(asked: Asked) -> Answer:
    """Do up to 25 calls, of which later ones may use answers of earlier ones."""
    body = read_object(asked)
    parts = _parts(body, "compositeRequest")
    results: list[dict[str, Any]] = []
    asked = replace(asked, all_or_none=body.get("allOrNone") is True)
    try:
        with asked.data.undone_on_error():
            results = _in_order(asked, parts)
            _check_all(results, all_or_none=asked.all_or_none)
    except _Undo:
        results = [_rolled_back(result) for result in results]
    return Answer(body={"compositeResponse": results})


def _failed(result: Mapping[str, Any]) -> bool:
    return int(result["httpStatusCode"]) >= 400  # noqa: PLR2004 - RFC 9110 section 15.5


def _check_all(results: list[dict[str, Any]], *, all_or_none: bool) -> None:
    if all_or_none and any(map(_failed, results)):
        raise _Undo


def _parts(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    parts = body.get(name)
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise RestRefused("INVALID_INPUT", f"The {name} property must be a list of objects")
    too_many(parts, most=_MOST)
    return parts


def _in_order(asked: Asked, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known: dict[str, Any] = {}
    results = []
    for part in parts:
        name = part.get("referenceId")
        if not isinstance(name, str) or not name:
            raise RestRefused("INVALID_INPUT", "Each request needs a referenceId")
        answer = _one(asked, part, known)
        if not answer.failed:
            known[name] = answer.body
        results.append(
            {
                "body": answer.body,
                "httpHeaders": dict(answer.headers),
                "httpStatusCode": answer.status,
                "referenceId": name,
            }
        )
    return results


def _one(asked: Asked, part: dict[str, Any], known: Mapping[str, Any]) -> Answer:
    try:
        return _checked(asked, _filled(part, known), "url", "body")
    except _NoValue as missing:
        return RestRefused("PROCESSING_HALTED", missing.message).answer()


def _checked(asked: Asked, part: Mapping[str, Any], url: str, body: str) -> Answer:
    """Do one call of a composite request, whatever stands in it."""
    method, address = part.get("method"), part.get(url)
    if not isinstance(method, str) or not isinstance(address, str):
        return RestRefused("INVALID_INPUT", "Each request needs a method and a url").answer()
    headers = part.get("httpHeaders")
    lowered = (
        {str(name).lower(): str(value) for name, value in headers.items()}
        if isinstance(headers, dict)
        else {}
    )
    try:
        call = _inner(asked, method=method, url=address, body=part.get(body), headers=lowered)
    except RestRefused as refused:
        return refused.answer()
    if call.path[:1] == ("composite",) and call.path[1:2] != ("sobjects",):
        return RestRefused("INVALID_INPUT", f"The resource {address} may not be nested").answer()
    return asked.again(call)


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    """Put answers of earlier calls where they are referred to.

    Raises:
        _NoValue: there is nothing there.
    """
    match value:
        case str():
            return _REFERENCE.sub(lambda found: str(_looked_up(found, known)), value)
        case list():
            return [_filled(one, known) for one in value]
        case dict():
            return {name: _filled(one, known) for name, one in value.items()}
        case _:
            return value


def _looked_up(found: re.Match[str], known: Mapping[str, Any]) -> Any:
    value = known.get(found["id"])
    for name, number in _STEP.findall(found["path"]):
        match value:
            case dict() if name in value:
                value = value[name]
            case list() if number and int(number) < len(value):
                value = value[int(number)]
            case _:
                raise _NoValue(found["id"], found["path"].lstrip("."))
    return value


def _rolled_back(result: dict[str, Any]) -> dict[str, Any]:
    if _failed(result):
        return result
    halted = RestRefused("PROCESSING_HALTED", _ROLLED_BACK).answer()
    return {**result, "body": halted.body, "httpHeaders": {}, "httpStatusCode": halted.status}


# -- batch --------------------------------------------------------------------------------------


def batch(asked: Asked) -> Answer:
    """Do up to 25 calls that know nothing of each other."""
    body = read_object(asked)
    halting = body.get("haltOnError") is True
    results: list[dict[str, Any]] = []
    failed = False
    for part in _parts(body, "batchRequests"):
        if halting and failed:
            error = {"errorCode": _HALTED, "message": "Batch processing halted due to an error"}
            results.append({"statusCode": 412, "result": [error]})
            continue
        answer = _checked(asked, part, "url", "richInput")
        failed = failed or answer.failed
        results.append({"statusCode": answer.status, "result": answer.body})
    return Answer(body={"hasErrors": failed, "results": results})
