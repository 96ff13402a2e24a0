"""Scopes as metadata names them, and as the token endpoint does.

Spec: Metadata API Developer Guide, "ExtlClntAppOauthSettings"; the pairing of the rarer ones is by
meaning.
"""

RUNTIME = {
    "Address": "address",
    "Api": "api",
    "Basic": "id",
    "CDP": "cdp_api",
    "CDPCalculatedInsight": "cdp_calculated_insight_api",
    "CDPIdentityResolution": "cdp_identityresolution_api",
    "CDPIngest": "cdp_ingest_api",
    "CDPProfile": "cdp_profile_api",
    "CDPQuery": "cdp_query_api",
    "CDPSegment": "cdp_segment_api",
    "Chatbot": "chatbot_api",
    "Chatter": "chatter_api",
    "Content": "content",
    "CustomApplications": "visualforce",
    "CustomPermissions": "custom_permissions",
    "DataCloudUserClaims": "data_cloud_user_claims",
    "Eclair": "eclair_api",
    "EinsteinGPT": "einstein_gpt_api",
    "Email": "email",
    "ForgotPassword": "forgot_password",
    "Full": "full",
    "Interaction": "interaction_api",
    "Lightning": "lightning",
    "MCP": "mcp_api",
    "OfflineAccess": "refresh_token",
    "OpenID": "openid",
    "Pardot": "pardot_api",
    "Phone": "phone",
    "Profile": "profile",
    "PwdlessLogin": "pwdless_login_api",
    "RefreshToken": "refresh_token",
    "SCRT": "scrt_api",
    "SFApiPlatform": "sfap_api",
    "UserRegistration": "user_registration_api",
    "Wave": "wave_api",
    "Web": "web",
}


def split_names(text: str) -> tuple[str, ...]:
    """Split a list by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def runtime_scopes(text: str) -> frozenset[str]:
    """Return the scopes that a comma-separated list grants; every app knows who its user is."""
    named = {RUNTIME[name] for name in split_names(text) if name in RUNTIME}
    return frozenset(named | {"id"})
