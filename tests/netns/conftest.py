"""Fixtures: a namespace to be in, and a rig in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.netns.rigs import Namespace, Rig, private_namespace, rig


@pytest.fixture
def host() -> Iterator[Namespace]:
    """The test is in a namespace of its own."""
    with private_namespace() as made:
        yield made


@pytest.fixture
async def world(host: Namespace) -> AsyncIterator[Rig]:
    """A rig whose host is where the test is."""
    made = rig(host)
    yield made
    await made.close()
