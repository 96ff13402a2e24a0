"""Orgs and the people in them."""

from dataclasses import dataclass, replace
from typing import Literal

Environment = Literal["production", "sandbox"]
OrgState = Literal["active", "locked", "maintenance"]
Role = Literal["admin", "standard", "integration"]


_SHORT_ID = 15


def same_org(one: str | None, other: str) -> bool:
    """Tell whether two org IDs, of 15 or 18 characters, name one org."""
    return one is not None and one[:_SHORT_ID] == other[:_SHORT_ID]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One person, or one integration, who can log in."""

    user_id: str
    username: str
    password: str
    email: str
    first_name: str
    last_name: str
    role: Role
    active: bool = True

    @property
    def name(self) -> str:
        """The full name as pages show it."""
        return f"{self.first_name} {self.last_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Org:
    """One Salesforce organization with a My Domain of its own.

    `slot` is the place in the world that survives a reset: its ports belong to it. The `dev_hub` is
    the vendor's own org, where its app and packages are made.
    """

    slot: str
    org_id: str
    name: str
    environment: Environment
    my_domain: str
    users: tuple[User, ...]
    state: OrgState = "active"
    dev_hub: bool = False

    @property
    def host(self) -> str:
        """The true-looking host name.

        Spec: Salesforce Help, "My Domain URL Formats".
        """
        return f"{self.my_domain}.my.salesforce.com"

    def user(self, user_id: str) -> User | None:
        """Find a user by ID."""
        return next((user for user in self.users if user.user_id == user_id), None)

    def user_named(self, username: str) -> User | None:
        """Find a user by username; usernames ignore case."""
        wanted = username.strip().lower()
        return next((user for user in self.users if user.username.lower() == wanted), None)

    def with_user(self, changed: User) -> "Org":
        """Return the org with one user replaced."""
        return replace(
            self, users=tuple(changed if u.user_id == changed.user_id else u for u in self.users)
        )
