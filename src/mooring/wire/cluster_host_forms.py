"""What hosts keep of and in a cluster, as JSON with a version number `v`: the cluster's record, those of hosts, and the
file in which a host has its membership.

Rules: as for records in the store (mooring.wire.forms): a form never changes once released, a newer one is refused.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from mooring.core.cluster_hosts import ClusterAccess, ClusterHost, ClusterRecord, Membership, TunnelEnd, Underlay
from mooring.core.faults import Unavailable
from mooring.wire.forms.elements import Stored

T = TypeVar("T", bound=Stored)


class ClusterV1(Stored, tag=1):
    """A cluster."""

    id: str
    made: float
    by: str


class HostV1(Stored, tag=1):
    """A host. tunnel_keys: none where it has no WireGuard. vxlan_port: 0 where it is not said."""

    id: str
    name: str
    machine: str
    boot: str
    address: str
    link: str
    mtu: int
    version: str
    joined: float
    tunnel_keys: tuple[str, ...] = ()
    tunnel_port: int = 0
    drained: bool = False
    vxlan_port: int = 0


class MembershipV1(Stored, tag=1):
    """A host's membership. key, password: secret."""

    cluster: str
    endpoints: tuple[str, ...]
    prefix: str
    host: str
    name: str
    machine: str
    underlay: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    user: str = ""
    password: str = ""


def encode_cluster(record: ClusterRecord) -> bytes:
    """The record of a cluster, in the newest form, as the others below."""
    return msgspec.json.encode(ClusterV1(id=record.id, made=record.made, by=record.by))


def decode_cluster(data: bytes) -> ClusterRecord:
    """Read it. Raises Unavailable when this version cannot, as the others below."""
    form = _read(data, ClusterV1, "the cluster's record")
    return ClusterRecord(id=form.id, made=form.made, by=form.by)


def encode_host(host: ClusterHost) -> bytes:
    """The record of a host."""
    form = HostV1(
        id=host.id, name=host.name, machine=host.machine, boot=host.boot, address=host.underlay.address,
        link=host.underlay.link, mtu=host.underlay.mtu, version=host.version, joined=host.joined,
        tunnel_keys=host.tunnel.keys if host.tunnel is not None else (),
        tunnel_port=host.tunnel.port if host.tunnel is not None else 0,
        drained=host.drained, vxlan_port=host.vxlan_port,
    )  # fmt: skip
    return msgspec.json.encode(form)


def decode_host(data: bytes) -> ClusterHost:
    """Read it."""
    form = _read(data, HostV1, "the record of a host of the cluster")
    return ClusterHost(
        id=form.id, name=form.name, machine=form.machine, boot=form.boot,
        underlay=Underlay(form.address, form.link, form.mtu), version=form.version, joined=form.joined,
        tunnel=TunnelEnd(form.tunnel_keys, form.tunnel_port) if form.tunnel_keys else None,
        drained=form.drained, vxlan_port=form.vxlan_port,
    )  # fmt: skip


def encode_membership(membership: Membership) -> bytes:
    """The file of a host that is in a cluster."""
    access = {name: getattr(membership.access, name) for name in ClusterAccess.__slots__}
    form = MembershipV1(
        **access, host=membership.host, name=membership.name, machine=membership.machine, underlay=membership.underlay
    )
    return msgspec.json.encode(form)


def decode_membership(data: bytes) -> Membership:
    """Read it."""
    form = _read(data, MembershipV1, "the file of this host's membership in a cluster")
    access = ClusterAccess(**{name: getattr(form, name) for name in ClusterAccess.__slots__})
    return Membership(access=access, host=form.host, name=form.name, machine=form.machine, underlay=form.underlay)


def _read(data: bytes, form: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(data, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(f"{what} cannot be read: {error}", hint="was it written by a newer Mooring?") from None
