"""Network ports as people are shown them: who has which, and what is odd about one.

Rules: whether a port is in use is read from the endpoints and leases each time, and is nowhere on record; what is wrong
with a port is said with it, and by the doctor in the same words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mooring.core.addresses import parse_address
from mooring.core.containers import Container
from mooring.core.endpoints import Endpoint
from mooring.core.endpoints import State as EndpointState
from mooring.core.filters import Page, PortFilter
from mooring.core.findings import Finding
from mooring.core.keys import PORT_LABEL
from mooring.core.leases import Lease
from mooring.core.network_ports import NetworkPort, PortState, references
from mooring.core.views import EndpointView, PortDetail, PortRow
from mooring.services.ipam.allocator import Ipam
from mooring.services.operations.pages import Place, page_of
from mooring.services.operations.references import network_meant
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.engine_names import NOBODY_ASKED, EngineNames
from mooring.services.records.holder_names import holder_names
from mooring.services.records.network_ports import how_to_ask, lost_of, port_in, port_meant
from mooring.services.records.record_cache import RecordCache

_DEFAULT = "default"


class NetworkPortRows:
    """`ls`, `inspect`, and what the doctor finds."""

    def __init__(self, cache: RecordCache, endpoint_index: EndpointIndex, ipam: Ipam) -> None:
        self._cache = cache
        self._endpoint_index = endpoint_index
        self._ipam = ipam

    async def page(self, wanted: PortFilter, names: EngineNames = NOBODY_ASKED) -> Page[PortRow]:
        """Those that match, by network and name. Raises BadRequest, NotFound for a network that nobody knows."""
        address = str(parse_address(wanted.address, "address")) if wanted.address else ""

        def place(row: PortRow) -> Place:
            return 0.0, row.network_name or row.network, 0, b"", f"{row.name} {row.id}"

        def is_in(row: PortRow) -> bool:
            return row.network_name == wanted.network or row.network.startswith(wanted.network)

        def matches(row: PortRow) -> bool:
            return (
                is_in(row)
                and wanted.tenant in ("", row.tenant or _DEFAULT)
                and (wanted.state is None or wanted.state.value == row.state)
                and wanted.name in row.name
                and wanted.mac.lower() in ("", row.mac)
                and (not address or address in row.addresses)
            )

        rows = [self.row(port, names) for port in self._cache.every(NetworkPort)]
        if wanted.network and not any(map(is_in, rows)):
            network_meant(wanted.network, self._cache, names)
        return await page_of(rows, wanted, place, lambda row: row, matches)

    def row(self, port: NetworkPort, names: EngineNames = NOBODY_ASKED) -> PortRow:
        """One of them."""
        network = self._cache.network(port.network)
        endpoint = self._endpoint(port)
        container = names.with_endpoint(endpoint.id) if endpoint is not None else None
        told = self._ipam.index.endpoint_containers.name(endpoint.id) if endpoint is not None else ""
        warning = self._warning(port)
        if endpoint is not None and endpoint.mac != port.mac:
            warning = f"its endpoint has MAC {endpoint.mac}: `--mac-address {port.mac}` asks for its own"
        return PortRow(
            id=port.id,
            name=port.name,
            state=self._state(port, endpoint).value,
            network=port.network,
            network_name=(names.of_network(network) if network is not None else "") or port.network_name,
            tenant=network.tenant if network is not None else port.space if port.space != _DEFAULT else "",
            mac=port.mac,
            addresses=[str(address) for address in port.addresses],
            endpoint=endpoint.id if endpoint is not None else "",
            container=container.name if container is not None else told,
            note=port.note,
            created=port.created,
            warning=warning,
        )

    def detail(self, reference: str, names: EngineNames = NOBODY_ASKED) -> PortDetail:
        """The port that is meant. Raises NotFound, Conflict for the name of several."""
        port = port_meant(reference, self._cache)
        row, endpoint = self.row(port, names), self._endpoint(port)
        holders = {name for lease in self._leases(port) for name in holder_names(lease, self._cache, names)}
        return PortDetail(
            row, sorted(holders), how_to_ask(port, self._cache), _view(endpoint, row) if endpoint is not None else None
        )

    def unusable(self, now: float) -> Iterator[Finding]:
        """Ports that nobody can use as they are."""
        for port in self._cache.every(NetworkPort):
            if warning := self._warning(port):
                yield Finding(
                    f"port {port.id}",
                    f"port {port.in_words()} cannot be used: {warning}",
                    "the records",
                    now,
                    f"create that network again as it was, or `mooring port rm {port.id[:12]}`",
                )

    def unheeded(self, containers: Sequence[Container], now: float) -> Iterator[Finding]:
        """Containers that run, and whose label has had no effect."""
        for container in containers if self._cache.count(NetworkPort) else ():
            label = container.labels.get(PORT_LABEL, "") if container.running else ""
            for reference in references(label):
                for each in container.endpoints:
                    port = port_in(each.network, reference, self._cache) if each.network else None
                    if port is None or not each.held or set(each.held) & set(port.addresses):
                        continue
                    yield Finding(
                        f"port-label {container.id} {port.id}",
                        f"container {container.name} has the label {PORT_LABEL}={reference[:40]}, and "
                        f"{', '.join(map(str, each.held))} instead of port {port.in_words()}",
                        "it was not made through the proxy, which alone sees labels",
                        now,
                        f"recreate it through the proxy, or with `{how_to_ask(port, self._cache)}`",
                    )

    def _state(self, port: NetworkPort, endpoint: Endpoint | None) -> PortState:
        if endpoint is not None:
            return PortState.ACTIVE if endpoint.state is EndpointState.ATTACHED else PortState.DOWN
        promised = any(map(self._ipam.pending_allocations.is_promised, self._leases(port)))
        return PortState.BUILD if promised else PortState.DOWN

    def _endpoint(self, port: NetworkPort) -> Endpoint | None:
        """The endpoint that has it."""
        found = (self._endpoint_index.at(port.network, lease.address) for lease in self._leases(port))
        return next((endpoint for endpoint in found if endpoint is not None), None)

    def _leases(self, port: NetworkPort) -> list[Lease]:
        return self._ipam.fixed_index.of_key(port.network, port.key)

    def _warning(self, port: NetworkPort) -> str:
        """Why it cannot be used, "" when it can."""
        if self._cache.network_port(port.id) is None:
            return ""  # it is only a draft, of a dry run, or it was removed just now
        if self._cache.network(port.network) is None:
            return f"its network {port.network_name or port.network[:12]} was removed; it waits for one of that name"
        if lost := lost_of(port, self._cache):
            return f"network {port.network_name or port.network[:12]} came back without {', '.join(map(str, lost))}"
        return ""


def _view(endpoint: Endpoint, row: PortRow) -> EndpointView:
    return EndpointView(
        id=endpoint.id,
        state=endpoint.state.value,
        name=row.container,
        ipv4=str(endpoint.ipv4) if endpoint.ipv4 else None,
        ipv6=str(endpoint.ipv6) if endpoint.ipv6 else None,
        mac=endpoint.mac,
        published=[str(port_binding) for port_binding in endpoint.published],
        sandbox=endpoint.sandbox,
        created=endpoint.created,
    )
