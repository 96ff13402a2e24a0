"""The words of the Metadata API's errors; those that were only reported of real orgs say so.

Spec: Metadata API Developer Guide, "DeployMessage" and the pages of the types.
"""

SESSION = ("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session")
NO_ACCESS = (
    "INSUFFICIENT_ACCESS",
    "use of the Metadata API requires a user with the ModifyAllData or ModifyMetadata permissions",
)
OPERATION = ("INVALID_OPERATION", "No operation available for request")
TOO_MANY = (  # (reported)
    "EXCEEDED_ID_LIMIT",
    "record limit reached. cannot submit more than 10 records into this call",
)
BAD_ID = ("INVALID_ID_FIELD", "invalid id")

GLOBAL_ALONE = (  # (reported)
    "The external client app configured in your global OAuth Settings doesn't have a valid OAuth"
    " settings configuration."
)
LINK_OF_LOCAL = (  # (reported)
    "We couldn't update your OAuth link because the external client app that it refers to doesn't"
    " have distribution state PACKAGED."
)
LINK_UNKNOWN = "We couldn't update your OAuth link because it doesn't refer to an OAuth consumer."
EPHEMERAL = (  # (reported)
    "External client apps that are created in ephemeral orgs can't be packaged."
)
PLUGIN = "Invalid plugin settings"  # (reported)
DUPLICATE_SETUP = (  # (reported)
    'duplicate key value violates unique constraint "ak3tl_setup_entity_data"'
)
ORG_SCOPED = (
    "The orgScopedExternalApp value doesn't refer to this external client app or to a packaged"
    " external client app of another org."
)
API_NAME = (
    "The API name can only contain underscores and alphanumeric characters. It must be unique,"
    " begin with a letter, not include spaces, not end with an underscore, and not contain two"
    " consecutive underscores."
)
ROTATES = "This deployment changes the consumer key or consumer secret of the external client app."
CALLBACK = "The callback URL is invalid."
CERTIFICATE = "The certificate isn't a valid X.509 certificate in PEM format."


def no_header(name: str) -> str:
    """Say that a file names a header that is not there under that exact name. (reported code)."""
    return (
        "INVALID_CROSS_REFERENCE_KEY: In field: externalClientApplication - no"
        f" ExternalClientApplication named {name} found"
    )


def bad_scope(name: str, valid: tuple[str, ...]) -> str:
    """Say that a scope is none, with those there are (reported)."""
    return f"Invalid OAuth scope: {name}. Valid values are: {', '.join(valid)}"


def not_parsed(reason: str) -> str:
    """Say that a file is no XML."""
    return f"Error parsing file: {reason}"


def unknown_kind(path: str) -> str:
    """Say that a path belongs to no kind of component."""
    return f"Unknown file or folder in the package: {path}"


def not_in_zip(kind: str, name: str, path: str) -> str:
    """Say that the manifest names what the zip does not have."""
    del kind, path
    return f"Entity named '{name}' was named in package.xml, but was not found in zipped directory"


def not_in_manifest(path: str) -> str:
    """Say that the zip has what the manifest does not name."""
    return f"Entity found in the zip file at {path} is not named in package.xml"


def not_there(kind: str, name: str) -> str:
    """Say that there is no such component."""
    return f"No {kind} named: {name} found"
