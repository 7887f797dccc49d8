"""The DNS server as settings and networks want it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mooring import dns_server as made
from mooring.config import Config, load
from mooring.core.dns_places import Serving
from mooring.dns_server import dns_server, look_at_dns
from mooring.services.networking.assembly import World
from tests.services.hosts import MemoryHost


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The usual settings, on a machine that is set up for nothing."""
    monkeypatch.setattr(made, "has_link", lambda: False)
    return load({"config": None, "state_dir": f"{tmp_path}/state", "run_dir": f"{tmp_path}/run"}, {}, "machine")


async def test_it_says_who_wants_it(config: Config) -> None:
    """A setting, and networks that have the option."""
    host = await MemoryHost().start()
    world = World(host.store, host.kernel, host.guard, host.engine, host.clock)
    server = dns_server(config, host.services, world, lambda: False)
    assert server is not None
    assert (await look_at_dns(config, host.services, server)).reasons == []
    await host.network("a", dns="on")
    view = await look_at_dns(replace(config, dns=Serving.ON), host.services, server)
    assert view.reasons == ['the setting dns = "on"', "networks with dns=on (1)"]
    assert view.serving == []


@pytest.mark.parametrize("order", ["shuffled", "local-first"])
async def test_the_setting_says_whose_addresses_are_told_first(config: Config, order: str) -> None:
    """Those of this host, or nobody's."""
    host = await MemoryHost().start()
    world = World(host.store, host.kernel, host.guard, host.engine, host.clock)
    dns_server(replace(config, dns_order=order), host.services, world, lambda: False)
    assert host.services.keeping is not None
    assert host.services.keeping.host_names.local_first == (order == "local-first")


async def test_where_nobody_follows_an_engine_there_is_none(config: Config) -> None:
    """The library's sandboxes have a resolver of their own."""
    host = await MemoryHost().start()
    services = replace(host.services, keeping=None)
    world = World(host.store, host.kernel, host.guard, None, host.clock)
    assert dns_server(config, services, world, lambda: False) is None
