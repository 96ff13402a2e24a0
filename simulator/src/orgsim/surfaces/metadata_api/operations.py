"""What may be asked of the Metadata API, one function each, in the table at the end.

An operation that is not there is refused as one that the WSDL does not have.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orgsim.metadata.archive import manifest_of
from orgsim.metadata.components import Component
from orgsim.metadata.xml_text import Node, NotXml, fragment, parse
from orgsim.orgs.org import Org, User
from orgsim.surfaces.metadata_api import errors
from orgsim.surfaces.metadata_api.deploying import Deployment, Options, deploy
from orgsim.surfaces.metadata_api.results import deploy_result, file_properties, retrieve_result
from orgsim.surfaces.metadata_api.retrieving import (
    Retrieved,
    described,
    listed,
    retrieve,
    text_of,
)
from orgsim.surfaces.metadata_api.soap import Fault, Written
from orgsim.world import World

_READ_AT_ONCE = 10  # components; 200 of two types that are not kept here
_NEWEST = 68.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls which org."""

    world: World
    org: Org
    user: User


def read_options(node: Node) -> Options:
    """Read `DeployOptions`."""
    return Options(
        check_only=node.flag("checkOnly"),
        ignore_warnings=node.flag("ignoreWarnings"),
        rollback_on_error=node.flag("rollbackOnError", default=True),
        single_package=node.flag("singlePackage"),
    )


def _queued(job_id: str) -> dict[str, Any]:
    return {"done": False, "id": job_id, "state": "Queued"}


def _deploy(caller: Caller, asked: Node) -> Any:
    """Begin a deployment; some clients write its parts with a capital."""
    parts = {child.name.lower(): child for child in asked.children}
    text = parts.get("zipfile", Node("zipFile")).text
    try:
        data = base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise Fault("UNKNOWN_EXCEPTION", "The zip file is not valid") from error
    options = read_options(parts.get("deployoptions", Node("deployOptions")))
    return _queued(deploy(caller.world, caller.org, caller.user, data, options).job_id)


def find_deployment(caller: Caller, job_id: str) -> Deployment | None:
    """Find a deployment of the caller's org."""
    job = caller.world.jobs.get(job_id) or caller.world.jobs.get(job_id[:15])
    known = isinstance(job, Deployment) and job.org_id == caller.org.org_id
    return job if known and isinstance(job, Deployment) else None


def deployment_status(
    caller: Caller, deployment: Deployment, *, details: bool, by_rest: bool
) -> dict[str, Any]:
    """Tell how far a deployment is, and count the question."""
    deployment.asked += 1
    return deploy_result(
        deployment,
        details=details,
        waits=caller.world.switches.status_checks_until_done,
        now=caller.world.clock.now(),
        by_rest=by_rest,
    )


def _check_deploy(caller: Caller, asked: Node) -> Any:
    deployment = find_deployment(caller, _job_id(asked))
    if deployment is None:
        raise Fault(*errors.BAD_ID)
    details = asked.flag("includeDetails")
    return deployment_status(caller, deployment, details=details, by_rest=False)


def _job_id(asked: Node) -> str:
    return asked.value("asyncProcessId") or asked.value("id")


def _retrieve(caller: Caller, asked: Node) -> Any:
    """Gather files."""
    request = asked.find("request") or asked.find("retrieveRequest") or Node("request")
    wanted = request.find("unpackaged") or Node("unpackaged")
    version = wanted.value("version") or request.value("apiVersion") or "68.0"
    try:
        manifest = manifest_of(wanted.all("types"), version)
    except NotXml as error:
        raise Fault("UNKNOWN_EXCEPTION", str(error)) from error
    done = retrieve(caller.world, caller.org, manifest)
    caller.world.jobs[done.job_id] = (caller.org.org_id, done)
    return _queued(done.job_id)


def _check_retrieve(caller: Caller, asked: Node) -> Any:
    match caller.world.jobs.get(_job_id(asked)):
        case (org_id, Retrieved() as done) if org_id == caller.org.org_id:
            pass
        case _:
            raise Fault(*errors.BAD_ID)
    wants_zip = asked.flag("includeZip", default=True)
    zip_file = base64.b64encode(done.zip_file).decode() if wants_zip else None
    return retrieve_result(caller.org, done, zip_file=zip_file)


def _check_status(caller: Caller, asked: Node) -> Any:
    """Answer the old question after any job."""
    job_id = _job_id(asked)
    if job_id not in caller.world.jobs:
        raise Fault(*errors.BAD_ID)
    return {"done": True, "id": job_id, "state": "Completed"}


def _cancel(caller: Caller, asked: Node) -> Any:
    deployment = find_deployment(caller, _job_id(asked) or asked.value("String"))
    if deployment is None:
        raise Fault(*errors.BAD_ID)
    return {"done": True, "id": deployment.job_id}


def _describe(caller: Caller, asked: Node) -> Any:
    del asked, caller
    return {
        "metadataObjects": described(),
        "organizationNamespace": "",
        "partialSaveAllowed": False,
        "testRequired": False,
    }


def _list(caller: Caller, asked: Node) -> Any:
    found = []
    for query in asked.all("queries"):
        for component, path in listed(caller.world, caller.org, query.value("type")):
            found.append(file_properties(caller.org, component, path))
    return found


def _read(caller: Caller, asked: Node) -> Any:
    """Give components by name, `xsi:nil` for what is not there.

    Spec: Metadata API Developer Guide, "readMetadata()"; the fault's text is reported.
    """
    names = [node.text.strip() for node in asked.all("fullNames")]
    if len(names) > _READ_AT_ONCE:
        raise Fault(*errors.TOO_MANY)
    kind = asked.value("type")
    held = {c.full_name: c for c in caller.world.components.of(caller.org.org_id, kind)}
    records = [_record(caller, kind, held.get(name)) for name in names]
    return {"records": [Written(record) for record in records]}


def _record(caller: Caller, kind: str, component: Component | None) -> str:
    if component is None:
        return '<records xsi:nil="true"/>'
    node = parse(text_of(caller.world, caller.org, component, version=_NEWEST))
    inside = [Node("fullName", text=component.full_name), *node.without("fullName").children]
    text = "".join(fragment(child) for child in inside)
    return f'<records xsi:type="{kind}">{text}</records>'


OPERATIONS: dict[str, Callable[[Caller, Node], Any]] = {
    "deploy": _deploy,
    "checkDeployStatus": _check_deploy,
    "cancelDeploy": _cancel,
    "retrieve": _retrieve,
    "checkRetrieveStatus": _check_retrieve,
    "checkStatus": _check_status,
    "describeMetadata": _describe,
    "listMetadata": _list,
    "readMetadata": _read,
}
