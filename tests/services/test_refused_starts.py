"""Containers that could not be started for want of us are started when it has passed."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from mooring.core.blocks import SharedSubnet
from mooring.core.containers import ContainerEndpoint
from mooring.core.networks import Network
from mooring.core.plumbing import HostLink
from mooring.core.refused_starts import NOT_SERVING, no_such_address, no_such_interface
from mooring.services.containers.refused_starts import SETTLED, TRIES, HostThings, RefusedStarts
from tests.services.hosts import MemoryHost

C1, C2 = "c1".ljust(64, "c"), "c2".ljust(64, "c")
AWAY = "the cluster has to be asked, and has not been reached for 12 s"
SAID = f"failed to set up container networking: IpamDriver.RequestAddress: {AWAY}"

VPN = ip_address("10.8.0.1")
PORT_AT_VPN = f"driver failed programming external connectivity: {no_such_address('host port 53/tcp', VPN)}"
NO_LINK = f"NetworkDriver.Join: {no_such_interface('tap7', 'VNIC 10.1.0.7 of tenant red')}"


class Scene:
    """A host with a network of ours, and container c1 in it."""

    def __init__(self) -> None:
        self.host = MemoryHost()
        self.refused = False
        keeping = self.host.services.keeping
        assert keeping is not None
        self.starts = self.starting(lambda _: self.refused)

    def starting(self, would_refuse: Callable[[Network], bool]) -> RefusedStarts:
        """What starts whom, anew."""
        host = self.host
        things = HostThings(host.guard, host.kernel)
        return RefusedStarts(host.services.cache, host.engine, host.clock, would_refuse, things)

    async def begin(self) -> Scene:
        """c1 is there, and does not run."""
        await self.host.start()
        network = await self.host.network("web")
        self.host.engine.networks.add(network)
        self.host.engine.create(C1, "db", ContainerEndpoint(network, "web"))
        return self

    async def look(self, seconds: float = 60.0) -> None:
        """After so many seconds."""
        self.host.clock.advance(seconds)
        await self.starts.once()

    async def runs(self, ident: str = C1) -> bool:
        """Whether the container does."""
        found = await self.host.engine.container(ident)
        assert found is not None
        return found.running


async def test_who_was_refused_is_started() -> None:
    """Once the engine has written down with what words, and not before."""
    scene = await Scene().begin()
    scene.starts.note(AWAY)
    await scene.look(0)
    assert not await scene.runs()
    scene.host.engine.fail(C1, SAID)
    await scene.look()
    assert await scene.runs()
    assert scene.starts.findings() == []


async def test_nobody_is_started_while_he_would_be_refused_again() -> None:
    """He is told of meanwhile, the engine is left in peace, and he is started at once when it has passed."""
    scene = await Scene().begin()
    scene.refused = True
    scene.host.engine.fail(C1, SAID)
    scene.starts.note(AWAY)
    await scene.look()
    assert not await scene.runs()
    assert [(each.subject, each.text) for each in scene.starts.findings()] == [
        (f"not-started {C1}", f"container db could not be started: {SAID}")
    ]
    calls = scene.host.engine.calls
    for _ in range(5):
        await scene.look()
    assert scene.host.engine.calls == calls
    scene.refused = False
    await scene.look(0)
    assert await scene.runs()


async def test_who_is_held_up_holds_nobody_else_up() -> None:
    """Whoever was refused since is looked for, and started where nothing is in his way."""
    scene = await Scene().begin()
    scene.starts = scene.starting(lambda network: network.id.startswith("web"))
    scene.host.engine.fail(C1, SAID)
    scene.starts.note(AWAY)
    await scene.look()
    other = await scene.host.network("own")
    scene.host.engine.create(C2, "other", ContainerEndpoint(other, "own"))
    scene.host.engine.fail(C2, "IpamDriver.RequestAddress: the disk is full")
    scene.starts.note("the disk is full")
    await scene.look()
    assert (await scene.runs(C1), await scene.runs(C2)) == (False, True)


async def test_who_was_refused_before_this_daemon_served_is_started() -> None:
    """A daemon that does not serve says so in words of its own, and remembers nobody."""
    scene = await Scene().begin()
    scene.host.engine.fail(C1, f"NetworkDriver.Join: {NOT_SERVING} the store is corrupt")
    await scene.look(0)
    assert await scene.runs()


async def test_what_is_not_ours_to_start_is_left() -> None:
    """Without a restart policy, for another reason, in another network, or removed meanwhile."""
    scene = await Scene().begin()
    engine = scene.host.engine
    engine.create(C2, "other", ContainerEndpoint("n" * 64, "bridge"))
    engine.fail(C2, SAID)
    scene.starts.note(AWAY)
    for words, restarts in ((SAID, False), ("exec: no such file", True), ("", True)):
        engine.fail(C1, words, restarts=restarts)
        await scene.look()
        assert not await scene.runs()
    engine.remove(C1)
    await scene.look()
    assert not await scene.runs(C2)


async def test_who_publishes_at_an_address_that_comes_late_is_started_when_it_has_come() -> None:
    """However long that takes, and at once; the doctor says meanwhile which address it is (moby#39559)."""
    scene = await Scene().begin()
    scene.host.guard.absent.add(VPN)
    scene.host.engine.fail(C1, PORT_AT_VPN)
    for _ in range(5 * TRIES):
        await scene.look()
    assert not await scene.runs()
    assert [(each.text, each.proof) for each in scene.starts.findings()] == [
        ("container db is not started: the host does not have address 10.8.0.1", PORT_AT_VPN)
    ]
    scene.host.guard.absent.clear()
    await scene.look(0)
    assert await scene.runs()
    assert scene.starts.findings() == []


async def test_an_address_that_comes_and_goes_costs_no_try() -> None:
    """Tries are bounded for what nobody can see the end of."""
    scene = await Scene().begin()
    scene.host.engine.fail(C1, PORT_AT_VPN)
    scene.host.engine.refuses = PORT_AT_VPN
    for _ in range(2 * TRIES):
        scene.host.guard.absent.clear()
        await scene.look()
        scene.host.guard.absent.add(VPN)
        await scene.look()
    scene.host.engine.refuses = ""
    scene.host.guard.absent.clear()
    await scene.look()
    assert await scene.runs()


async def test_who_waits_for_an_address_can_be_called_off() -> None:
    """By taking its restart policy, or the container, away."""
    scene = await Scene().begin()
    scene.host.guard.absent.add(VPN)
    scene.host.engine.fail(C1, PORT_AT_VPN)
    await scene.look()
    assert len(scene.starts.findings()) == 1
    scene.host.engine.fail(C1, PORT_AT_VPN, restarts=False)
    await scene.look()
    assert scene.starts.findings() == []
    scene.host.guard.absent.clear()
    await scene.look()
    assert not await scene.runs()


async def test_a_port_that_a_program_has_is_not_waited_for() -> None:
    """It may have it for good, and a moment without it, as at its restart, is no offer."""
    scene = await Scene().begin()
    scene.host.engine.fail(C1, "host port 80/tcp is already in use on 0.0.0.0 (held by process nginx (7))")
    await scene.look()
    assert not await scene.runs()
    assert scene.starts.findings() == []


async def test_who_is_to_get_an_interface_that_comes_late_is_started_when_it_has_come() -> None:
    """A VNIC's that somebody else makes."""
    scene = await Scene().begin()
    scene.host.engine.fail(C1, NO_LINK)
    for _ in range(5 * TRIES):
        await scene.look()
    assert not await scene.runs()
    assert "the host does not have interface tap7" in scene.starts.findings()[0].text
    scene.host.kernel.links["tap7"] = HostLink("tap7", "tun", "", 1500, port=False, ours=False)
    await scene.look(0)
    assert await scene.runs()


async def test_who_has_its_network_is_started_after_it() -> None:
    """As a sidecar, which was refused because the other did not run."""
    scene = await Scene().begin()
    engine = scene.host.engine
    engine.create(C2, "sidecar")
    engine.fail(C2, "cannot join network of a non running container: db", mode=f"container:{C1}")
    engine.fail(C1, SAID)
    scene.starts.note(AWAY)
    await scene.look()
    assert await scene.runs()
    assert await scene.runs(C2)


async def test_who_fails_of_what_was_left_of_him_is_tried_again() -> None:
    """As of a port that the endpoint has which dockerd could not give up while the daemon did not serve."""
    scene = await Scene().begin()
    scene.host.engine.fail(C1, SAID)
    scene.host.engine.refuses = "host port 80/tcp is already published (held by endpoint e1)"
    scene.starts.note(AWAY)
    await scene.look()
    assert not await scene.runs()
    assert len(scene.starts.findings()) == 1
    scene.host.engine.refuses = ""
    await scene.look()
    assert await scene.runs()


async def test_what_fails_again_and_again_is_given_up() -> None:
    """Ever more slowly, and it stays told of."""
    scene = await Scene().begin()
    scene.host.engine.fail(C1, SAID)
    scene.host.engine.refuses = SAID
    scene.starts.note(AWAY)
    for _ in range(TRIES + 5):
        await scene.look()
    scene.host.engine.refuses = ""
    await scene.look(SETTLED)
    assert not await scene.runs()
    assert len(scene.starts.findings()) == 1


async def test_an_engine_that_does_not_answer_is_asked_again() -> None:
    """It is starting, with all its containers."""
    scene = await Scene().begin()
    scene.host.engine.fail(C1, SAID)
    scene.starts.note(AWAY)
    scene.host.engine.up = False
    await scene.look(SETTLED)
    scene.host.engine.up = True
    scene.starts.nudge()
    await scene.look(0)
    assert await scene.runs()


async def test_a_network_of_the_cluster_is_held_up_while_that_is_away() -> None:
    """And a host's own network never is."""
    host = await MemoryHost().start()
    network = host.services.cache.network(await host.network("web"))
    assert isinstance(network, Network)
    assert not host.services.ipam.shared.would_refuse(network)
    part = network.segments[0]
    await host.services.cache.commit(put=[SharedSubnet(space=part.space, subnet=part.subnet, since=1.0)])
    assert host.services.ipam.shared.would_refuse(network)
