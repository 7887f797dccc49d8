"""Networks that every host of the cluster is to have."""

from __future__ import annotations

from collections.abc import Sequence

from mooring.core.addresses import parse_address
from mooring.core.cluster_views import EverywhereView
from mooring.core.containers import EngineSubnet
from mooring.core.everywhere import NetworkEverywhere
from mooring.core.faults import BadRequest
from mooring.core.filters import Page, Paging
from mooring.core.networks import Address, Subnet
from mooring.core.options import parse_subnet
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.services.operations.pages import page_of
from mooring.wire.api import CreateEverywhere, RemoveEverywhere


class NetworksEverywhere:
    """What is asked for, and what each host says of it."""

    def __init__(self, operations: Operations) -> None:
        self._everywhere = operations.everywhere

    @route("GET", "/v1/cluster/networks")
    async def networks_everywhere(self, query: Paging) -> Page[EverywhereView]:
        """The networks that every host is to have, by name."""
        return await page_of(
            await self._everywhere.rows(), query, lambda row: (0.0, row.name, 0, b"", ""), lambda row: row
        )

    @route("GET", "/v1/cluster/networks/{name}")
    async def network_everywhere(self, name: str) -> EverywhereView:
        """One of them, and which hosts have it, refuse it, or have not answered."""
        return await self._everywhere.view(name)

    @route("POST", "/v1/cluster/networks", name="app", subnets=["10.40.0.0/24"])
    async def create_everywhere(self, body: CreateEverywhere) -> EverywhereView:
        """Every host is to have the network; each makes it at its own Docker soon after. Asked for again, hosts look
        again."""
        wanted = NetworkEverywhere(
            name=body.name, id="", subnets=_subnets(body), options=body.options or {},
            ipam_options=body.ipam_options or {}, internal=body.internal, labels=body.labels or {},
        )  # fmt: skip
        return await self._everywhere.create(wanted, body.dry_run)

    @route("POST", "/v1/cluster/networks/remove", name="app")
    async def remove_everywhere(self, body: RemoveEverywhere) -> EverywhereView:
        """No host is to have the network; each removes it soon after, unless a container is in it."""
        return await self._everywhere.remove(body.name, body.dry_run)


def _subnets(body: CreateEverywhere) -> tuple[EngineSubnet, ...]:
    """Each with what is in it. Raises BadRequest for what is in none."""
    subnets = [parse_subnet("subnet", text) for text in body.subnets]
    gateways = {_home(subnets, each, "gateway"): each for each in map(parse_address, body.gateways)}
    ranges = {_home(subnets, each.network_address, "range"): each
              for each in (parse_subnet("range", text) for text in body.ranges)}  # fmt: skip
    auxiliary: dict[Subnet, dict[str, Address]] = {}
    for name, text in (body.auxiliary or {}).items():
        address = parse_address(text)
        auxiliary.setdefault(_home(subnets, address, "auxiliary address"), {})[name] = address
    return tuple(EngineSubnet(each, ranges.get(each), gateways.get(each), auxiliary.get(each, {})) for each in subnets)


def _home(subnets: Sequence[Subnet], address: Address, what: str) -> Subnet:
    for subnet in subnets:
        if address in subnet:
            return subnet
    raise BadRequest(f"{what} {address} is in no subnet of the network", hint="see --subnet")
