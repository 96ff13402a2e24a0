"""Deployments and retrieves as they are told: the same members by SOAP and by REST."""

from datetime import datetime
from typing import Any

from orgsim.data.wire import stored_moment
from orgsim.metadata.components import Component
from orgsim.orgs.org import Org
from orgsim.surfaces.metadata_api.deploying import Deployment, Message
from orgsim.surfaces.metadata_api.retrieving import Retrieved

_NO_TESTS = {"numFailures": 0, "numTestsRun": 0, "totalTime": 0.0}


def deploy_result(
    deployment: Deployment, *, details: bool, waits: int, now: datetime, by_rest: bool
) -> dict[str, Any]:
    """Return a `DeployResult`; for so many questions it is still under way."""
    done = deployment.asked > waits
    total = len(deployment.messages)
    failed = len(deployment.failed) if done else 0
    options = deployment.options
    applied = total if deployment.success else 0
    body: dict[str, Any] = {
        "checkOnly": options.check_only,
        "completedDate": stored_moment(now) if done else None,
        "createdBy": deployment.user.user_id,
        "createdByName": deployment.user.name,
        "createdDate": stored_moment(deployment.started),
        "details": _details(deployment, by_rest=by_rest) if details and done else None,
        "done": done,
        "errorMessage": deployment.error if done else None,
        "errorStatusCode": "UNKNOWN_EXCEPTION" if done and deployment.error else None,
        "id": deployment.job_id,
        "ignoreWarnings": options.ignore_warnings,
        "lastModifiedDate": stored_moment(now),
        "numberComponentErrors": failed,
        "numberComponentsDeployed": applied if done else 0,
        "numberComponentsTotal": total,
        "numberFiles": deployment.files,
        "numberTestErrors": 0,
        "numberTestsCompleted": 0,
        "numberTestsTotal": 0,
        "rollbackOnError": options.rollback_on_error,
        "runTestsEnabled": False,
        "startDate": stored_moment(deployment.started),
        "status": deployment.status if done else "InProgress",
        "success": done and deployment.success,
        "zipSize": deployment.size,
    }
    return body if by_rest else {name: value for name, value in body.items() if value is not None}


def _details(deployment: Deployment, *, by_rest: bool) -> dict[str, Any]:
    at = stored_moment(deployment.started)
    every = [_message(message, at) for message in deployment.messages]
    good = [message for message in every if message["success"]]
    bad = [message for message in every if not message["success"]]
    if by_rest:
        return {
            "allComponentMessages": every,
            "componentFailures": bad,
            "componentSuccesses": good,
            "retrieveResult": None,
            "runTestResult": {**_NO_TESTS, "failures": [], "successes": []},
        }
    manifest = {
        "changed": True,
        "componentType": "",
        "created": False,
        "createdDate": at,
        "deleted": False,
        "fileName": "package.xml",
        "fullName": "package.xml",
        "success": True,
    }
    return {
        "componentFailures": bad,
        "componentSuccesses": [*good, manifest],
        "runTestResult": _NO_TESTS,
    }


def _message(message: Message, at: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "changed": message.success and not message.deleted,
        "componentType": message.kind,
        "created": message.success and message.created and not message.deleted,
        "createdDate": at,
        "deleted": message.deleted,
        "fileName": message.path,
        "fullName": message.full_name,
        "success": message.success,
    }
    if message.component_id is not None:
        body["id"] = message.component_id
    if message.problem is not None:
        body["problem"] = message.problem.text
        body["problemType"] = "Warning" if message.problem.warning else "Error"
    return body


def file_properties(org: Org, component: Component, path: str) -> dict[str, Any]:
    """Return a `FileProperties`."""

    def name_of(user_id: str) -> str:
        user = org.user(user_id)
        return "" if user is None else user.name

    return {
        "createdById": component.created_by,
        "createdByName": name_of(component.created_by),
        "createdDate": stored_moment(component.created_at),
        "fileName": path,
        "fullName": component.full_name,
        "id": component.component_id,
        "lastModifiedById": component.modified_by,
        "lastModifiedByName": name_of(component.modified_by),
        "lastModifiedDate": stored_moment(component.modified_at),
        "manageableState": "installed" if component.installed_by else "unmanaged",
        "namespacePrefix": component.namespace,
        "type": component.kind,
    }


def retrieve_result(org: Org, retrieved: Retrieved, *, zip_file: str | None) -> dict[str, Any]:
    """Return a `RetrieveResult`."""
    return {
        "done": True,
        "fileProperties": [
            file_properties(org, component, f"unpackaged/{path}")
            for component, path in retrieved.components
        ],
        "id": retrieved.job_id,
        "messages": [
            {"fileName": "unpackaged/package.xml", "problem": text} for text in retrieved.missing
        ],
        "status": "Succeeded",
        "success": True,
        "zipFile": zip_file,
    }
