"""Counts logins: Salesforce allows a user so many in an hour."""

from collections import deque
from datetime import datetime, timedelta

_HOUR = timedelta(hours=1)


class LoginCounter:
    """Logins of the last hour, by user."""

    def __init__(self) -> None:
        self._logins: dict[str, deque[datetime]] = {}

    def allows(self, user_id: str, *, most: int, now: datetime) -> bool:
        """Count a login, unless the user had too many within the hour.

        Spec: Salesforce Help, "Login Rate Limit Exceeded" (000381578).
        """
        recent = self._logins.setdefault(user_id, deque())
        while recent and recent[0] + _HOUR <= now:
            recent.popleft()
        if len(recent) >= most:
            return False
        recent.append(now)
        return True
