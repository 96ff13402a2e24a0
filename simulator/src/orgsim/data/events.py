"""Platform events that were published."""

from dataclasses import dataclass
from datetime import datetime

from orgsim.data.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedEvent:
    """One event on the bus; `fields` hold what the publisher gave."""

    name: str
    uuid: str
    replay_id: int
    fields: Row
    at: datetime
    by: str
