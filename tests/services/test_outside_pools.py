"""What is true of addresses that no pool has."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.services.ipam.pools import IpamPolicy
from mooring.services.operations.outside_pools import by_rule, in_foreign_segment
from mooring.services.records.engine_names import NOBODY_ASKED
from tests.services.samples import ALIEN, DENY, SUBNET_POOLS, sample


def test_rules_answer_in_their_order() -> None:
    """Standards first, then the deny list, then the subnet pools."""
    told = {text: by_rule(ip_address(text), IpamPolicy(SUBNET_POOLS, deny=DENY)).verdict
            for text in ("127.0.0.1", "192.168.1.1", "10.40.0.1", "8.8.8.8")}  # fmt: skip
    assert told == {"127.0.0.1": "never", "192.168.1.1": "denied", "10.40.0.1": "carvable", "8.8.8.8": "elsewhere"}


async def test_a_network_of_another_ipam_answers_for_its_endpoints() -> None:
    """Mooring keeps no lease of them, and says so."""
    host = await sample()
    network = host.cache.network(ALIEN)
    assert network is not None
    reason = in_foreign_segment(ip_address("172.30.0.2"), network, host.endpoint_index, NOBODY_ASKED)
    assert (reason.verdict, reason.network) == ("held", ALIEN)
    assert "another IPAM driver" in reason.text[-1]
