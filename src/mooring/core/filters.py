"""Which rows of a list are meant, and how many of them at once: the parameters of every list of the API.

Rules: a row must match everything that is given; a filter is only ever added; a page goes on where the one before
ended, whatever came and went meanwhile, since it is told where that was, and not how far.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from mooring.core.states import PortState, State

R = TypeVar("R")

# Rows of the largest page: what can be made and sent in about half a second.
MOST = 10_000


def said(text: str) -> Meta:
    """What a parameter means, for the API's description."""
    return Meta(description=text)


class SubnetPoolOrigin(Enum):
    """Where a subnet pool is from: the configuration, the store, or neither any more."""

    CONFIGURATION = "configuration"
    STORED = "stored"
    DROPPED = "dropped"


class Paging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """limit: rows, None for all of them. after: where the page before ended, as its answer says; "" for the first."""

    limit: Annotated[int, Meta(ge=1, le=MOST), said("how many rows at once; all, if it is not given")] | None = None
    after: Annotated[str, said("where the page before ended: use the target of its Link header")] = ""


class NetworkMode(Enum):
    """How a network is built, as `-o mode=` says it."""

    BRIDGE = "bridge"
    VXLAN = "vxlan"
    HANDOFF = "handoff"
    NULL = "null"


class NetworkFilter(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Networks that match everything that is given."""

    name: Annotated[str, said("any part of the name, as in Docker's filters")] = ""
    subnet: Annotated[str, said("one of its subnets is this one")] = ""
    mode: Annotated[NetworkMode, said("how it is built")] | None = None
    space: Annotated[str, said("one of its subnets is in this address space")] = ""


class PoolFilter(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pools that match everything that is given."""

    network: Annotated[str, said("the network's ID, a prefix of it, its name or subnet")] = ""
    space: Annotated[str, said("the address space")] = ""
    subnet: Annotated[str, said("the pool's subnet")] = ""
    full: Annotated[bool, said("whether no address is left")] | None = None


class TenantFilter(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tenants that match everything that is given."""

    subnet: Annotated[str, said("one of its networks has this subnet")] = ""
    separate: Annotated[bool, said("whether it has a routing domain")] | None = None


class ClusterHostFilter(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hosts of the cluster that match everything that is given."""

    heard: Annotated[bool, said("whether it is heard")] | None = None


class SubnetPoolFilter(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Subnet pools that match everything that is given."""

    space: Annotated[str, said("the address space")] = ""
    family: Annotated[int, Meta(ge=4, le=6), said("4 or 6")] | None = None
    origin: Annotated[SubnetPoolOrigin, said("where it is from")] | None = None


class LeaseFilter(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leases that match everything that is given."""

    pool: Annotated[str, said("the pool's ID, a prefix of it, its subnet, or its network")] = ""
    network: Annotated[str, said("the network's ID, a prefix of it, its name or subnet")] = ""
    space: Annotated[str, said("the address space")] = ""
    state: Annotated[State, said("the lease's state")] | None = None
    text: Annotated[str, said("in the address, MAC, name, owner, note or key")] = ""
    fixed: Annotated[bool, said("only those that belong to somebody who may be away")] = False
    key: Annotated[str, said("what a fixed one belongs to, with its kind (key:db) or without (db)")] = ""
    container: Annotated[str, said("the name of the container that has or holds it, or a prefix of its ID")] = ""
    mac: Annotated[str, said("the MAC address")] = ""


class DnsFilter(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names that match everything that is given."""

    name: Annotated[str, said("any part of the complete name")] = ""
    network: Annotated[str, said("the network's ID, a prefix of it, its name or subnet")] = ""
    address: Annotated[str, said("one of its addresses")] = ""
    origin: Annotated[str, said("container, or stored for an operator's record")] = ""
    host: Annotated[str, said("the name of the host of the cluster that has it")] = ""


class DnsQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of the DNS server, and by whom."""

    name: Annotated[str, said("the name, or an address for its name")]
    type: Annotated[str, said("A, AAAA, PTR or SRV; A, if it is not given")] = ""
    network: Annotated[str, said("who asks is in this network; the host, if it is not given")] = ""


class InSubnet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In which subnet addresses are meant."""

    network: Annotated[str, said("the network's ID, a prefix of it, its name or subnet")] = ""
    space: Annotated[str, said("the address space")] = ""


class Allocating(InSubnet, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an address is allocated for an id."""

    check_alive: Annotated[bool, said("it is that of a running container, and ends with it")] = msgspec.field(
        default=False, name="check-alive"
    )
    wait: Annotated[
        float,
        Meta(ge=0, le=86_400 * 365),
        said("seconds to wait for an address while there is none, while the client is there"),
    ] = 0.0


class Claiming(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an address is claimed for an id."""

    space: Annotated[str, said("the address space")] = ""
    check_alive: Annotated[bool, said("it is that of a running container, and ends with it")] = msgspec.field(
        default=False, name="check-alive"
    )
    no_error_on_unknown: Annotated[bool, said("an address of no subnet of Mooring's is no error")] = msgspec.field(
        default=False, name="noErrorOnUnknown"
    )


class Releasing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which addresses of an id are released."""

    space: Annotated[str, said("the address space")] = ""


class PortFilter(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Network ports that match everything that is given."""

    network: Annotated[str, said("the network's ID, a prefix of it, or its name")] = ""
    tenant: Annotated[str, said("whose network it is in, `default` for nobody's in particular")] = ""
    state: Annotated[PortState, said("whether an endpoint has it")] | None = None
    name: Annotated[str, said("any part of the name")] = ""
    mac: Annotated[str, said("the MAC address")] = ""
    address: Annotated[str, said("one of its addresses")] = ""


class DenyFilter(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries of the deny list that match everything that is given."""

    subnet: Annotated[str, said("the entry overlaps this subnet")] = ""
    origin: Annotated[str, said("`configuration` or `stored`")] = ""


class VnicFilter(Paging, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """VNICs that match everything that is given."""

    tenant: Annotated[str, said("the tenant")] = ""
    subnet: Annotated[str, said("the subnet")] = ""
    instance: Annotated[str, said("whose it is, as the launcher said")] = ""


class VnicOwner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose a VNIC is."""

    tenant: Annotated[str, said("the tenant, if several have the address")] = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some rows of a list, in its order. after: what the next page is asked for with, "" when there is none."""

    rows: list[R]
    after: str = ""
