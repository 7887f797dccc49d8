"""The doctor over the API."""

from __future__ import annotations

from mooring import daemon
from mooring.config import load
from mooring.core.leases import State
from mooring.services.networking.assembly import World
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_engine import MemoryEngine
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_store import MemoryStore
from tests.servers.api.asking import api, ask
from tests.services.samples import START, leased


async def test_the_doctor_is_asked_and_told_to_fix() -> None:
    """The same form answers both, with what was done and what is left; a try changes nothing."""
    asked = await api(leased("10.32.0.30", State.RESERVED, until=START + 10))
    found = (await asked.get("/v1/doctor")).json
    assert any("10.32.0.30 is still reserved" in finding["text"] for finding in found["findings"])
    tried = (await asked.post("/v1/doctor", {"dry_run": True})).json
    assert any("10.32.0.30" in finding["text"] for finding in tried["findings"])
    fixed = (await asked.post("/v1/doctor")).json
    assert any("10.32.0.30 is still reserved" in line for line in fixed["done"])
    assert not any("10.32.0.30" in finding["text"] for finding in fixed["findings"])


async def test_the_daemons_doctor_says_what_its_dns_server_says() -> None:
    """The two are put together: as long as the server has trouble."""
    world = World(MemoryStore(), MemoryKernel(), MemoryPortGuard(), MemoryEngine(), ManualClock())
    built = daemon.build(load({"config": None}, {}, "machine"), world, 0.0)
    await built.load()
    assert built.dns is not None
    for trouble in ("port 53/udp of 169.254.53.53 is in use by process dnsmasq (7)", ""):
        built.dns.trouble = trouble
        found = (await ask(built.api(), "GET", "/v1/doctor")).json["findings"]
        assert [each["text"] for each in found] == ([f"names are not answered: {trouble}"] if trouble else [])
