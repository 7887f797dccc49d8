"""What is told of a firewall of the host's that cuts containers off."""

from __future__ import annotations

from dataclasses import replace

from mooring.core.host_filters import HostFilter
from tests.services.hosts import MemoryHost
from tests.services.operators import operate


async def test_a_chain_that_cuts_containers_off_is_a_finding_with_the_rule_to_add() -> None:
    """By the names of the networks; not while there is none whose traffic is forwarded."""
    host = await MemoryHost().start()
    doctor = operate(host).doctor
    network = host.services.cache.network(await host.network("a"))
    assert network is not None
    named = replace(network, name="shop")
    await host.services.cache.commit(put=[named])
    assert [each for each in (await doctor.examine()).findings if each.subject.startswith("host filter")] == []
    host.kernel.filters.append(HostFilter("inet filter", "forward", 0, True, (network.bridge,)))
    (found,) = [each for each in (await doctor.examine()).findings if each.subject.startswith("host filter")]
    assert found.text == (
        "the host's firewall cuts off containers in shop: chain forward of the table inet filter has the policy drop, "
        "and accepts nothing of theirs before"
    )
    assert found.remedy == (
        "`nft insert rule inet filter forward meta mark and 0x20000000 == 0x20000000 accept`, and that in "
        "/etc/nftables.conf"
    )
    await host.services.cache.commit(put=[replace(named, internal=True)])
    assert [each for each in (await doctor.examine()).findings if each.subject.startswith("host filter")] == []
