"""What people are shown of names. Rules: as in views."""

from __future__ import annotations

import msgspec

# Where a name is from.
CONTAINER, STORED = "container", "stored"


class DnsRow(msgspec.Struct, frozen=True):
    """A name and its addresses.

    name: complete, with the zone. network: its name, "" for a name that is in none; network_id: full, or "". addresses:
    none for a container that is not healthy, in a network with dns=healthy. origin:
    `container`, or `stored` for an operator's record. names: all in the network, relative to it. created, until: of a
    record, None for a container's and for no end. host: the name of the host that has it, "" where this one is in no
    cluster. heard: False while that host is not heard; its addresses are told then where nobody else has the name.
    """

    name: str
    network: str
    network_id: str
    addresses: list[str]
    origin: str
    names: list[str]
    note: str = ""
    created: float | None = None
    until: float | None = None
    host: str = ""
    heard: bool = True


class DnsServerView(msgspec.Struct, frozen=True):
    """The host's DNS server.

    setting: `auto`, `on` or `off`. serving: the addresses at which it answers, empty for none. reasons: who wants it.
    trouble: why it does not answer somewhere, "" when nothing is wrong; remedy: what to do then. domains: the tenants'
    routing domains in which it answers besides.
    """

    setting: str
    zone: str
    serving: list[str]
    reasons: list[str]
    trouble: str = ""
    remedy: str = ""
    domains: list[int] = []


class DnsAnswer(msgspec.Struct, frozen=True):
    """What the DNS server says to whom.

    verdict: `found`, `empty` (the name is there, without such records), `absent` (it is not, and nobody else is asked),
    `forward` (the host's nameservers are asked) or `refused` (they are not, for who has no way out of the host; or it
    may be known soon). records: as in a zone file, in no order. hosts: the names of other hosts of the cluster, by the
    records that are theirs.
    """

    name: str
    type: str
    asker: str
    verdict: str
    records: list[str]
    hosts: dict[str, str] = {}
