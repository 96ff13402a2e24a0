"""Connects orgs of a new development world through the real flow, as people would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from keyturn_service.cli.dev.browser import Browser, PageUnexpected


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """The vendor's backend, as far as connecting needs it."""

    service_url: str
    api_key: str
    return_url: str

    async def connect(self, customer_id: str, org: Mapping[str, Any]) -> dict[str, Any]:
        """Connect an org for a customer by its admin; return the connection.

        Raises:
            PageUnexpected: the flow came to another page than it should.
        """
        asked = {
            "customer_id": customer_id,
            "return_url": self.return_url,
            "environment": org["environment"],
        }
        session = await self._post("/v1/connect-sessions", asked)
        code = await self._walk(session["url"], org)
        confirm = f"/v1/connect-sessions/{session['id']}/confirm"
        return await self._post(confirm, {"confirmation_code": code})

    async def _walk(self, link: str, org: Mapping[str, Any]) -> str:
        """Press Connect, log in and consent; return the confirmation code."""
        admin = next(user for user in org["users"] if user["role"] == "admin")
        async with Browser() as browser:
            await browser.get(link)
            await browser.press("connect", environment=str(org["environment"]))
            await browser.press("Login", username=admin["username"], pw=admin["password"])
            await browser.press("oaapprove", until=self.return_url)
            if not browser.url.startswith(self.return_url):
                raise PageUnexpected(f"{org['name']} did not come back: {browser.status}")
            codes = parse_qs(urlsplit(browser.url).query).get("confirmation_code", [])
        if not codes:
            raise PageUnexpected(f"{org['name']} came back without a confirmation code")
        return codes[0]

    async def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(f"{self.service_url}{path}", json=body) as answer,
        ):
            said: dict[str, Any] = await answer.json()
            if not answer.ok:
                raise PageUnexpected(f"{path} answered {answer.status} {said.get('code')}")
            return said
