"""VNICs as a launcher and an operator see them: each with what is to be done about its Docker network.

Rules: a command that is told can be run as it is; a VNIC is named by its id, its address or its interface, and what
names several is refused with all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.filters import Page, VnicFilter
from mooring.core.options import parse_subnet
from mooring.core.vnic_views import VnicDetail, VnicNetwork, VnicRow
from mooring.core.vnics import Group, Vnic
from mooring.services.networking.vnics import Vnics
from mooring.services.operations.pages import page_of
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.engine_names import NOBODY_ASKED, EngineNames
from mooring.services.records.record_cache import RecordCache


async def _nobody() -> EngineNames:
    return NOBODY_ASKED


class VnicRows:
    """`mooring vnic`. plugin: the name that dockerd has for us. ask: what the engine calls everything, now."""

    def __init__(
        self,
        cache: RecordCache,
        endpoint_index: EndpointIndex,
        vnics: Vnics,
        plugin: str,
        ask: Callable[[], Awaitable[EngineNames]] = _nobody,
    ) -> None:
        self._cache = cache
        self._ask = ask
        self._asked: EngineNames = NOBODY_ASKED
        self._endpoint_index = endpoint_index
        self.vnics = vnics
        self._index = vnics.index
        self._plugin = plugin

    async def page(self, query: VnicFilter, names: EngineNames = NOBODY_ASKED) -> Page[VnicRow]:
        """Those that match, by tenant, subnet and address. Raises BadRequest."""
        subnet = parse_subnet("subnet", query.subnet) if query.subnet else None
        return await page_of(
            self._cache.every(Vnic),
            query,
            lambda vnic: (
                0.0,
                f"{vnic.tenant} {int(vnic.subnet.network_address):08x}",
                int(vnic.address),
                b"",
                vnic.id,
            ),
            lambda vnic: self.row(vnic, names),
            lambda vnic: (
                query.tenant in ("", vnic.tenant)
                and subnet in (None, vnic.subnet)
                and query.instance in ("", vnic.instance)
            ),
        )

    async def names(self, group: Group) -> EngineNames:
        """What is enough to name the group's network: networks are never renamed, and who makes a hundred VNICs does
        not wait for a hundred lists of the engine's."""
        network = self._index.network(group)
        if network is None:
            return NOBODY_ASKED
        if not self._asked.of_network(network):
            self._asked = await self._ask()
        return self._asked

    def find(self, reference: str, tenant: str = "") -> Vnic:
        """The one that is meant. Raises BadRequest, NotFound, Conflict."""
        if not reference.strip():
            raise BadRequest("the VNIC must not be empty")
        found = [
            vnic
            for vnic in self._cache.every(Vnic)
            if reference in (vnic.id, str(vnic.address), vnic.link, vnic.host_end) and tenant in ("", vnic.tenant)
        ]
        if not found:
            raise NotFound(f"there is no VNIC {reference[:40]!r}", hint="see `mooring vnic ls`")
        if len(found) > 1:
            several = ", ".join(f"{vnic.id} ({vnic.tenant or 'no tenant'}, {vnic.subnet})" for vnic in found[:5])
            raise Conflict(f"several VNICs are {reference}: {several}", hint="name one by its ID, or its tenant")
        return found[0]

    def detail(self, vnic: Vnic, names: EngineNames = NOBODY_ASKED) -> VnicDetail:
        """The VNIC, its network, and what `docker run` is told."""
        network = self.network(vnic.group, names)
        run = f"--network {network.name} --ip {vnic.address} --mac-address {vnic.mac}"
        return VnicDetail(self.row(vnic, names), network, run)

    def row(self, vnic: Vnic, names: EngineNames = NOBODY_ASKED) -> VnicRow:
        """A line of the list."""
        network = self._index.network(vnic.group)
        endpoint = self._endpoint_index.at(network.id, vnic.address) if network is not None else None
        container = names.with_endpoint(endpoint.id) if endpoint is not None else None
        return VnicRow(
            id=vnic.id,
            tenant=vnic.tenant,
            subnet=str(vnic.subnet),
            address=str(vnic.address),
            mac=vnic.mac,
            mtu=vnic.mtu,
            instance=vnic.instance,
            gateway=None if vnic.gateway is None else str(vnic.gateway),
            routes=[str(route) for route in vnic.routes],
            adopted=bool(vnic.adopted),
            link=vnic.link,
            host_end="" if vnic.adopted else vnic.host_end,
            bridge="" if vnic.adopted else vnic.group.bridge,
            container=container.name if container is not None else self.vnics.user(vnic),
            network="" if network is None else network.id,
            network_name="" if network is None else names.of_network(network),
            created=vnic.created,
        )

    def network(self, group: Group, names: EngineNames = NOBODY_ASKED) -> VnicNetwork:
        """What is to be done about the group's network."""
        network, vnics = self._index.network(group), self._index.of_group(group)
        if network is not None:
            name = names.of_network(network) or network.id[:12]
            return VnicNetwork("there", name, "") if vnics else VnicNetwork("remove", name, f"docker network rm {name}")
        if not vnics:
            return VnicNetwork("none", group.bridge, "")
        gateway = min(vnics, key=lambda vnic: vnic.created).gateway
        tenant = f" --ipam-opt tenant={group.tenant}" if group.tenant else ""
        way = f"--gateway {gateway}" if gateway is not None else "--ipam-opt gateway=none"
        return VnicNetwork(
            "create",
            group.bridge,
            f"docker network create -d {self._plugin} --ipam-driver {self._plugin}{tenant} --subnet {group.subnet} "
            f"{way} -o mode=handoff -o bridge={group.bridge} {group.bridge}",
        )
