"""`use_cases.admit`: the three conditions under which a key may use a connection."""

from __future__ import annotations

from typing import Any

import pytest
from service.tests.support.values import OTHER_WORKSPACE, START, api_key, connection

from keyturn_service.domain.api_key import Right
from keyturn_service.domain.errors import Forbidden, NotFound, ServiceError, Unauthorized
from keyturn_service.ports import Serving
from keyturn_service.use_cases.admit import admit


def serving(**changes: Any) -> Serving:
    """Return what a read found."""
    found = {"api_key": api_key(), "connection": connection().in_use()} | changes
    return Serving(**found, tokens=None, ending=False)


def test_key_and_connection_of_one_workspace_go_together() -> None:
    """Both come back, for whoever goes on."""
    assert admit(serving(), Right.PROXY, now=START) == (api_key(), connection().in_use())


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"api_key": None}, Unauthorized),
        ({"api_key": api_key(deleted_at=START)}, Unauthorized),
        ({"api_key": api_key(expires_at=START)}, Unauthorized),
        ({"api_key": api_key(rights=frozenset({Right.ADMIN}))}, Forbidden),
        ({"connection": None}, NotFound),
        ({"api_key": api_key(workspace_id=OTHER_WORKSPACE)}, NotFound),
    ],
)
def test_whatever_is_amiss_is_told_apart(
    changes: dict[str, Any], refusal: type[ServiceError]
) -> None:
    """A stranger learns nothing of connections; another workspace's is as unknown as none."""
    with pytest.raises(refusal):
        admit(serving(**changes), Right.PROXY, now=START)
