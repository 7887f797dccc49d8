"""Pools and leases, asked for by a program, and what is done with addresses by hand."""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.core.states import State
from mooring.core.views import LeaseRow, PoolDetail, PoolRow
from mooring.wire.api import ChangesReply, FixContainer, Hold, MoveLease, Release, Reserve


class Pools(Asking):
    """The subnets from which addresses are assigned."""

    def pools(self, *, network: str = "", space: str = "", subnet: str = "", full: bool | None = None) -> list[PoolRow]:
        """The pools that match everything given, by address space, family and subnet. full: whether nothing is left."""
        return self._rows(PoolRow, "pools", {"network": network, "space": space, "subnet": subnet, "full": full})

    def pool(self, which: str) -> list[PoolDetail]:
        """Pools by ID or a prefix of it, by subnet (in every address space that has it), or by network."""
        return self._get(list[PoolDetail], "pools", which)


class Leases(Asking):
    """Addresses that are not free. space: the address space, "" for the only one that has the address. dry_run:
    nothing is done, only tried."""

    def leases(
        self, *, pool: str = "", network: str = "", space: str = "", state: State | None = None, text: str = "",
        fixed: bool = False, key: str = "", container: str = "", mac: str = "",
    ) -> list[LeaseRow]:  # fmt: skip
        """The leases that match everything given, by address space, family and address.

        pool, network: an ID or a prefix of it, a name or subnet. text: in the address, MAC, name, owner, note or key.
        fixed: only those that belong to somebody who may be away. key: what a fixed one belongs to. container: the name
        of the one that has or holds it, or a prefix of its ID.
        """
        return self._rows(LeaseRow, "leases", {
            "pool": pool, "network": network, "space": space, "state": state, "text": text, "fixed": fixed or None,
            "key": key, "container": container, "mac": mac,
        })  # fmt: skip

    def lease(self, address: str) -> list[LeaseRow]:
        """The leases of the address, one for each address space that has one."""
        return self._get(list[LeaseRow], "leases", address)

    def reserve(
        self, first: str, last: str = "", *, space: str = "", whom: str = "", note: str = "",
        until: float | None = None, dry_run: bool = False,
    ) -> ChangesReply:  # fmt: skip
        """Addresses are kept for somebody; all of them, or none if one is in use.

        last: "" for one address. whom: a container's name, a pattern for one, or labels; "" is nobody. until: seconds
        since the epoch, None for never.
        """
        return self._post(ChangesReply, "leases/reserve", Reserve(first, last, space, whom, note, until, dry_run))

    def release(self, address: str, *, space: str = "", force: bool = False, dry_run: bool = False) -> ChangesReply:
        """Nobody has the address by a reservation, a cooldown, or a key without a container.

        force: an idle one goes although its container is there.
        """
        return self._post(ChangesReply, "leases/release", Release(address, space, force, dry_run))

    def hold(
        self, address: str, *, space: str = "", key: str = "", hold: float | None = None, dry_run: bool = False
    ) -> ChangesReply:
        """The address is fixed for the container that has it, or for the key. hold: seconds that the key keeps it."""
        return self._post(ChangesReply, "leases/hold", Hold(address, space, key, hold, dry_run))

    def move(self, what: str, *, space: str = "", force: bool = False, dry_run: bool = False) -> ChangesReply:
        """The address, or what the key has, comes to this host from another one of the cluster.

        force: also from a host that is not heard and may still use it.
        """
        return self._post(ChangesReply, "leases/move", MoveLease(what, space, force, dry_run))

    def fix_container(self, container: str, *, dry_run: bool = False) -> ChangesReply:
        """The container asks for its fixed addresses at its next start; one that runs is off a network for a moment."""
        return self._post(ChangesReply, "containers/fix", FixContainer(container, dry_run))
