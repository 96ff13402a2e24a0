"""`ExternalClientApplication`: the header, which the package carries.

Spec: Metadata API Developer Guide, "ExternalClientApplication".
"""

from __future__ import annotations

from keyturn_builder.app_config import AppTable
from keyturn_builder.metadata.component import Component
from keyturn_builder.metadata.xml import document

TYPE = "ExternalClientApplication"


def header(app: AppTable, *, org_scoped_external_app: str | None = None) -> Component:
    """Return the header. The reference to the owning org is left out at the first deploy."""
    text = document(
        TYPE,
        {
            "contactEmail": app.contact,
            "description": app.description or None,
            "distributionState": "Packaged",
            "isProtected": False,
            "label": app.label,
            "logoUrl": app.logo,
            "orgScopedExternalApp": org_scoped_external_app,
        },
    )
    return Component.of(TYPE, app.name, text)
