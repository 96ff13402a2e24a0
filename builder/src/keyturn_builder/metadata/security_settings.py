"""`ExtlClntAppOauthSecuritySettings`: where refresh tokens may come from. Never in a package.

Spec: Help, "Set IP Allowlist for Refresh Tokens"; the type's elements are in the WSDL.
"""

from __future__ import annotations

from keyturn_builder.app_config import AppTable
from keyturn_builder.metadata.component import Component
from keyturn_builder.metadata.xml import document

TYPE = "ExtlClntAppOauthSecuritySettings"


def security_settings_name(app: AppTable) -> str:
    """Return the name that Setup itself gives to an app's security settings."""
    return f"{app.name}_oauthSecurity"


def security_settings(app: AppTable) -> Component:
    """Return the allow-list; empty, it allows every address."""
    name = security_settings_name(app)
    ranges = [
        {"startIpAddress": str(one.start), "endIpAddress": str(one.end)} for one in app.ranges
    ]
    text = document(
        TYPE,
        {"externalClientApplication": app.name, "label": name, "tokenIpRanges": ranges},
    )
    return Component.of(TYPE, name, text)
