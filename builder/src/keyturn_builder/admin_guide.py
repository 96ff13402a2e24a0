"""What a package cannot carry: a permission set to deploy, and the Setup steps in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keyturn_builder.app_config import AppConfig, Flow, ObjectTable
from keyturn_builder.metadata.component import API_VERSION, Component
from keyturn_builder.metadata.permission_set import admin_permission_set_name
from keyturn_builder.metadata.xml import document

_MANAGER: Final = "Setup > External Client App Manager"
_INSTALL: Final = """\
# {app.label}: what your Salesforce admin does

Questions: {app.contact}

## 1. Install the package

Open the install link and choose *Install for All Users*. {app.label} is then in
{manager}, with the prefix `{package.namespace}`.
"""
_ACCESS: Final = """\
## 2. Give access

A package cannot carry permissions on standard objects or on the API. The permission set in
`deploy/` has them:

{needs}

```sh
sf project deploy start --metadata-dir deploy --target-org <alias>
```

Then Setup > Users > Permission Sets: assign *{app.label}: package* (it came with the package) and
*{app.label}: access* (`{name}`) to the user who connects.
"""
_POLICIES: Final = """\
## 3. Look at the policies

{manager} > {app.label} > Policies > Edit > OAuth Policies:

- *Refresh Token Policy*: unless you change it, a connection ends 365 days after consent, however
  much it is used. Choose *valid until revoked*, or *expire if not used for 30 days*.
- *IP Relaxation*: if profiles have login IP ranges, add the vendor's addresses to them, or choose
  *Relax IP restrictions*.
"""
_PREAUTHORIZATION: Final = """\
## 4. Pre-authorize the integration user (server to server)

1. {manager} > {app.label} > Policies > Edit > OAuth Policies > *Permitted Users*:
   *Admin approved users are pre-authorized*.
2. On the same page, *App Policies > Select Permission Sets*: one that the integration user has.
   From the permission set's own page it has no effect.
3. Tell the vendor the integration user's username.
"""


def admin_files(config: AppConfig, beside: Component) -> dict[str, str]:
    """Return the folder for customers' admins, text by path: `sf` and Workbench deploy it."""
    manifest = document(
        "Package",
        {"types": {"members": beside.name, "name": beside.type}, "version": API_VERSION},
    )
    return {
        "SETUP.md": setup_steps(config),
        "deploy/package.xml": manifest,
        f"deploy/{beside.deploy_path}": beside.text,
    }


def setup_steps(config: AppConfig) -> str:
    """Return the steps of a customer's admin, as Markdown."""
    parts = [
        _INSTALL.format(app=config.app, package=config.package, manager=_MANAGER),
        _access(config),
        _POLICIES.format(app=config.app, manager=_MANAGER),
        _addresses(config),
        _preauthorization(config),
    ]
    return "\n".join(part for part in parts if part)


def _access(config: AppConfig) -> str:
    name = admin_permission_set_name(config.app)
    return _ACCESS.format(app=config.app, needs=_needs(config.objects), name=name)


def _needs(objects: Mapping[str, ObjectTable]) -> str:
    lines = ["- API Enabled"]
    for name, table in sorted(objects.items()):
        fields = f": {', '.join(sorted(table.fields))}" if table.fields else ""
        lines.append(f"- {name}, {', '.join(access.value for access in table.access)}{fields}")
    return "\n".join(lines)


def _addresses(config: AppConfig) -> str:
    listed = "\n".join(f"- {one.start} to {one.end}" for one in config.app.ranges)
    return f"{config.app.label} calls Salesforce from:\n\n{listed}\n" if listed else ""


def _preauthorization(config: AppConfig) -> str:
    if Flow.JWT not in config.app.flows:
        return ""
    return _PREAUTHORIZATION.format(app=config.app, manager=_MANAGER)
