"""What an org's records are made from."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSeed:
    """Somebody who can log in to the org, and so has a User record; the id has 18 characters."""

    user_id: str
    username: str
    email: str
    first_name: str
    last_name: str
    role: Literal["admin", "standard", "integration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgSeed:
    """An org before it has records.

    `namespace` is that of the installed package; None: its object, event and flow do not exist.
    """

    org_id: str
    name: str
    environment: Literal["production", "sandbox"]
    users: tuple[UserSeed, ...]
    namespace: str | None
    dev_hub: bool = False
