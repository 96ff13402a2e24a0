"""How a request is written."""

from __future__ import annotations

import pytest

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.adapters.http.egress import Egress
from keyturn_service.adapters.http.one_shot import NotSent, OneShot, Request


async def test_a_host_that_is_refused_gets_no_byte():
    """Plain http to a strange host ends before a connection is made."""
    with pytest.raises(NotSent):
        await OneShot(Egress())(
            Origin("http://acme.my.salesforce.com"),
            Request(method="GET", target="/", headers={}),
        )


@pytest.mark.parametrize("host", ["acme.my.site.com", "login.salesforce.com", "evil.example"])
async def test_a_host_without_an_api_gets_no_call_of_one(host):
    """Where an access token goes along, whatever a row of the database says."""
    with pytest.raises(NotSent, match="TargetRefused"):
        await OneShot(Egress())(
            Origin(f"https://{host}"),
            Request(method="GET", target="/", headers={}),
            of_api=True,
        )


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_an_address_inside_gets_no_byte(host):
    """An IP literal is no way around the guard."""
    with pytest.raises(NotSent):
        await OneShot(Egress())(
            Origin(f"https://{host}:9"), Request(method="GET", target="/", headers={})
        )
