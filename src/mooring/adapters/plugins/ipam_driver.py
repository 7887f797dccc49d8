"""An IPAM plugin as an IpamDriver, told in libnetwork's remote protocol (libnetwork/ipams/remote/remote.go).

Rules: what a plugin grants is honoured only when it can be read and is what was asked for, else it is released; an
error of the plugin's when something is released is logged, and the thing is released; a plugin that was not reached
must be told again.
"""

from __future__ import annotations

import logging
from ipaddress import ip_address, ip_network

from mooring.adapters.plugins.client import PluginClient, Unreachable
from mooring.core.faults import BadRequest, Fault, NotFound, Unavailable
from mooring.core.networks import Address, Interface, Subnet
from mooring.core.requests import AddressRequest, PoolGrant, PoolRequest, Role
from mooring.ports import IpamDriver
from mooring.wire import remote_api as api
from mooring.wire.remote_options import MAC_KEY, parse_interface

log = logging.getLogger(__name__)


class RemoteIpam(IpamDriver):
    """The IPAM driver of a plugin that was activated.

    Every method raises, besides what it says, the fault that the plugin told, and Unreachable when it told nothing.
    """

    def __init__(self, client: PluginClient, requires_mac: bool = False) -> None:
        self.name = client.name
        self._client = client
        self._requires_mac = requires_mac

    @property
    def requires_mac(self) -> bool:
        """See IpamDriver."""
        return self._requires_mac

    async def default_space(self) -> str:
        """See IpamDriver. The plugin is asked each time, as dockerd does from 27 on."""
        reply = await self._client.call("IpamDriver.GetDefaultAddressSpaces")
        assert isinstance(reply, api.AddressSpaces)
        return reply.local_default_address_space

    async def request_pool(self, request: PoolRequest) -> PoolGrant:
        """See IpamDriver. A length without a subnet is asked for as `0.0.0.0/28`, as with Docker's own driver.

        Raises Unavailable for a grant that cannot be read or is another subnet than was asked for.
        """
        reply = await self._client.call(
            "IpamDriver.RequestPool",
            api.PoolQuery(
                request.space or await self.default_space(),
                _wanted(request),
                "" if request.range is None else str(request.range),
                dict(request.options),
                request.version == 6,
            ),
        )
        assert isinstance(reply, api.PoolAnswer)
        try:
            return self._pool(request, reply)
        except Unavailable:
            if reply.pool_id:
                await self._undo("IpamDriver.ReleasePool", api.PoolReference(reply.pool_id))
            raise

    async def release_pool(self, pool_id: str) -> None:
        """See IpamDriver."""
        await self._end("IpamDriver.ReleasePool", api.PoolReference(pool_id))

    async def request_address(self, request: AddressRequest) -> Interface:
        """See IpamDriver.

        Raises Unavailable for a grant that cannot be read or is another address than was asked for.
        """
        options: dict[str, str] = {}
        if request.role is Role.GATEWAY:
            options[api.ADDRESS_TYPE_KEY] = api.GATEWAY_KEY
        if request.role is Role.ENDPOINT and request.mac:
            options[MAC_KEY] = request.mac
        if request.role is Role.ENDPOINT and request.name:
            options[api.NAME_KEY] = request.name
        address = "" if request.address is None else str(request.address)
        reply = await self._client.call(
            "IpamDriver.RequestAddress", api.AddressQuery(request.pool, address, options or None)
        )
        assert isinstance(reply, api.AddressAnswer)
        try:
            return self._address(request, reply)
        except Unavailable:
            granted = reply.address.partition("/")[0] or address
            if _is_address(granted):
                await self._undo("IpamDriver.ReleaseAddress", api.AddressReference(request.pool, granted))
            raise

    async def release_address(self, pool_id: str, address: Address) -> None:
        """See IpamDriver."""
        await self._end("IpamDriver.ReleaseAddress", api.AddressReference(pool_id, str(address)))

    def _pool(self, request: PoolRequest, reply: api.PoolAnswer) -> PoolGrant:
        if not reply.pool_id:
            raise self._wrong("it granted a pool without an ID")
        try:
            subnet: Subnet = parse_interface("Pool", reply.pool).network
            text = (reply.data or {}).get(api.GATEWAY_KEY, "")
            gateway = parse_interface(api.GATEWAY_KEY, text) if text else None
        except BadRequest as fault:
            raise self._wrong(fault.what) from fault
        if subnet.version != request.version or (request.subnet is not None and subnet != request.subnet):
            wanted = request.subnet or f"an IPv{request.version} subnet"
            raise self._wrong(f"it granted {subnet} where {wanted} was asked for")
        if gateway is not None and gateway.ip not in subnet:
            raise self._wrong(f"its gateway {gateway} is not in the subnet {subnet}")
        return PoolGrant(reply.pool_id, subnet, gateway)

    def _address(self, request: AddressRequest, reply: api.AddressAnswer) -> Interface:
        if not reply.address:
            raise self._wrong("it granted no address")
        try:
            interface = parse_interface("Address", reply.address)
        except BadRequest as fault:
            raise self._wrong(fault.what) from fault
        if request.address is not None and interface.ip != request.address:
            raise self._wrong(f"it granted {interface} where {request.address} was asked for")
        return interface

    def _wrong(self, what: str) -> Unavailable:
        return Unavailable(f"plugin {self.name}: {what}")

    async def _end(self, method: str, message: api.Message) -> None:
        """The plugin has heard of it (libnetwork/network.go logs what it says, and goes on)."""
        try:
            await self._client.call(method, message)
        except Unreachable:
            raise
        except NotFound as fault:
            log.debug("%s: %s", method, fault)
        except Fault as fault:
            log.warning("%s, treated as done: %s", method, fault)

    async def _undo(self, method: str, message: api.Message) -> None:
        """Release what cannot be used; another fault is on its way, and this one must not hide it."""
        try:
            await self._end(method, message)
        except Unreachable as fault:
            log.warning("%s: a grant may be left with the plugin: %s", method, fault)


def _wanted(request: PoolRequest) -> str:
    if request.subnet is not None:
        return str(request.subnet)
    if request.length is None:
        return ""
    return str(ip_network(f"{'::' if request.version == 6 else '0.0.0.0'}/{request.length}"))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
