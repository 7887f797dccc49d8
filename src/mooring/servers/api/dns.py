"""Names: of containers, and operators' DNS records."""

from __future__ import annotations

from mooring.core.dns_views import DnsAnswer, DnsRow, DnsServerView
from mooring.core.filters import DnsFilter, DnsQuestion, Page
from mooring.servers.api.routes import route
from mooring.services.operations.operations import Operations
from mooring.wire.api import AddDnsRecord, DnsReply, RemoveDnsRecord


class Dns:
    """What is called how, and what the DNS server says to whom."""

    def __init__(self, operations: Operations) -> None:
        self._dns = operations.dns_rows
        self._names = operations.names
        self._server = operations.dns_server

    @route("GET", "/v1/dns")
    async def dns_names(self, query: DnsFilter) -> Page[DnsRow]:
        """The names of all containers in Mooring's networks, and operators' records, by name."""
        return await self._dns.page(query, await self._names())

    @route("GET", "/v1/dns/server")
    async def dns_server(self) -> DnsServerView:
        """Where names are answered, who wants that, and what stands in the way. It is as it should be by then."""
        return await self._server()

    @route("GET", "/v1/dns/lookup")
    async def look_up_name(self, query: DnsQuestion) -> DnsAnswer:
        """What the DNS server would say, to the host or to a container in a network. Nobody else is asked."""
        return self._dns.lookup(query, await self._names())

    @route("POST", "/v1/dns/add", name="nas", addresses=["192.0.2.9"], network="web", note="the NAS")
    async def add_dns_record(self, body: AddDnsRecord) -> DnsReply:
        """The name has these addresses, in the network or for everybody. One that has a record gets the new
        addresses, note and end."""
        row, changed = await self._dns.add(
            body.name, body.addresses, body.network, body.note, body.until, body.dry_run, await self._names()
        )
        return DnsReply(row, changed, body.dry_run)

    @route("POST", "/v1/dns/remove", name="nas", network="web")
    async def remove_dns_record(self, body: RemoveDnsRecord) -> DnsReply:
        """The record ends. A container's own names end with it."""
        row = await self._dns.remove(body.name, body.network, body.dry_run, await self._names())
        return DnsReply(row, True, body.dry_run)
