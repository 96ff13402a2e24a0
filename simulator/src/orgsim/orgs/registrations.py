"""Apps that were made in this world, by a deploy or at the control port.

What is kept of an app are its settings; its consumer key and secret follow from labels, so that no
secret is written anywhere.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from orgsim.orgs.apps import App
from orgsim.randomness import Seeded

StagedState = Literal["Active", "Rotated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A second pair of consumer key and secret that is valid beside the one in force.

    Spec: Connect REST API Developer Guide, "Staged Credentials"; it lasts 30 days.
    """

    staged_id: str
    label: str
    state: StagedState
    created_by: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """An app as its owner keeps it.

    `app` is without consumer key and secret. `app_id` (`0xI`) is the row of its header, and
    `consumer_id` (`888`) that of its credentials; key and secret come from `key_label` and
    `secret_label`, which a rotation changes.
    """

    app: App
    home_org: str
    app_id: str
    consumer_id: str
    key_label: str
    secret_label: str
    rotations: int = 0
    staged: Staged | None = None
    created_at: datetime | None = field(default=None)

    @property
    def home_and_name(self) -> str:
        """What stays the same as long as the app lives."""
        return f"{self.home_org}:{self.app.name}"

    @property
    def oauth_link(self) -> str:
        """What a packaged copy points back with.

        Spec: Salesforce Help, "Associate and Disassociate External Client Apps".
        """
        return f"{self.home_org[:15]}:{self.consumer_id[:15]}"

    def live(self, seeded: Seeded) -> App:
        """Return the app with its key and secret."""
        return replace(
            self.app,
            consumer_key=seeded.consumer_key(self.key_label),
            consumer_secret=seeded.consumer_secret(self.secret_label),
        )

    def second(self, seeded: Seeded, *, now: datetime) -> App | None:
        """Return the app under its staged pair, as long as that is valid."""
        staged = self.staged
        if staged is None or now >= staged.expires_at:
            return None
        return replace(
            self.app,
            consumer_key=seeded.consumer_key(staged.label),
            consumer_secret=seeded.consumer_secret(staged.label),
            principal=seeded.consumer_key(self.key_label),
        )
