"""Names of data keys as the database has them: who writes it may have made them up."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from keyturn_service.vault.data_keys import DataKeyId, is_sealing_id

_log = structlog.get_logger()


def sealing_ids(names: Iterable[object]) -> list[DataKeyId]:
    """Return those that may have sealed something; the others are passed over, and that is said."""
    kept = list(names)
    ours = [DataKeyId(str(name)) for name in kept if is_sealing_id(name)]
    if len(ours) < len(kept):
        _log.warning("data_keys_passed_over", count=len(kept) - len(ours))
    return ours
