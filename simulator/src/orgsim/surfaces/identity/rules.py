"""What the identity service and userinfo tell about a person.

Spec: Salesforce Help, "Identity URLs"; Mobile SDK Developer Guide, "Using Identity URLs";
OpenID Connect Core 1.0 section 5.3.
"""

from collections.abc import Mapping
from typing import Any

from orgsim.orgs.org import Org, User

IDENTITY_SCOPES = frozenset({"id", "openid", "profile", "email", "address", "phone", "full", "api"})
SERVED = {
    "enterprise": "/services/Soap/c/{version}/{org}",
    "metadata": "/services/Soap/m/{version}/{org}",
    "partner": "/services/Soap/u/{version}/{org}",
    "rest": "/services/data/v{version}/",
    "sobjects": "/services/data/v{version}/sobjects/",
    "search": "/services/data/v{version}/search/",
    "query": "/services/data/v{version}/query/",
    "recent": "/services/data/v{version}/recent/",
    "tooling_soap": "/services/Soap/T/{version}/{org}",
    "tooling_rest": "/services/data/v{version}/tooling/",
    "profile": "/{user}",
    "feeds": "/services/data/v{version}/chatter/feeds",
    "groups": "/services/data/v{version}/chatter/groups",
    "users": "/services/data/v{version}/chatter/users",
    "feed_items": "/services/data/v{version}/chatter/feed-items",
    "feed_elements": "/services/data/v{version}/chatter/feed-elements",
}
LATEST_VERSION = "68.0"
_LAST_MODIFIED = "2026-01-15T09:30:00Z"


def urls_of(org: Org, user: User, *, origin: str, version: str | None) -> dict[str, str]:
    """Return the API addresses; `{version}` stays unless a version was asked for."""
    asked = {"latest": LATEST_VERSION}.get(version or "", version)
    urls = {}
    for name, path in SERVED.items():
        text = path.replace("{org}", org.org_id[:15]).replace("{user}", user.user_id)
        urls[name] = origin + (text if asked is None else text.replace("{version}", asked))
    urls["custom_domain"] = origin
    return urls


def _photos(origin: str) -> dict[str, str]:
    return {
        "picture": f"{origin}/profilephoto/005/F",
        "thumbnail": f"{origin}/profilephoto/005/T",
    }


def identity_of(
    org: Org, user: User, *, identity_url: str, urls: Mapping[str, str], installed: bool
) -> dict[str, Any]:
    """Return the identity service's answer."""
    origin = urls["custom_domain"]
    return {
        "id": identity_url,
        "asserted_user": True,
        "user_id": user.user_id,
        "organization_id": org.org_id,
        "username": user.username,
        "nick_name": user.username.split("@")[0],
        "display_name": user.name,
        "email": user.email,
        "email_verified": True,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "timezone": "Europe/London",
        "photos": _photos(origin),
        "addr_street": None,
        "addr_city": None,
        "addr_state": None,
        "addr_country": None,
        "addr_zip": None,
        "mobile_phone": None,
        "mobile_phone_verified": False,
        "is_lightning_login_user": False,
        "status": {"created_date": None, "body": None},
        "urls": dict(urls),
        "active": user.active,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_GB",
        "utcOffset": 0,
        "last_modified_date": _LAST_MODIFIED,
        "is_app_installed": installed,
    }


def userinfo_of(
    org: Org, user: User, *, identity_url: str, urls: Mapping[str, str], installed: bool
) -> dict[str, Any]:
    """Return the same in OpenID Connect's names."""
    photos = _photos(urls["custom_domain"])
    return {
        "sub": identity_url,
        "user_id": user.user_id,
        "organization_id": org.org_id,
        "preferred_username": user.username,
        "nickname": user.username.split("@")[0],
        "name": user.name,
        "email": user.email,
        "email_verified": True,
        "given_name": user.first_name,
        "family_name": user.last_name,
        "zoneinfo": "Europe/London",
        "photos": photos,
        "profile": urls["profile"],
        "picture": photos["picture"],
        "address": {},
        "urls": dict(urls),
        "active": user.active,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_GB",
        "utcOffset": 0,
        "updated_at": _LAST_MODIFIED,
        "is_app_installed": installed,
        "is_salesforce_integration_user": user.role == "integration",
    }


DISCOVERY_SCOPES = [
    "cdp_ingest_api",
    "custom_permissions",
    "cdp_segment_api",
    "content",
    "cdp_api",
    "chatbot_api",
    "cdp_identityresolution_api",
    "interaction_api",
    "wave_api",
    "web",
    "cdp_calculated_insight_api",
    "einstein_gpt_api",
    "offline_access",
    "id",
    "api",
    "data_cloud_user_claims",
    "eclair_api",
    "email",
    "pardot_api",
    "lightning",
    "visualforce",
    "cdp_query_api",
    "sfap_api",
    "address",
    "openid",
    "profile",
    "scrt_api",
    "cdp_profile_api",
    "refresh_token",
    "phone",
    "user_registration_api",
    "pwdless_login_api",
    "chatter_api",
    "mcp_api",
    "full",
    "forgot_password",
]
DISCOVERY_CLAIMS = [
    "active",
    "address",
    "email",
    "email_verified",
    "family_name",
    "given_name",
    "is_app_installed",
    "language",
    "locale",
    "name",
    "nickname",
    "organization_id",
    "phone_number",
    "phone_number_verified",
    "photos",
    "picture",
    "preferred_username",
    "profile",
    "sub",
    "updated_at",
    "urls",
    "user_id",
    "user_type",
    "zoneinfo",
]


def discovery_of(origin: str) -> dict[str, Any]:
    """Return the discovery document; PKCE and DPoP are not in it.

    Spec: https://login.salesforce.com/.well-known/openid-configuration (2026).
    """
    oauth = f"{origin}/services/oauth2"
    return {
        "issuer": origin,
        "authorization_endpoint": f"{oauth}/authorize",
        "token_endpoint": f"{oauth}/token",
        "revocation_endpoint": f"{oauth}/revoke",
        "userinfo_endpoint": f"{oauth}/userinfo",
        "jwks_uri": f"{origin}/id/keys",
        "registration_endpoint": f"{oauth}/register",
        "introspection_endpoint": f"{oauth}/introspect",
        "scopes_supported": DISCOVERY_SCOPES,
        "response_types_supported": ["code", "token", "token id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "display_values_supported": ["page", "popup", "touch"],
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "client_secret_basic",
            "private_key_jwt",
        ],
        "claims_supported": DISCOVERY_CLAIMS,
    }


def auth_configuration_of(org: Org, *, origin: str) -> dict[str, Any]:
    """Return what a My Domain tells before any login; the org ID is in it.

    Spec: Salesforce Mobile SDK `AuthConfigUtil` (fields).
    """
    return {
        "OrgId": org.org_id,
        "Url": origin,
        "MobileSDK": {"UseiOSNativeBrowserForAuthentication": False},
        "LoginPage": {"LoginPageTypeDefault": "DEFAULT"},
        "SamlProviders": [],
        "AuthProviders": [],
        "CertificateLogin": {"CertificateLoginUrl": None},
        "LoginPageType": "DEFAULT",
        "LoginPageTypeConfigs": [],
    }
