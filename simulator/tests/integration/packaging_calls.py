"""Packages made and installed by raw calls of the Tooling API, as the command line makes them."""

import base64
import json
import re

from metadata_calls import HEAD, SPACE, call_soap, deploy_by_soap, zip_of
from orgsim_caller import Caller

from orgsim.metadata.archive import unzip, written_manifest, zipped

FLOW = (
    "<apiVersion>68.0</apiVersion><label>Alert</label><processType>AutoLaunchedFlow</processType>"
    "<recordLookups><name>Get</name><object>Account</object><filters><field>Id</field><value>"
    "<elementReference>accountId</elementReference></value></filters><connector>"
    "<targetReference>Make</targetReference></connector></recordLookups><recordCreates>"
    "<name>Make</name><object>Task</object><inputAssignments><field>Subject</field><value>"
    "<stringValue>Renewal</stringValue></value></inputAssignments><inputAssignments>"
    "<field>WhatId</field><value><elementReference>accountId</elementReference></value>"
    "</inputAssignments><inputAssignments><field>OwnerId</field><value>"
    "<elementReference>Get.OwnerId</elementReference></value></inputAssignments></recordCreates>"
    "<start><connector><targetReference>Get</targetReference></connector></start>"
    "<status>Active</status><variables><name>accountId</name><isInput>true</isInput></variables>"
)
USAGE = (
    "<label>Usage</label><pluralLabel>Usage</pluralLabel><nameField><label>Number</label>"
    "<displayFormat>U-{0000}</displayFormat><type>AutoNumber</type></nameField>"
    "<fields><fullName>Key__c</fullName><label>Key</label><type>Text</type><length>80</length>"
    "<externalId>true</externalId><unique>true</unique></fields><fields><fullName>Account__c"
    "</fullName><label>Account</label><type>Lookup</type><referenceTo>Account</referenceTo>"
    "<relationshipName>Usages</relationshipName></fields>"
)
EVENT = (
    "<label>Alert</label><pluralLabel>Alerts</pluralLabel><eventType>HighVolume</eventType>"
    "<fields><fullName>Text__c</fullName><label>Text</label><type>Text</type><length>80</length>"
    "</fields>"
)
ON_ACCOUNT = "<fields><fullName>Plan__c</fullName><type>Text</type><length>20</length></fields>"
READER = (
    "<label>Reader</label><objectPermissions><object>Contact</object></objectPermissions>"
    "<objectPermissions><object>Usage__c</object></objectPermissions><fieldPermissions>"
    "<field>Contact.Email</field></fieldPermissions><fieldPermissions><field>Contact.Plan__c"
    "</field></fieldPermissions><userPermissions><name>ApiEnabled</name></userPermissions>"
)
PARTS = {
    "Flow:Alert": ("flows/Alert.flow", FLOW),
    "CustomObject:Usage__c": ("objects/Usage__c.object", USAGE),
    "CustomObject:Alert__e": ("objects/Alert__e.object", EVENT),
    "CustomObject:Account": ("objects/Account.object", ON_ACCOUNT),
    "PermissionSet:Reader": ("permissionsets/Reader.permissionset", READER),
}


