"""`use_cases.choose_app`: the one that is named, or the only one."""

from __future__ import annotations

import pytest
from service.tests.support.replicas import Replica
from service.tests.support.values import APP, OTHER_WORKSPACE, WORKSPACE, app

from keyturn_service.domain.errors import Conflict, NotFound
from keyturn_service.domain.ids import AppId
from keyturn_service.use_cases.choose_app import choose_app


async def test_the_app_is_found_by_name_or_alone(bare: Replica) -> None:
    """Both are the same one."""
    for named in (APP, None):
        assert (await choose_app(bare.stores.apps, WORKSPACE, named)).id == APP


async def test_of_several_one_has_to_be_named(bare: Replica) -> None:
    """Nothing is guessed."""
    await bare.stores.apps.add(app(id=AppId("app_two")))

    with pytest.raises(Conflict) as refusal:
        await choose_app(bare.stores.apps, WORKSPACE, None)
    assert refusal.value.code == "app_required"


@pytest.mark.parametrize("named", [APP, AppId("app_no"), None])
async def test_another_workspaces_app_is_not_found(bare: Replica, named: AppId | None) -> None:
    """Nor one that never was, nor any where there is none."""
    with pytest.raises(NotFound):
        await choose_app(bare.stores.apps, OTHER_WORKSPACE, named)
