"""Aliases are asked for where nobody told them, and what is over ends."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.containers import ContainerEndpoint
from mooring.core.names import A, Question
from mooring.services.containers.host_names import HOST
from tests.services.hosts import MemoryHost

C1 = "c1".ljust(64, "c")


async def test_after_a_start_the_aliases_of_running_containers_are_learnt() -> None:
    """By the reconciler's list, and one question for each; an engine that is down costs the aliases only."""
    host = await MemoryHost().start()
    network = await host.network("web")
    await host.endpoint(network, "e1")
    place = ContainerEndpoint(network, "web", endpoint="e1".ljust(64, "0"), aliases=("main",))
    host.engine.networks.add(network)
    host.engine.create(C1, "db", place)
    host.engine.start(C1, network, "e1".ljust(64, "0"), "10.32.0.2")
    keeping = host.services.keeping
    assert keeping is not None

    def asked(name: str) -> list[str]:
        return [str(each) for each in keeping.host_names.lookup(Question(name, A), HOST).addresses]

    await keeping.container_reconciler.once()
    assert (asked("db.web.mooring"), asked("main.web.mooring")) == (["10.32.0.2"], [])
    host.engine.up = False
    await keeping.name_follower.once()
    host.engine.up = True
    await keeping.container_reconciler.once()
    await keeping.name_follower.once()
    assert asked("main.web.mooring") == ["10.32.0.2"]
    calls = host.engine.calls
    await keeping.name_follower.once()
    assert host.engine.calls == calls


async def test_a_record_is_gone_once_its_time_is_over() -> None:
    """Within the follower's period."""
    host = await MemoryHost().start()
    keeping = host.services.keeping
    assert keeping is not None
    until = host.clock.now() + 5
    await keeping.dns_records.add("nas", "", [ip_address("192.0.2.9")], note="", until=until, dry=False)
    host.clock.advance(5)
    await keeping.name_follower.once()
    assert not keeping.host_names.rows()


async def test_the_follower_sleeps_until_there_is_something_to_do() -> None:
    """A record that is added wakes it, and ends in time; without one it waits for names only."""
    host = await MemoryHost().start()
    keeping = host.services.keeping
    assert keeping is not None
    woken: list[int] = []
    keeping.host_names.wake_with(lambda: woken.append(1))
    assert not keeping.dns_records.any
    await keeping.dns_records.add("nas", "", [ip_address("192.0.2.9")], note="", until=None, dry=False)
    assert (keeping.dns_records.any, woken) == (True, [1])
