"""Scopes: what the metadata calls them, and what they are called at run time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NewType

Scope = NewType("Scope", str)
"""A scope by its runtime name, such as `api`."""

RUNTIME_NAMES: Final[Mapping[str, Scope]] = MappingProxyType(
    {
        "Address": Scope("address"),
        "Api": Scope("api"),
        "CDP": Scope("cdp_api"),
        "CDPCalculatedInsight": Scope("cdp_calculated_insight_api"),
        "CDPIdentityResolution": Scope("cdp_identityresolution_api"),
        "CDPIngest": Scope("cdp_ingest_api"),
        "CDPProfile": Scope("cdp_profile_api"),
        "CDPQuery": Scope("cdp_query_api"),
        "CDPSegment": Scope("cdp_segment_api"),
        "Chatbot": Scope("chatbot_api"),
        "Chatter": Scope("chatter_api"),
        "Content": Scope("content"),
        "CustomApplications": Scope("visualforce"),
        "CustomPermissions": Scope("custom_permissions"),
        "DataCloudUserClaims": Scope("data_cloud_user_claims"),
        "Eclair": Scope("eclair_api"),
        "EinsteinGPT": Scope("einstein_gpt_api"),
        "Email": Scope("email"),
        "ForgotPassword": Scope("forgot_password"),
        "Full": Scope("full"),
        "Interaction": Scope("interaction_api"),
        "Lightning": Scope("lightning"),
        "MCP": Scope("mcp_api"),
        "OfflineAccess": Scope("offline_access"),
        "OpenID": Scope("openid"),
        "Pardot": Scope("pardot_api"),
        "Phone": Scope("phone"),
        "Profile": Scope("profile"),
        "PwdlessLogin": Scope("pwdless_login_api"),
        "RefreshToken": Scope("refresh_token"),
        "SCRT": Scope("scrt_api"),
        "SFApiPlatform": Scope("sfap_api"),  # `SFAP` in the older type ConnectedApp
        "UserRegistration": Scope("user_registration_api"),
        "Basic": Scope("id"),
        "Wave": Scope("wave_api"),
        "Web": Scope("web"),
    }
)
METADATA_NAMES: Final[Mapping[Scope, str]] = MappingProxyType(
    {runtime: metadata for metadata, runtime in RUNTIME_NAMES.items()}
)

_REFRESH: Final = frozenset({Scope("refresh_token"), Scope("offline_access")})
_FULL: Final = Scope("full")
_SHAPE: Final = re.compile(r"[a-z0-9_:./-]{1,100}", re.ASCII)


def read_scopes(text: str) -> frozenset[Scope]:
    """Return the scopes of a `scope` parameter; their order is not stable, and says nothing.

    Words out of shape are left out: a scope that nobody asked for by name is never needed.
    """
    return frozenset(Scope(word) for word in text.split() if _SHAPE.fullmatch(word))


def missing_scopes(needed: frozenset[Scope], granted: frozenset[Scope]) -> frozenset[Scope]:
    """Return what is needed and was not granted.

    `refresh_token` and `offline_access` are one; `full` covers all but these.
    Spec: Salesforce Help, "OAuth Tokens and Scopes".
    """
    missing = needed - granted
    if granted & _REFRESH:
        missing -= _REFRESH
    if _FULL in granted:
        missing &= _REFRESH
    return missing
