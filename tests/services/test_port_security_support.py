"""What containers send is checked where the kernel can: another kernel refuses new networks, and keeps nobody down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mooring.core.faults import NotSupported, Unavailable
from mooring.core.networks import Network
from mooring.core.plumbing import Add, Alter, Bridge, GuardedPort, Op, Ruleset
from mooring.core.port_security import PORT_SECURITY
from tests.services.hosts import MemoryHost


def guarded(host: MemoryHost) -> set[str]:
    """Ports that are checked."""
    return {fact.port for fact in host.facts if isinstance(fact, GuardedPort)}


async def test_a_kernel_that_cannot_refuses_new_networks_only() -> None:
    """With the remedy; and with the option it takes them."""
    host = await MemoryHost().start()
    host.kernel.filters_bridges = False
    with pytest.raises(NotSupported, match="port_security=off"):
        await host.network("a")
    assert not list(host.services.cache.every(Network))
    network = await host.network("b", port_security="off")
    await host.endpoint(network, "web")
    assert (await host.services.repair.once()).findings == ()


async def test_after_a_boot_into_such_a_kernel_everything_comes_up() -> None:
    """Before the first pass and after it; it is told, and what can be checked later is."""
    host = await MemoryHost().start()
    network = await host.network("a")
    await host.endpoint(network, "web")
    assert guarded(host) == {"mv-web" + "0" * 9}
    host.kernel.filters_bridges = False
    await host.reboot()
    await host.endpoint(network, "next")
    await host.services.repair.once()
    report = await host.services.repair.once()
    assert [fact.name for fact in host.facts if isinstance(fact, Bridge)]
    assert (guarded(host), report.repaired) == (set(), ())
    (finding,) = report.findings
    assert "port security is not enforced" in finding
    await host.endpoint(network, "later")
    host.kernel.filters_bridges = True
    report = await host.services.repair.once()
    assert guarded(host) == {"mv-next" + "0" * 8, "mv-later" + "0" * 7}
    assert report.findings == ()
    assert (await host.services.repair.once()).repaired == ()


async def test_a_kernel_that_fails_otherwise_opens_nothing() -> None:
    """A container whose port cannot be guarded does not start, and a pass says why."""
    host = await MemoryHost().start()
    network = await host.network("a")
    await host.reboot()
    host.kernel.fail_on = [Add(PORT_SECURITY.ruleset)]
    report = await host.services.repair.once()
    assert any("cannot be set up now" in each for each in report.findings)
    with pytest.raises(Unavailable):
        await host.endpoint(network, "web")
    host.kernel.fail_on = []
    await host.endpoint(network, "next")
    assert PORT_SECURITY.ruleset in {fact for fact in host.facts if isinstance(fact, Ruleset)}


async def test_the_table_waits_for_the_next_network() -> None:
    """When the last one goes, a pass finds nothing to put right, and the doctor nothing to say."""
    host = await MemoryHost().start()
    network = await host.network("a")
    await host.services.networks.delete(network)
    assert (await host.services.repair.once()).repaired == ()


async def test_a_newer_table_knows_at_once_what_ports_may_say() -> None:
    """Of all networks, in one call: one that wants to know more of each port would be deaf to them meanwhile."""
    host = await MemoryHost().start()
    for name in ("a", "b"):
        await host.endpoint(await host.network(name), f"in-{name}")
    for key, fact in list(host.kernel.facts.items()):
        if isinstance(fact, GuardedPort):
            older = {element for element in fact.elements if element[0] != "links6"}
            host.kernel.facts[key] = replace(fact, elements=frozenset(older))
    host.kernel.facts[PORT_SECURITY.ruleset.key] = replace(PORT_SECURITY.ruleset, digest="older")
    calls: list[list[str]] = []
    apply = host.kernel.apply

    async def note(ops: Sequence[Op]) -> None:
        calls.append([type(op.after).__name__ for op in ops if isinstance(op, Alter)])
        await apply(ops)

    host.kernel.apply = note  # type: ignore[method-assign]
    report = await host.services.repair.once()
    assert [call for call in calls if call] == [["Ruleset", "GuardedPort", "GuardedPort"]]
    assert report.repaired == ("port security: 3 items repaired",)
