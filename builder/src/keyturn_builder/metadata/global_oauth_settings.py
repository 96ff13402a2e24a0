"""`ExtlClntAppGlobalOauthSettings`: callback URLs, certificate, flows. Never in a package.

A deploy resets what it leaves out, the certificate too, so the document is always complete.
Spec: Metadata API Developer Guide, "ExtlClntAppGlobalOauthSettings".
"""

from __future__ import annotations

from keyturn_builder.app_config import AppTable
from keyturn_builder.metadata.component import Component
from keyturn_builder.metadata.xml import Value, document

TYPE = "ExtlClntAppGlobalOauthSettings"
SWITCHES = {
    "isClientCredentialsFlowEnabled": False,
    "isCodeCredFlowEnabled": False,
    "isCodeCredPostOnly": False,
    "isConsumerSecretOptional": False,
    "isDPopEnabled": False,
    "isDeviceFlowEnabled": False,  # never for a vendor's app: it is what attackers use
    "isEnforceRefreshTokenTTL": True,
    "isIntrospectAllTokens": False,
    "isMtlsEnabled": False,
    "isNamedUserJwtEnabled": False,  # SOAP and UI sessions do not take tokens in JWT format
    "isPkceRequired": True,
    "isRefreshTokenRotationEnabled": True,
    "isSecretRequiredForRefreshToken": True,
    "isSecretRequiredForTokenExchange": True,
    "isTokenExchangeEnabled": False,
}


def global_settings_name(app: AppTable) -> str:
    """Return the name that Setup itself gives to an app's global OAuth settings."""
    return f"{app.name}_glbloauth"


def global_oauth_settings(app: AppTable, *, certificate: str | None) -> Component:
    """Return the settings; with a certificate (PEM) the app takes JWT Bearer assertions."""
    name = global_settings_name(app)
    children: dict[str, Value] = {
        **SWITCHES,
        "callbackUrl": "\n".join(app.callback_urls),
        "certificate": certificate.strip() if certificate else None,
        "externalClientApplication": app.name,
        "label": name,
    }
    return Component.of(TYPE, name, document(TYPE, children))
