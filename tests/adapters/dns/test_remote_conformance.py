"""The conformance table's rows for containers of other hosts: what is told of them is told as of this host's own."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import cast

import dns.message
import pytest

from mooring.adapters.dns.host_forwarding import HostForwarding
from mooring.adapters.dns.host_server import HostAnswers, Place
from mooring.core.advertisements import Advertisement
from mooring.core.endpoints import Service
from mooring.core.port_bindings import Protocol
from tests.adapters.dns.test_conformance import ABSENT, NODATA, Elsewhere, House, Interfaces, words
from tests.services.hosts import MemoryHost, separate_network


async def _built() -> House:
    host = await MemoryHost(separate_tenants=True).start()
    web = await host.network("web", peers="shop")
    back, peer = await host.network("back"), await host.network("peer", peers="shop")
    gold = (await separate_network(host, "d", "gold", "10.32.0.0/24")).id  # as web's
    assert host.services.keeping is not None
    names = host.services.keeping.host_names
    for network, called in ((web, "web"), (back, "back"), (peer, "peer"), (gold, "web")):
        names.note_network(network, called)
    names.remote.begin("h0", "here")
    names.remote.take_part("shared", web)
    for number, name, more in ((98, "db", "far"), (99, "app", "far")):
        advertisement = Advertisement(
            network="shared", host="h1", endpoint=name, mac="02:00:00:00:00:01", names=(name, more),
            addresses=(ip_address(f"10.32.0.{number}"),), underlay=ip_address("192.0.2.1"),
            services=(Service("", Protocol.TCP, 5432),),
        )  # fmt: skip
        names.remote.note(f"ep/h1/shared/{name}", advertisement)
    names.remote.note_scanned()
    known = [host.services.cache.network(each) for each in (web, back, peer)]
    bridges = Interfaces({number: each.bridge for number, each in enumerate(known, 3) if each is not None})
    in_gold = host.services.cache.network(gold)
    assert in_gold is not None
    here, there = Place(0, lambda index: bridges[index]), Place(in_gold.domain, lambda _: in_gold.bridge)
    places = {
        "web": (here, 3, "10.32.0.3"), "back": (here, 4, "10.32.1.3"), "peer": (here, 5, "10.32.2.3"),
        "gold": (there, 3, "10.32.0.3"), "host": (here, 1, "192.0.2.1"),
    }  # fmt: skip
    return House(HostAnswers(names, cast(HostForwarding, Elsewhere())), places)


@pytest.fixture(scope="module")
def house() -> House:
    """Built once: rows change nothing."""
    return asyncio.run(_built())


@pytest.mark.parametrize(
    ("who", "name", "kind", "told"),
    [
        ("web", "db", "A", "10.32.0.98"),
        ("web", "DB.Web.mooring", "A", "10.32.0.98"),
        ("web", "far", "A", "10.32.0.98 10.32.0.99"),
        ("web", "db", "AAAA", NODATA),
        ("web", "_5432._tcp.db", "SRV", "0 0 5432 db.web.mooring."),
        ("web", "98.0.32.10.in-addr.arpa", "PTR", "db.web.mooring."),
        ("web", "97.0.32.10.in-addr.arpa", "PTR", "NXDOMAIN"),
        ("host", "db.web.mooring", "A", "10.32.0.98"),
        ("host", "98.0.32.10.in-addr.arpa", "PTR", "db.web.mooring."),
        ("host", "db", "A", "elsewhere"),
        ("peer", "db.web.mooring", "A", "10.32.0.98"),
        ("peer", "db.web", "A", "elsewhere"),
        ("back", "db.web.mooring", "A", ABSENT),
        ("back", "98.0.32.10.in-addr.arpa", "PTR", "NXDOMAIN"),
        ("gold", "db", "A", "elsewhere"),
        ("gold", "db.web.mooring", "A", ABSENT),
        ("gold", "98.0.32.10.in-addr.arpa", "PTR", "NXDOMAIN"),
    ],
)
def test_who_asks_is_told_of_other_hosts_what_he_would_be_told_of_this_one(
    house: House, who: str, name: str, kind: str, told: str
) -> None:
    """Flags and all, by UDP and by TCP."""
    message = dns.message.make_query(name, kind).to_wire()
    assert words(house.ask(who, message)) == words(house.ask(who, message, stream=True)) == told
