"""Metadata API calls as raw HTTP, in the forms that clients use."""

import base64
import json
import re

from orgsim_caller import Caller

from orgsim.metadata.archive import written_manifest, zipped

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
SPACE = "http://soap.sforce.com/2006/04/metadata"
APP = {
    "ExternalClientApplication:Plain": (
        "externalClientApps/Plain.eca",
        (
            "<contactEmail>a@acme.example</contactEmail>"
            "<distributionState>Packaged</distributionState>"
        ),
    ),
    "ExtlClntAppOauthSettings:Plain_oauth": (
        "extlClntAppOauthSettings/Plain_oauth.ecaOauth",
        (
            "<commaSeparatedOauthScopes>Api, RefreshToken</commaSeparatedOauthScopes>"
            "<externalClientApplication>Plain</externalClientApplication>"
        ),
    ),
    "ExtlClntAppGlobalOauthSettings:Plain_glbloauth": (
        "extlClntAppGlobalOauthSets/Plain_glbloauth.ecaGlblOauth",
        (
            "<callbackUrl>http://localhost:9/callback</callbackUrl>"
            "<externalClientApplication>Plain</externalClientApplication>"
        ),
    ),
}


def zip_of(components=None, *, version="68.0"):
    """Return a zip of components: `kind:name` with path and inner XML."""
    members: dict[str, list[str]] = {}
    files = {}
    for label, (path, inner) in (APP if components is None else components).items():
        kind, name = label.split(":")
        members.setdefault(kind, []).append(name)
        files[path] = f'{HEAD}<{kind} xmlns="{SPACE}">{inner}</{kind}>'.encode()
    return zipped({"package.xml": written_manifest(members, version=version), **files})


def call_soap(caller: Caller, org, token, body, *, path="/services/Soap/m/68.0"):
    """Send a SOAP call."""
    envelope = (
        f'{HEAD}<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="{SPACE}">'
        f"<e:Header><SessionHeader><sessionId>{token}</sessionId></SessionHeader></e:Header>"
        f"<e:Body>{body}</e:Body></e:Envelope>"
    )
    headers = {"Content-Type": "text/xml", "SOAPAction": '""'}
    return caller.http.post(f"{caller.org_url(org)}{path}", content=envelope, headers=headers)


def deploy_by_soap(caller: Caller, org, token, data, **options):
    """Deploy and return the status's answer."""
    asked = "".join(f"<{name}>{value}</{name}>" for name, value in options.items())
    body = f"<deploy><ZipFile>{base64.b64encode(data).decode()}</ZipFile>"
    begun = call_soap(
        caller, org, token, f"{body}<DeployOptions>{asked}</DeployOptions></deploy>"
    ).text
    job = re.search(r"<id>(0Af\w{15})</id>", begun)
    assert job is not None, begun
    check = (
        f"<checkDeployStatus><asyncProcessId>{job[1]}</asyncProcessId>"
        "<includeDetails>true</includeDetails></checkDeployStatus>"
    )
    first = call_soap(caller, org, token, check).text
    assert "<done>false</done>" in first
    return call_soap(caller, org, token, check).text


def deploy_by_rest(caller: Caller, org, token, data, **options):
    """Deploy and return the last answer's `deployResult`."""
    url = f"{caller.org_url(org)}/services/data/v68.0/metadata/deployRequest"
    headers = {"Authorization": f"Bearer {token}"}
    about = json.dumps({"deployOptions": options})
    parts = {
        "entity_content": ("blob", about, "application/json"),
        "file": ("package.zip", data, "application/zip"),
    }
    begun = caller.http.post(url, headers=headers, files=parts)
    assert begun.status_code == 201, begun.text
    job = f"{url}/{begun.json()['id']}?includeDetails=true"
    assert caller.http.get(job, headers=headers).json()["deployResult"]["done"] is False
    return caller.http.get(job, headers=headers).json()["deployResult"]
