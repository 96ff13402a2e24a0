"""`adapters.http.directory`: which answer of the identity service says what."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from service.tests.support.values import ACCESS, INSTANCE_URL

from keyturn_core.secrets import AccessToken
from keyturn_service.adapters.http.directory import HttpOrgDirectory
from keyturn_service.adapters.http.one_shot import Answer, NoAnswer, OneShot
from keyturn_service.ports import AccessTokenRefused, OrgUnreachable


@dataclass
class Answering(OneShot):
    """An org that answers with one status, or not at all."""

    status: int | None

    async def __call__(self, *_asked: object, **named: object) -> Answer:
        """Return its answer."""
        assert named == {"of_api": True}
        if self.status is None:
            raise NoAnswer
        return Answer(status=self.status, headers={}, body=b"Bad_OAuth_Token", complete=True)


async def _raised(status: int | None) -> type[Exception]:
    directory = HttpOrgDirectory(one_shot=Answering(status))
    with pytest.raises(OrgUnreachable) as raised:
        await directory.identity(INSTANCE_URL, "/id/", AccessToken(ACCESS))
    return raised.type


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_the_org_does_not_take_is_told_from_no_answer(status: int) -> None:
    """Another one may do."""
    assert await _raised(status) is AccessTokenRefused


@pytest.mark.parametrize("status", [None, 200, 302, 400, 404, 429, 500, 503])
async def test_whatever_else_comes_says_nothing_of_the_token(status: int | None) -> None:
    """It is as good as before."""
    assert await _raised(status) is OrgUnreachable
