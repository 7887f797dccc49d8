"""What is true of addresses that no pool has."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from mooring.core.dns_places import ADDRESS4, ADDRESS6
from mooring.core.networks import Dns, Network, NetworkOptions, Segment
from mooring.core.pools import Pool, SubnetPool
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.operations.outside_pools import (
    by_rule,
    create_command,
    in_foreign_segment,
    of_dns_server,
    subnet_by_rule,
)
from mooring.services.records.engine_names import NOBODY_ASKED
from tests.services.ipam_hosts import Host
from tests.services.samples import ALIEN, DENY, SUBNET_POOLS, sample


def test_rules_answer_in_their_order() -> None:
    """Standards first, then the deny list, then the subnet pools."""
    told = {text: by_rule(ip_address(text), IpamPolicy(SUBNET_POOLS, deny=DENY), SUBNET_POOLS).verdict
            for text in ("127.0.0.1", "192.168.1.1", "10.40.0.1", "8.8.8.8")}  # fmt: skip
    assert told == {"127.0.0.1": "never", "192.168.1.1": "denied", "10.40.0.1": "carvable", "8.8.8.8": "elsewhere"}


def test_the_dns_servers_address_says_who_asks_it() -> None:
    """On the host and in routing domains, as far as they are few; or that nobody does."""
    segment = Segment(ip_network("10.77.0.0/24"), None, "red", "p")
    red = Network("d1" * 32, NetworkOptions(dns=Dns.ON), False, (segment,), (), 0.0, domain=3)
    plain = [replace(red, id=f"{number:064x}", ipv4=(), domain=0) for number in range(11)]
    quiet = replace(red, id="e1" * 32, options=NetworkOptions())
    told = of_dns_server(ADDRESS4, [red, quiet], NOBODY_ASKED)
    assert told.verdict == "never"
    assert told.text[0].startswith("169.254.53.53 is that of Mooring's DNS server")
    assert told.text[1].endswith(f"network {NOBODY_ASKED.place(red)}, in routing domain 3 of tenant red.")
    assert len(told.text) == 3
    many = of_dns_server(ADDRESS6, [red, *plain], NOBODY_ASKED).text
    assert [line for line in many if "routing domain 3" in line] == []
    assert many[-2] == "And by those of 2 other networks with dns=on."
    assert "No network has the option dns=on" in of_dns_server(ADDRESS6, [quiet], NOBODY_ASKED).text[1]


async def test_a_network_of_another_ipam_answers_for_its_endpoints() -> None:
    """Mooring keeps no lease of them, and says so."""
    host = await sample()
    network = host.cache.network(ALIEN)
    assert network is not None
    reason = in_foreign_segment(ip_address("172.30.0.2"), network, host.endpoint_index, NOBODY_ASKED)
    assert (reason.verdict, reason.network) == ("held", ALIEN)
    assert "another IPAM driver" in reason.text[-1]


async def test_a_subnet_that_no_network_has_is_told_by_the_subnet_pools_that_it_meets() -> None:
    """Within one, partly in use, wider than one, and in none."""
    host = Host()
    lab = SubnetPool("lab", "blue", (ip_network("10.64.0.0/22"), ip_network("10.70.0.0/24")), 26, position=None)
    await host.cache.commit(put=[Pool(id="p", space="blue", subnet=ip_network("10.64.3.0/26"), source="lab")])
    for text, words in (
        ("10.64.1.0/24", ["is in no network yet", "lies in the subnet pool lab (10.64.0.0/22), of which networks get"]),
        ("10.64.3.0/24", ["Part of subnet 10.64.3.0/24 is in use: pool p (10.64.3.0/26)", "--ipam-opt pool=lab"]),
        ("10.0.0.0/8", ["The subnet pool lab has 10.64.0.0/22, 10.70.0.0/24 of it", "--ipam-opt tenant=blue"]),
    ):
        (reason,) = subnet_by_rule(ip_network(text), host.cache, [lab])
        assert (reason.verdict, reason.space, reason.subnet) == ("carvable", "blue", text)
        assert all(each in " ".join(reason.text) for each in words)
    assert subnet_by_rule(ip_network("10.65.0.0/24"), host.cache, [lab]) == []


def test_the_command_names_what_has_to_be_named() -> None:
    """A default one of everybody's nothing; any other its name and tenant."""
    assert create_command(SUBNET_POOLS[0]) == "docker network create -d mooring --ipam-driver mooring NAME"
    six = SubnetPool("six", "blue", (ip_network("fd00::/48"),), 64, position=None)
    assert create_command(six).endswith("--ipv6 --ipam-opt tenant=blue --ipam-opt pool6=six NAME")
