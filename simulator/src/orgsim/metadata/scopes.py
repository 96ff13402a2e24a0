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

# Columns of `ExtlClntAppOauthSettings`, without their prefix `OauthScopes`.
COLUMNS = {
    "Address": "ADDRESS",
    "Api": "API",
    "Basic": "SSO",
    "CDP": "CDP_API",
    "CDPCalculatedInsight": "CDP_CALCULATED_INSIGHT_API",
    "CDPIdentityResolution": "CDP_IDENTITYRESOLUTION_API",
    "CDPIngest": "CDP_INGEST_API",
    "CDPProfile": "CDP_PROFILE_API",
    "CDPQuery": "CDP_QUERY_API",
    "CDPSegment": "CDP_SEGMENT_API",
    "Chatbot": "CHATBOT_API",
    "Chatter": "CHATTER_REST_API",
    "Content": "CONTENT",
    "CustomApplications": "VF",
    "CustomPermissions": "CUSTOM_PERMISSIONS",
    "DataCloudUserClaims": "DATA_CLOUD_USER_CLAIMS",
    "Eclair": "ECLAIR_REST_API",
    "EinsteinGPT": "EINSTEIN_GPT_API",
    "Email": "EMAIL",
    "ForgotPassword": "FORGOT_PASSWORD",
    "Full": "FULL",
    "Interaction": "INTERACTION_API",
    "Lightning": "LIGHTNING",
    "MCP": "MCP_API",
    "OfflineAccess": "OFFLINE_ACCESS",
    "OpenID": "OPENID",
    "Pardot": "PARDOT_API",
    "Phone": "PHONE",
    "Profile": "PROFILE",
    "PwdlessLogin": "PWDLESS_LOGIN_API",
    "RefreshToken": "REFRESH_TOKEN",
    "SCRT": "SCRT_API",
    "SFApiPlatform": "SFAP_API",
    "UserRegistration": "USER_REGISTRATION_API",
    "Wave": "WAVE_REST_API",
    "Web": "WEB",
}


def split_names(text: str) -> tuple[str, ...]:
    """Split a list by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def runtime_scopes(text: str) -> frozenset[str]:
    """Return the scopes that a comma-separated list grants; every app knows who its user is."""
    named = {RUNTIME[name] for name in split_names(text) if name in RUNTIME}
    return frozenset(named | {"id"})
