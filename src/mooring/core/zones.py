"""Names of containers as other nameservers of the site know them: which records there are, and whose they are.

Rules: a record says nothing that the host's own DNS server would not say of a complete name; a serial is a time, so
that it rises over restarts and restored backups without being kept; what is in somebody else's zone is ours only where
our mark says so, record by record.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from mooring.core.host_names import NAME_BYTES, Entry
from mooring.core.networks import Address, Network

# Seconds that a record may be kept: less than the cooldown, so that an address is not another's meanwhile.
TTL = 10
# Seconds: secondaries look by themselves, try again, give up on us, and keep that there is nothing (RFC 1035, 3.3.13).
REFRESH, RETRY, EXPIRE, NEGATIVE = 60, 15, 86400, TTL
# A container's id is its name on the host, and too much for everybody else.
_IDENT = re.compile(r"[0-9a-f]{12}")
_HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.IGNORECASE)
_MARK = "mooring="

Place = tuple[Address, int]
# The type of a record and its text, as in a zone file.
Record = tuple[str, str]
Records = Mapping[str, AbstractSet[Record]]


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """What the site's nameservers get. zone: of all names. keys: the file of TSIG keys.

    transfer: where the zones are given out. notify: who is told of changes. update, update_zones: the server that we
    keep names at, and its zones. export: the names of the networks, empty for those of no tenant.
    """

    zone: str = "mooring"
    keys: Path | None = None
    transfer: tuple[Place, ...] = ()
    notify: tuple[Place, ...] = ()
    update: Place | None = None
    update_zones: tuple[str, ...] = ()
    export: tuple[str, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.transfer or self.update)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All records at one moment, by their complete names. serial: of the zones then. whole: not when somebody who is
    there may have names that are not known yet, so that what is missing is no proof that it is gone."""

    serial: int
    forward: Records = field(default_factory=dict)
    reverse: Records = field(default_factory=dict)
    whole: bool = True


def is_exported(network: Network, name: str, chosen: Collection[str]) -> bool:
    """Whether others may know who is in the network. Whoever is outside could not reach an internal one, and a routing
    domain's addresses mean something else there. chosen: names of networks; empty for those of no tenant."""
    if not network.options.dns or network.internal or network.domain:
        return False
    return name in chosen if chosen else not network.tenant


def records_of(entry: Entry, zone: str) -> Iterator[tuple[str, Record]]:
    """Complete names, each with a record: of the addresses, and of the way back."""
    end = ".".join(part for part in (entry.network, zone) if part)
    names = [f"{name}.{end}" for name in entry.names if not _IDENT.fullmatch(name)]
    names = [name for name in names if len(name) <= NAME_BYTES]
    for address in entry.addresses:
        for name in names:
            yield name, ("A" if address.version == 4 else "AAAA", str(address))
        if names:
            yield address.reverse_pointer, ("PTR", f"{names[0]}.")


def next_serial(serial: int, now: float) -> int:
    """The one after it (RFC 1982): the time, or one more where that is not enough. now: seconds since the epoch."""
    told = int(now) % 2**32
    ahead = (told - serial) % 2**32
    return told if 0 < ahead < 2**31 else (serial + 1) % 2**32


def is_in_zone(name: str, zone: str) -> bool:
    """Whether it is the zone or a name in it."""
    return name == zone or name.endswith(f".{zone}")


def is_reverse(zone: str) -> bool:
    """Whether the zone is one of addresses."""
    return zone.endswith((".in-addr.arpa", ".ip6.arpa"))


def zone_of(name: str, zones: Collection[str]) -> str:
    """The one of the zones that the name is in, the longest first; "" for none."""
    return max((zone for zone in zones if is_in_zone(name, zone)), key=len, default="")


def is_hostname(name: str) -> bool:
    """Whether a server that checks names takes it (RFC 1123, 2.1): those of BIND refuse an underscore in an update, and
    a label that begins or ends with a hyphen."""
    return all(map(_HOST_LABEL.fullmatch, name.removesuffix(".").split(".")))


# -- marks -------------------------------------------------------------------------------------------------------------


def owner_mark(host: str) -> str:
    """What a host's marks begin with. host: text that belongs to it for ever, which is not told."""
    return _MARK + sha256(host.encode()).hexdigest()[:16]


def mark(owner: str, records: Collection[Record]) -> tuple[str, ...]:
    """The strings of the TXT record that stands beside ours, and says which these are."""
    return owner, *sorted(f"{kind} {text}" for kind, text in records)


def marked(owner: str, strings: Collection[str]) -> frozenset[Record] | None:
    """The records that the mark is for; None when it is another's, or no mark."""
    first, *others = strings or ("",)
    if first != owner:
        return None
    parts = [each.partition(" ") for each in others]
    return frozenset((kind, text) for kind, _, text in parts if kind in ("A", "AAAA", "PTR"))
