"""Addresses and subnets of networks whose interfaces a launcher makes.

Rules: whoever asks for the subnet of VNICs that have no network yet, and names no tenant, asks for theirs; in such a
network only the addresses of VNICs are given.
"""

from __future__ import annotations

from dataclasses import replace

from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.networks import DEFAULT_SPACES, Network
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.core.vnics import Group, group_of
from mooring.services.records.record_cache import RecordCache
from mooring.services.records.vnic_index import VnicIndex

# Marks a pool whose tenant was found by an announcement, so that its network has to confirm that it is for the VNICs.
ANNOUNCED = "mooring.announced"


class VnicAddresses:
    """`of_tenant` and `of_vnic`. Build it before the cache is loaded."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache
        self.index = VnicIndex(cache)

    def of_tenant(self, request: PoolRequest) -> PoolRequest:
        """The request, in the tenant's space whose VNICs are announced for the subnet. Raises Conflict when that may be
        several."""
        if request.subnet is None or "tenant" in request.options or request.space not in DEFAULT_SPACES:
            return request
        announced = self.index.announced(request.subnet)
        if not announced or announced == [Group("", request.subnet)]:
            return request
        if len(announced) > 1:
            tenants = ", ".join(sorted(group.tenant or "default" for group in announced))
            raise Conflict(
                f"subnet {request.subnet} is announced for VNICs of several tenants: {tenants}",
                hint="say whose network it is with --ipam-opt tenant=",
            )
        options = {**request.options, "tenant": announced[0].tenant, ANNOUNCED: "yes"}
        return replace(request, space=announced[0].tenant, options=options)

    def of_vnic(self, request: AddressRequest) -> AddressRequest:
        """The request, for the address of the VNIC with the MAC if none is named. Raises BadRequest for an address that
        must be named, NotFound for one that no VNIC has, Conflict for another MAC than the VNIC's, or to set aside what
        is a VNIC's."""
        if request.role is Role.AUXILIARY:
            self._check_aside(request)
        network = network_of_vnics(self._cache, request.pool) if request.role is Role.ENDPOINT else None
        group = group_of(network) if network is not None else None
        if network is None or group is None:
            return request
        what = f"network {network.id[:12]} has no addresses but those of VNICs"
        if request.address is None:
            vnic = self.index.with_mac(group, request.mac) if request.mac else None
            if vnic is None:
                raise BadRequest(what, hint="give one of them with --ip and --mac-address; see `mooring vnic ls`")
            return replace(request, address=vnic.address)
        vnic = self.index.at(group, request.address)
        if vnic is None:
            raise no_vnic(group, f"{request.address}")
        vnic.must_have(request.mac)
        return request

    def _check_aside(self, request: AddressRequest) -> None:
        pool: Pool | None = self._cache.pool(request.pool)
        if pool is None or request.address is None:
            return
        tenant = "" if pool.space in DEFAULT_SPACES else pool.space
        if (vnic := self.index.at(Group(tenant, pool.subnet), request.address)) is not None:
            hint = f"leave out that --aux-address, or `mooring vnic rm {vnic.id}` first"
            raise Conflict(f"address {request.address} is not free", holder=str(vnic), hint=hint)


def network_of_vnics(cache: RecordCache, pool_id: str) -> Network | None:
    """The network of mode handoff that has the pool, None when none has."""
    pool: Pool | None = cache.pool(pool_id)
    network = cache.network(pool.network) if pool is not None and pool.network else None
    return network if network is not None and network.handed_over else None


def check_no_vnics(cache: RecordCache, pool: Pool) -> None:
    """Raises BadRequest for a pool whose addresses are VNICs' alone: nothing else is done with them by hand."""
    if (network := network_of_vnics(cache, pool.id)) is not None:
        raise BadRequest(
            f"network {network.name or network.id[:12]} gives the addresses of VNICs alone",
            hint="`mooring vnic create` makes one, which keeps its address until `mooring vnic rm`",
        )


def no_vnic(group: Group, address: str) -> NotFound:
    """The refusal of an address that no VNIC has."""
    tenant = f" --tenant {group.tenant}" if group.tenant else ""
    return NotFound(
        f"no VNIC of {group} has address {address}",
        hint=f"make it first: `mooring vnic create{tenant} --subnet {group.subnet} --address {address}`",
    )
