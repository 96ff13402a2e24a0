"""Worlds of stepped replicas, over a copied file or a PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

from service.tests.support import fakes, values
from service.tests.support.databases import (
    _KEY,
    Base,
    migrated,
    postgres_base,
    sqlite_base,
    sqlite_template,
)
from service.tests.support.faulty import Inline
from service.tests.support.replicas import furnish
from service.tests.support.snapshots import Looking, PostgresLooking, SqliteLooking
from service.tests.support.stepped import SteppedWorld

from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.system import SystemRandomness
from keyturn_service.vault.envelope import Envelopes


async def furnish_stepped(base: Base) -> None:
    """Keep what every story needs: an app with a signing key, one without, and an API key."""
    await furnish(base)
    keyed = values.app(id="app_keyed", name="Acme with a certificate")
    await base.stores.apps.add(keyed)
    await base.stores.apps.put_consumer_credentials(
        keyed, consumer_key="3MVG9.keyed", consumer_secret=values.consumer_secret()
    )
    key = values.signing_key(app_id="app_keyed")
    assert await base.stores.signing_keys.add(key, values.private_key())
    await base.stores.api_keys.add(values.api_key())


def furnished_template(folder: Path) -> Path:
    """Make a database to be copied, from a program without an event loop."""

    async def make() -> None:
        async with sqlite_base(folder, template=sqlite_template(folder)) as base:
            await furnish_stepped(base)

    asyncio.run(make())
    return folder / "keyturn.db"


def furnish_postgres(url: str) -> None:
    """Furnish a new database, from a program without an event loop."""

    async def make() -> None:
        async with postgres_base(url, lambda _: None) as base:
            await furnish_stepped(base)

    migrated(url)
    asyncio.run(make())


@contextlib.asynccontextmanager
async def stepped_world(
    folder: Path, template: Path | str, *, offs: Sequence[timedelta], watches: bool = False
) -> AsyncIterator[SteppedWorld]:
    """Give a world with a replica for each skew of its clock.

    The template is a file to be copied, or the URL of a PostgreSQL that is used itself. With
    `watches` the replicas watch for their database being exchanged: it costs some reads.
    """
    asyncio.get_running_loop().set_default_executor(Inline(1))
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    looking: Looking
    if isinstance(template, Path):
        url = f"sqlite:///{folder / 'keyturn.db'}"
        looking = SqliteLooking.on_copy(folder / "keyturn.db", template)
    else:
        url = template
        looking = await PostgresLooking.on(url)
    randomness = fakes.CountedRandomness(folder.name)
    source = KeyFile("kek_test", {"kek_test": _KEY}, SystemRandomness())
    envelopes = await Envelopes.for_this_run(source, randomness)
    world = SteppedWorld(
        folder,
        url,
        looking=looking,
        envelopes=envelopes,
        randomness=randomness,
        watches=watches,
    )
    try:
        for off in offs:
            await world.replica(off=off)
        yield world
    finally:
        await world.close()
