"""Which port an endpoint is to have: what contradicts it is refused, and what is free is not taken half."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_address, ip_network

import pytest

from mooring.core.endpoint_options import PORT
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.requests import EndpointRequest
from mooring.services.networking.endpoint_ports import EndpointPorts
from tests.services.port_hosts import SMALL, WEB, PortHost


def ports_on(host: PortHost) -> EndpointPorts:
    """Over its records."""
    ipam = host.services.ipam
    return EndpointPorts(host.services.cache, ipam.index, ipam.fixed_index)


async def ready() -> tuple[PortHost, EndpointPorts]:
    """A network with the ports a and b."""
    host = PortHost()
    await host.serve("web")
    for name, last in (("a", 11), ("b", 12)):
        await host.port(name, addresses=[f"10.32.0.{last}"], mac=f"02:00:00:00:00:{last}")
    return host, ports_on(host)


def request(ip: str = "", mac: str = "", port: str = "", **more: object) -> EndpointRequest:
    """CreateEndpoint."""
    ipv4 = IPv4Interface(f"{ip}/24") if ip else None
    options = {PORT: port} if port else {}
    return EndpointRequest(WEB, "e" * 64, ipv4, None, mac, options=options, **more)  # type: ignore[arg-type]


async def test_the_option_the_mac_or_nothing_says_which_port() -> None:
    """The option is before the MAC."""
    host, ports = await ready()
    network = host.known(WEB)
    for asked, name in (
        (request("10.32.0.11", "02:00:00:00:00:99", "a"), "a"),
        (request(port="b"), "b"),
        (request(mac="02:00:00:00:00:12"), "b"),
    ):
        port = ports.asked(network, asked)
        assert port is not None
        assert port.name == name
    assert ports.asked(network, request("10.32.0.20", "02:00:00:00:00:99")) is None


@pytest.mark.parametrize(
    ("asked", "fault", "text"),
    [
        (request(port="c"), NotFound, r"has no port 'c'; it has a, b"),
        (
            request("10.32.0.20", "02:00:00:00:00:99", "a"),
            Conflict,
            r"Docker has given the container 10\.32\.0\.20.*--ip 10\.32\.0\.11 --mac-address 02:00:00:00:00:11",
        ),
        (request(mac="02:00:00:00:00:99", port="a"), Conflict, "has MAC 02:00:00:00:00:11, not"),
        (request(port="a", subnets=(ip_network("10.99.0.0/24"),)), BadRequest, r"is not in subnet 10\.99"),
    ],
)
async def test_what_contradicts_the_port_is_refused(asked: EndpointRequest, fault: type[Exception], text: str) -> None:
    """With what has to be said to Docker."""
    host, ports = await ready()
    with pytest.raises(fault, match=text):
        ports.asked(host.known(WEB), asked)


async def test_a_host_without_ports_says_how_one_is_made() -> None:
    """And costs an endpoint nothing."""
    host = PortHost()
    await host.serve("web")
    ports = ports_on(host)
    assert ports.asked(host.known(WEB), request()) is None
    with pytest.raises(NotFound, match="mooring port create --network"):
        ports.asked(host.known(WEB), request(port="db"))


async def test_addresses_and_macs_of_two_ports_are_no_endpoints() -> None:
    """A MAC of one and the address of another, or of none."""
    host, ports = await ready()
    network = host.known(WEB)

    def endpoint(ip: str, mac: str) -> Endpoint:
        return Endpoint("e" * 64, WEB, IPv4Interface(f"{ip}/24"), None, mac, 0.0)

    ports.check(network, endpoint("10.32.0.11", "02:00:00:00:00:99"), None)
    with pytest.raises(Conflict, match=r"MAC 02:00:00:00:00:12 is that of port b"):
        ports.check(network, endpoint("10.32.0.11", "02:00:00:00:00:12"), None)
    with pytest.raises(Conflict, match=r"MAC 02:00:00:00:00:12 is that of port b"):
        ports.check(network, endpoint("10.32.0.30", "02:00:00:00:00:12"), None)
    asked = ports.asked(network, request(port="a"))
    with pytest.raises(Conflict, match="of several ports"):
        ports.check(network, endpoint("10.32.0.12", "02:00:00:00:00:99"), asked)


async def test_a_port_of_a_network_with_the_null_driver_gives_address_and_mac() -> None:
    """By the option alone; the same call twice is one endpoint, and another one's is refused."""
    host = PortHost(policy=SMALL)
    await host.start()
    await host.on_demand()
    port = await host.port()
    first = await host.run_null("c1", port="db", attach=False)
    assert (first.addresses, first.mac) == (port.addresses, port.mac)
    assert await host.run_null("c1", port="db") == host.services.cache.endpoint(WEB, first.id)
    with pytest.raises(Conflict, match=f"in use.*{first.id[:12]}"):
        await host.run_null("c2", port="db")
    with pytest.raises(Conflict, match="has MAC"):
        await host.run_null("c3", port="db", mac="02:00:00:00:00:77")
    other = await host.run_null("c4")
    assert other.addresses[0] not in port.addresses
    await host.stop(first)
    assert host.lease(port.addresses[0]) is not None
    assert ip_address(str(port.addresses[0])) == (await host.run_null("c5", mac=port.mac)).addresses[0]