class Vendor:
    """An admin of the Dev Hub who packages the app `Plain`."""

    def __init__(self, client: Caller) -> None:
        self.client = client
        self.hub = client.sim.control.get("/dev-hub").json()
        self.token = client.connect(self.hub)["access_token"]
        deploy_by_soap(client, self.hub, self.token, zip_of())
        self.headers = {"Authorization": f"Bearer {self.token}"}

    def url(self, org, path):
        """Return an address of the Tooling API."""
        return f"{self.client.org_url(org)}/services/data/v68.0/tooling{path}"

    def query(self, text, org=None, headers=None):
        """Run a query."""
        url = self.url(org or self.hub, "/query")
        return self.client.http.get(url, params={"q": text}, headers=headers or self.headers)

    def package(self, name="Acme", **values):
        """Make a package."""
        body = {"Name": name, "ContainerOptions": "Managed", "NamespacePrefix": "acme"} | values
        url = self.url(self.hub, "/sobjects/Package2")
        return self.client.http.post(url, json=body, headers=self.headers)

    def app_parts(self, owner=None, token=None):
        """Return header and OAuth settings with what the owning org put in."""
        org = (owner or self.hub)["org_id"][:15]
        kinds = ("ExternalClientApplication", "ExtlClntAppOauthSettings")
        link = self.link(owner or self.hub, token or self.token)
        own = {
            kinds[0]: f"<orgScopedExternalApp>{org}:Plain</orgScopedExternalApp>",
            kinds[1]: f"<oauthLink>{link}</oauthLink>",
        }
        files = unzip(zip_of())
        made = {}
        for path, body in files.items():
            text = body.decode()
            for kind in kinds:
                if f"<{kind} " in text:
                    name = path.split("/")[1].split(".")[0]
                    inner = text.partition(">")[2].partition(">")[2].rpartition("</")[0]
                    made[f"{kind}:{name}"] = (path, inner + own[kind])
        return made

    def link(self, org, token):
        """Return the link that a retrieve puts into the OAuth settings."""
        asked = (
            "<retrieve><request><unpackaged><types><members>*</members>"
            "<name>ExtlClntAppOauthSettings</name></types><version>68.0</version></unpackaged>"
            "</request></retrieve>"
        )
        begun = call_soap(self.client, org, token, asked).text
        job = re.search(r"<id>(09S\w{15})</id>", begun)[1]
        check = f"<checkRetrieveStatus><asyncProcessId>{job}</asyncProcessId></checkRetrieveStatus>"
        said = call_soap(self.client, org, token, check).text
        files = unzip(base64.b64decode(re.search("<zipFile>(.*)</zipFile>", said)[1]))
        text = next(body.decode() for path, body in files.items() if "Plain_oauth" in path)
        return re.search("<oauthLink>(.*)</oauthLink>", text)[1]

    def request_version(self, package_id, parts, *, settings=None, **values):
        """Ask for a version and return the request's row once it has ended, and its errors."""
        number = values.pop("number", "1.0.0.NEXT")
        descriptor = {"id": package_id, "path": "force-app", "versionNumber": number}
        descriptor |= {"versionName": "first", "postInstallUrl": "https://acme.example/installed"}
        files = {"package2-descriptor.json": json.dumps(descriptor).encode()}
        files["package.zip"] = zip_of(parts)
        if settings is not None:
            inner = f'{HEAD}<ExternalClientAppSettings xmlns="{SPACE}">{settings}'
            body = f"{inner}</ExternalClientAppSettings>".encode()
            manifest = written_manifest({"Settings": ["ExternalClientApp"]}, version="68.0")
            files["settings.zip"] = zipped(
                {"package.xml": manifest, "settings/ExternalClientApp.settings": body}
            )
        asked = {"Package2Id": package_id, "CalculateCodeCoverage": True} | values
        form = {
            "VersionInfo": ("package-version-info.zip", zipped(files), "application/zip"),
            "Package2VersionCreateRequest": ("blob", json.dumps(asked), "application/json"),
        }
        url = self.url(self.hub, "/sobjects/Package2VersionCreateRequest")
        made = self.client.http.post(url, files=form, headers=self.headers)
        assert made.status_code == 201, made.text
        request_id = made.json()["id"]
        text = (
            "SELECT Status, Package2Version.SubscriberPackageVersionId FROM"
            " Package2VersionCreateRequest WHERE Id = "
        )
        text += f"'{request_id}'"
        while True:
            row = self.query(text).json()["records"][0]
            if row["Status"] in ("Success", "Error"):
                break
        errors = "SELECT Message FROM Package2VersionCreateRequestError WHERE ParentRequest.Id = "
        errors += f"'{request_id}'"
        return row, [error["Message"] for error in self.query(errors).json()["records"]]

    def version(self, package_id, parts=None, **values):
        """Make a version of the app and more, and return its ID (`04t`)."""
        row, errors = self.request_version(package_id, self.app_parts() | (parts or {}), **values)
        assert errors == []
        return row["Package2Version"]["SubscriberPackageVersionId"]

    def promote(self, version):
        """Release a version."""
        text = "SELECT Id FROM Package2Version WHERE SubscriberPackageVersionId = "
        text += f"'{version}'"
        row = self.query(text).json()["records"][0]
        url = self.url(self.hub, f"/sobjects/Package2Version/{row['Id']}")
        return self.client.http.patch(url, json={"IsReleased": True}, headers=self.headers)

    def released(self, parts=None, **values):
        """Make a package with one released version and return the version's ID."""
        package_id = self.package().json()["id"]
        version = self.version(package_id, PARTS if parts is None else parts, **values)
        assert self.promote(version).status_code == 204
        return version


class Customer:
    """An admin of a customer's org who installs packages."""

    def __init__(self, client: Caller, org, host=None) -> None:
        self.client, self.org = client, org
        self.token = client.connect(org, host=host)["access_token"]
        self.headers = {"Authorization": f"Bearer {self.token}"}
        self.root = f"{client.org_url(org)}/services/data/v68.0"

    def ask(self, name, body):
        """Make a request of the Tooling API and return it once it has ended."""
        url = f"{self.root}/tooling/sobjects/{name}"
        made = self.client.http.post(url, json=body, headers=self.headers)
        assert made.status_code == 201, made.text
        while True:
            row = self.client.http.get(f"{url}/{made.json()['id']}", headers=self.headers).json()
            if row["Status"].lower() in ("success", "error"):
                return row

    def install(self, version, **values):
        """Install a version for all users."""
        body = {"SubscriberPackageVersionKey": version, "SecurityType": "Full"} | values
        return self.ask("PackageInstallRequest", body)

    def uninstall(self, version):
        """Uninstall a version."""
        body = {"SubscriberPackageVersionId": version}
        return self.ask("SubscriberPackageVersionUninstallRequest", body)

    def get(self, path, **params):
        """Read something by the REST API."""
        return self.client.http.get(f"{self.root}{path}", params=params, headers=self.headers)

    def post(self, path, body):
        """Write something by the REST API."""
        return self.client.http.post(f"{self.root}{path}", json=body, headers=self.headers)
