"""`ExtlClntAppOauthSettings`: scopes and the link to the registration; the package carries it.

Spec: Metadata API Developer Guide, "ExtlClntAppOauthSettings".
"""

from __future__ import annotations

from keyturn_builder.app_config import AppTable
from keyturn_builder.metadata.component import Component
from keyturn_builder.metadata.xml import document
from keyturn_core.salesforce.scopes import METADATA_NAMES, Scope

TYPE = "ExtlClntAppOauthSettings"


def settings_name(app: AppTable) -> str:
    """Return the name that Setup itself gives to an app's OAuth settings."""
    return f"{app.name}_oauth"


def oauth_settings(app: AppTable, *, oauth_link: str | None = None) -> Component:
    """Return the OAuth settings. The link is left out at the first deploy, and made by it."""
    scopes = sorted({METADATA_NAMES[Scope(scope)] for scope in app.scopes})
    name = settings_name(app)
    text = document(
        TYPE,
        {
            "commaSeparatedOauthScopes": ", ".join(scopes),
            "externalClientApplication": app.name,
            "label": name,
            "oauthLink": oauth_link,
        },
    )
    return Component.of(TYPE, name, text)
