"""Who calls an org's API, as the surfaces behind the sign-in see it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSession:
    """A caller with a live access token for this org.

    `origin` is the face on which the call arrived, `https://acme.my.salesforce.com` or
    `http://127.0.0.1:41004`.
    """

    org_id: str
    user_id: str
    username: str
    scopes: frozenset[str]
    origin: str
    instance_url: str


class NotSignedIn(Exception):
    """The call carries no access token that serves here; this is the answer to give."""

    def __init__(self, *, status: int, body: bytes, content_type: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.content_type = content_type
