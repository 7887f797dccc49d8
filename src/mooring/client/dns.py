"""Names, asked for and changed by a program."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from mooring.client.asking import Asking
from mooring.core.dns_views import DnsAnswer, DnsRow, DnsServerView
from mooring.wire.api import AddDnsRecord, DnsReply, RemoveDnsRecord


class Dns(Asking):
    """Names of containers, and operators' DNS records. dry_run: nothing is done, only tried."""

    def dns_names(
        self, *, name: str = "", network: str = "", address: str = "", origin: str = "", host: str = ""
    ) -> list[DnsRow]:
        """The names of all containers in Mooring's networks, and operators' records. name: any part of one. host: the
        name of the cluster's host that has it."""
        asked = {"name": name, "network": network, "address": address, "origin": origin, "host": host}
        return self._rows(DnsRow, "dns", asked)

    def look_up_name(self, name: str, *, type: str = "", network: str = "") -> DnsAnswer:  # noqa: A002
        """What the DNS server would say, to the host or to a container in the network."""
        given = {"name": name, "type": type, "network": network}
        query = urlencode({key: value for key, value in given.items() if value})
        return self._decoded(self._exchange("GET", f"/v1/dns/lookup?{query}")[0], DnsAnswer)

    def dns_server(self) -> DnsServerView:
        """Where names are answered, who wants that, and what stands in the way."""
        return self._decoded(self._exchange("GET", "/v1/dns/server")[0], DnsServerView)

    def add_dns_record(
        self, name: str, addresses: Sequence[str], *, network: str = "", note: str = "", until: float | None = None,
        dry_run: bool = False,
    ) -> DnsReply:  # fmt: skip
        """The name has these addresses, in the network or for everybody. until: seconds since the epoch."""
        body = AddDnsRecord(name, tuple(addresses), network, note, until, dry_run)
        return self._post(DnsReply, "dns/add", body)

    def remove_dns_record(self, name: str, *, network: str = "", dry_run: bool = False) -> DnsReply:
        """The record ends."""
        return self._post(DnsReply, "dns/remove", RemoveDnsRecord(name, network, dry_run))
