"""Fixtures of the adapters' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.netns.rigs import Namespace, private_namespace, sh


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """The test is in a network namespace of its own, whose loopback is up."""
    with private_namespace() as made:
        sh("ip link set lo up")
        yield made
