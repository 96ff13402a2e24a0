"""Join what sees installs: the Dev Hub org, read as one of its users."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Final

from keyturn_service.adapters.http.dev_hub import DevHubUser, HttpDevHub
from keyturn_service.adapters.http.directory import HttpOrgDirectory
from keyturn_service.adapters.http.egress import Egress
from keyturn_service.adapters.http.one_shot import OneShot
from keyturn_service.adapters.http.token_endpoint import HttpTokenEndpoint
from keyturn_service.adapters.key_sources.local_signer import LocalSigner
from keyturn_service.adapters.key_sources.private_key_file import load_private_key
from keyturn_service.adapters.system import SystemWaiting
from keyturn_service.ports import Clock
from keyturn_service.settings import Settings
from keyturn_service.use_cases.see_install import SeeInstall
from keyturn_service.use_cases.watch_installs import WatchInstalls

_QUICK: Final = 10.0  # seconds for an answer that a page waits for


async def joined_install(
    settings: Settings, egress: Egress, clock: Clock, to_close: contextlib.AsyncExitStack
) -> SeeInstall:
    """Join what connect pages look with; without a Dev Hub in the settings they do not look."""
    quick = OneShot(replace(egress, connect_seconds=_QUICK / 2, answer_seconds=_QUICK))
    watch = None
    key, username = settings.dev_hub_consumer_key, settings.dev_hub_username
    if key and username and settings.dev_hub_key_file:
        private_key = await asyncio.to_thread(load_private_key, settings.dev_hub_key_file)
        hub = HttpDevHub(
            user=DevHubUser(
                login_url=settings.dev_hub_login_url,
                consumer_key=key,
                username=username,
                private_key=private_key,
            ),
            one_shot=quick,
            endpoint=HttpTokenEndpoint(one_shot=quick, clock=clock),
            signer=LocalSigner(),
            clock=clock,
            loopback=settings.loopback,
        )
        watch = WatchInstalls(packages=hub, clock=clock, waiting=SystemWaiting())
        to_close.push_async_callback(watch.close)
    return SeeInstall(
        watch=watch,
        directory=HttpOrgDirectory(one_shot=quick),
        clock=clock,
        loopback=settings.loopback,
    )
