"""A small project with an External Client App, as a developer writes it by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.sax.saxutils import escape

_NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
HEADER = ("externalClientApps", "eca", "ExternalClientApplication")
OAUTH = ("extlClntAppOauthSettings", "ecaOauth", "ExtlClntAppOauthSettings")
GLOBAL = ("extlClntAppGlobalOauthSets", "ecaGlblOauth", "ExtlClntAppGlobalOauthSettings")
SECURITY = (
    "extlClntAppOauthSecuritySettings",
    "ecaOauthSecurity",
    "ExtlClntAppOauthSecuritySettings",
)
OAUTH_POLICIES = (
    "extlClntAppOauthPolicies",
    "ecaOauthPlcy",
    "ExtlClntAppOauthConfigurablePolicies",
)
PLUG_INS = {
    ("extlClntAppMobileSettings", "ecaMobile", "ExtlClntAppMobileSettings"): {
        "isScreenLockEnabled": "true"
    },
    ("extlClntAppMobilePolicies", "ecaMobilePlcy", "ExtlClntAppMobileConfigurablePolicies"): {
        "screenLockTimeout": "Never"
    },
    ("extlClntAppNotifSettings", "ecaNotifications", "ExtlClntAppNotificationSettings"): {
        "notificationTypes": "<notificationType>renewal</notificationType>"
        "<pushByDefault>true</pushByDefault>"
    },
    ("extlClntAppPushSettings", "ecaPush", "ExtlClntAppPushSettings"): {"pushServiceType": "Apple"},
    ("extlClntAppPushPolicies", "ecaPushPlcy", "ExtlClntAppPushConfigurablePolicies"): {
        "isFullContent": "false"
    },
    ("extlClntAppCanvasSettings", "ecaCanvas", "ExtlClntAppCanvasSettings"): {
        "canvasUrl": "https://app.acme.example/canvas"
    },
    (
        "extlClntAppSamlConfigurablePolicies",
        "ecaSamlPlcy",
        "ExtlClntAppSamlConfigurablePolicies",
    ): {"acsUrl": "https://app.acme.example/acs", "entityUrl": "https://app.acme.example"},
}
POLICIES = ("extlClntAppPolicies", "ecaPlcy", "ExtlClntAppConfigurablePolicies")
Kind = tuple[str, str, str]


class Project:
    """A project's folder; `force-app` is what is deployed from it."""

    def __init__(self, folder: Path, *, namespace: str = "", version: str = "68.0") -> None:
        self.folder = folder
        self.source = folder / "force-app"
        if self.source.exists():
            return
        self.source.mkdir(parents=True)
        about = {
            "packageDirectories": [{"path": "force-app", "default": True}],
            "name": "acme",
            "namespace": namespace,
            "sourceApiVersion": version,
        }
        (folder / "sfdx-project.json").write_text(json.dumps(about))

    def copied(self, folder: Path, **directory: str) -> Project:
        """Return a copy whose package directory says something else."""
        shutil.copytree(self.folder, folder)
        file = folder / "sfdx-project.json"
        about = json.loads(file.read_text())
        about["packageDirectories"][0] |= directory
        file.write_text(json.dumps(about))
        return Project(folder)

    def put(self, kind: Kind, name: str, **values: str) -> Path:
        """Write one file of an app."""
        folder, suffix, root = kind
        inner = "".join(
            f"    <{key}>{value if value.startswith('<') else escape(value)}</{key}>\n"
            for key, value in values.items()
        )
        return self.write(f"{folder}/{name}.{suffix}-meta.xml", root, inner)

    def write(self, path: str, root: str, inner: str) -> Path:
        """Write any metadata file."""
        file = self.source / path
        file.parent.mkdir(parents=True, exist_ok=True)
        head = '<?xml version="1.0" encoding="UTF-8"?>'
        file.write_text(f'{head}\n<{root} xmlns="{_NAMESPACE}">\n{inner}</{root}>\n')
        return file

    def read(self, kind: Kind, name: str) -> str:
        """Return a file's text."""
        folder, suffix, _ = kind
        return next(self.source.rglob(f"{folder}/{name}.{suffix}-meta.xml")).read_text()

    def app(self, name: str, *, certificate: str = "", **changed: str) -> None:
        """Write header, OAuth settings and global settings."""
        header = {"contactEmail": "integrations@acme.example", "distributionState": "Packaged"}
        self.put(HEADER, name, **header, isProtected="false", label="Acme Connect")
        self.put(
            OAUTH,
            f"{name}_oauth",
            commaSeparatedOauthScopes="Api, RefreshToken",
            externalClientApplication=name,
            label=f"{name}_oauth",
        )
        values = {
            "callbackUrl": "https://connect.acme.example/oauth/callback",
            "externalClientApplication": name,
            "isConsumerSecretOptional": "false",
            "isEnforceRefreshTokenTTL": "true",
            "isPkceRequired": "false",
            "isRefreshTokenRotationEnabled": "true",
            "isSecretRequiredForRefreshToken": "true",
            "label": f"{name}_glbloauth",
        } | changed
        if certificate:
            values["certificate"] = certificate
        self.put(GLOBAL, f"{name}_glbloauth", **values)
