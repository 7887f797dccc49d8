"""What operators and programs ask of hosts that share a subnet: reservations, addresses by id, ports."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_interface, ip_network

from mooring.core.leases import Lease, State
from mooring.core.network_ports import NetworkPort
from mooring.core.requests import AddressRequest, Role
from mooring.core.views import Change
from mooring.services.operations.addresses_by_id import AddressesById, Where
from mooring.services.operations.network_ports import PortSpec
from mooring.services.operations.operations import Operations
from tests.services.fixed_hosts import FixedHost, FixedWorld
from tests.services.operators import operate

HERE = asyncio.Event()  # whoever asks is there for ever


async def reserve(
    host: FixedHost, first: str, last: str = "", whom: str = "db", until: float | None = None, dry: bool = False
) -> list[Change]:
    """`mooring lease reserve`."""
    reservations = operate(host).reservations
    return await reservations.reserve(None, ip_address(first), ip_address(last or first), whom, "", until, dry)


async def release(host: FixedHost, address: str) -> list[Change]:
    """`mooring lease release`."""
    return await operate(host).reservations.release(None, ip_address(address), False, False)


async def request(host: FixedHost, address: str, name: str) -> str:
    """Docker asks for the address, for a container of that name."""
    asked = AddressRequest(host.pool, Role.ENDPOINT, ip_address(address), f"02:{ord(name[0]):02x}::1", name)
    return str((await host.services.ipam.request_address(asked)).ip)


async def let_go(host: FixedHost, address: str) -> None:
    """Docker releases it."""
    await host.services.ipam.release_address(host.pool, ip_address(address))


def by_id(host: FixedHost) -> AddressesById:
    """What is asked by id."""
    return operate(host).addresses_by_id


async def allocate(host: FixedHost, ident: str, wait: float = 0.0, subnet: str = "") -> str:
    """`mooring ip allocate`."""
    where = Where(ip_network(subnet) if subnet else None)
    got = await by_id(host).allocate(ident, where, check_alive=False, wait=wait, hung_up=HERE)
    return str(got.ip)


async def claim(host: FixedHost, ident: str, address: str) -> None:
    """`mooring ip claim`."""
    asked = ip_interface(f"{address}/{host.subnet.prefixlen}")
    await by_id(host).claim(ident, asked, Where(), check_alive=False, no_error_on_unknown=False)


async def port(host: FixedHost, name: str, *addresses: str, dry: bool = False) -> NetworkPort:
    """`mooring port create`."""
    operated: Operations = operate(host)
    spec = PortSpec(host.full("web"), name=name, addresses=tuple(map(ip_address, addresses)))
    return await operated.network_ports.create(spec, dry, await operated.names())


def addresses_of(world: FixedWorld) -> set[str]:
    """What the cluster has claims of."""
    texts = [key.rpartition("/")[2] for key in world.servers.records if key.startswith("addr/")]
    return {str(ip_address(int(text, 16))) for text in texts}


def reserved(host: FixedHost) -> list[str]:
    """What the host's own records have as reserved."""
    return [str(lease.address) for lease in host.services.cache.every(Lease) if lease.state is State.RESERVED]
