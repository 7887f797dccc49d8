"""The driver of networks whose interfaces a launcher makes: it records, and gives the engine the name of an interface
that is there.

Rules: an endpoint is a VNIC's by its address and MAC, or is refused; leaving and deleting end nothing: the engine moves
the interface back to the host, under the name that it had, where the next container finds it; one that died with its
namespace is made again with the same MAC.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from mooring.core.endpoint_options import ENDPOINT_IFNAME
from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.networks import Address, Network
from mooring.core.plumbing import plan
from mooring.core.refused_starts import no_such_interface
from mooring.core.requests import EndpointGrant, JoinRequest
from mooring.core.vnics import Vnic, bridge_facts, vnic_facts
from mooring.ports import Driver, Kernel
from mooring.services.drivers.bridge import check_interface_name

log = logging.getLogger(__name__)


class HandoffDriver(Driver):
    """The driver of mode handoff. find: the VNIC of a network with an address. take_names: as in BridgeDriver."""

    returns = True

    def __init__(
        self,
        kernel: Kernel,
        find: Callable[[Network, Address], Vnic | None],
        take_names: Callable[[], bool] = lambda: False,
    ) -> None:
        self._kernel = kernel
        self._find = find
        self._take_names = take_names

    async def create_endpoint(self, network: Network, endpoint: Endpoint) -> EndpointGrant:
        """See Driver. Raises NotFound for an unknown VNIC, Conflict for another MAC, BadRequest for ports."""
        vnic = self._vnic(network, endpoint)
        check_interface_name(endpoint, self._take_names())
        vnic.must_have(endpoint.mac)
        if endpoint.ports:
            raise _publishes_nothing(network)
        return EndpointGrant()

    async def join(self, network: Network, endpoint: Endpoint, request: JoinRequest) -> Attachment:  # noqa: ARG002
        """See Driver. Raises NotFound, Conflict while another namespace has the interface, Unavailable when an adopted
        one is gone."""
        vnic = self._vnic(network, endpoint)
        await self._find_interface(vnic)
        return Attachment(
            vnic.link,
            network.options.interface_prefix,
            None if network.internal else vnic.gateway,
            None,
            (*network.options.routes, *vnic.routes),
            name=endpoint.options.get(ENDPOINT_IFNAME, ""),
        )

    async def publish(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver. Raises BadRequest."""
        if endpoint.ports:
            raise _publishes_nothing(network)

    async def info(self, network: Network, endpoint: Endpoint) -> dict[str, str]:
        """See Driver."""
        vnic = self._vnic(network, endpoint)
        return {"mooring.vnic": vnic.id, "mooring.interface": vnic.link if vnic.adopted else vnic.host_end}

    def _vnic(self, network: Network, endpoint: Endpoint) -> Vnic:
        address = endpoint.ipv4.ip if endpoint.ipv4 is not None else None
        vnic = self._find(network, address) if address is not None else None
        if vnic is None:
            what = f"no VNIC in network {network.id[:12]} has address {address}"
            raise NotFound(what, hint="`mooring vnic create` makes it, `mooring vnic ls` shows those that there are")
        return vnic

    async def _find_interface(self, vnic: Vnic) -> None:
        """The interface is on the host, where the engine takes it from."""
        if await self._kernel.link(vnic.link) is not None:
            return
        if vnic.adopted:
            raise no_such_interface(vnic.link, str(vnic))
        if await self._kernel.is_lived_in(vnic.host_end):
            raise Conflict(f"the interface of {vnic} is in another container", hint="stop that container first")
        await self._kernel.discard([vnic.host_end])
        await self._kernel.apply(plan(bridge_facts(vnic.group) | vnic_facts(vnic), ()))
        log.warning("%s had died with its namespace, and was made again with MAC %s", vnic, vnic.mac)


def _publishes_nothing(network: Network) -> BadRequest:
    return BadRequest(
        f"network {network.id[:12]} publishes no ports: what leads to VNICs is the launcher's", hint="leave out -p"
    )
