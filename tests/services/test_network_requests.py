"""Which networks the proxy asks about, and what it is told. More: test_estates."""

from __future__ import annotations

import pytest

from mooring.core.docker_requests import NetworkSpec
from mooring.core.faults import Unavailable
from tests.services.test_kept_networks import WISH, ComingHost


def test_only_networks_of_ours_are_of_interest() -> None:
    """By the name that the engine has for us."""
    keeping = ComingHost().services.keeping
    assert keeping is not None
    controller = keeping.networks
    assert controller.concerns(WISH)
    assert not controller.concerns(NetworkSpec("web", "bridge", "mooring"))
    assert not controller.concerns(NetworkSpec("", "mooring", "mooring"))


async def test_nothing_holds_up_a_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither options that the engine will refuse, nor a kernel that cannot be asked."""
    host = ComingHost()
    network = await host.named("n1")
    await host.made("first", host.fixed_spec(network, "key:db"))
    await host.gone(network)
    assert await host.returning(NetworkSpec("web", "mooring", "default", open=(4,))) == []
    assert await host.returning(NetworkSpec("web", "mooring", "mooring", ipam_options={"x": "y"}, open=(4,))) == []
    assert await host.returning(NetworkSpec("web", "mooring", "mooring")) == []

    async def unable(*_: object) -> bool:
        raise Unavailable("no kernel")

    monkeypatch.setattr(host.services.ipam, "may_return", unable)
    assert await host.returning() == []
