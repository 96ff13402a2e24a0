"""The main job, from click to disconnect, on each database and by each face."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import httpx2
import pytest
from tools.journey import Face, Journey, plain_face
from tools.world import World


def named_face(world: World) -> Face:
    """The true-looking names, through the CONNECT proxy."""
    tls = world.line["tls"]
    return Face(
        acme=str(tls["names"]["acme"]),
        new_client=lambda: httpx2.Client(
            proxy=str(tls["connect_proxy_url"]),
            verify=ssl.create_default_context(cafile=tls["ca_file"]),
            trust_env=False,
            timeout=30,
        ),
    )


@pytest.mark.parametrize("face", [plain_face, named_face], ids=["plain ports", "true names"])
def test_a_customer_connects_and_the_product_works_in_the_org(
    world: World, face: Callable[[World], Face]
) -> None:
    """Every step of the journey holds; its own words say which one did not."""
    journey = Journey(world, face(world))
    try:
        steps = list(journey.steps())
    finally:
        journey.close()
    assert [(step.step, step.detail) for step in steps if not step.ok] == []
    assert len(steps) == 9
