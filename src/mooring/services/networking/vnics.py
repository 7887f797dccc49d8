"""Making and ending VNICs, as a launcher asks for it.

Rules: the record is written before the kernel is told and goes before the kernel cleans up, so what a crash leaves half
made is made whole by the next repair pass; a call that fails or is cancelled leaves nothing; whoever wants the same one
waits, whoever wants another does not; an adopted link is never changed and never deleted.

A network is asked for without a tenant by those who only know the subnet, so the VNICs of one tenant at a time may wait
for a network of that subnet: the first VNIC of another tenant comes when that network has been made.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from mooring.core.endpoints import State
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound
from mooring.core.networks import Network
from mooring.core.plumbing import HostLink, Remove, plan
from mooring.core.vnics import Group, Vnic, VnicSpec, bridge_facts, bridge_members, vnic_facts
from mooring.ports import Kernel
from mooring.services.ipam.allocator import Ipam
from mooring.services.networking.vnic_admission import VnicAdmission
from mooring.services.records.endpoint_index import Records
from mooring.services.records.record_cache import Record

# Seconds that the first VNIC of a tenant waits for the network of another one.
WAIT = 10.0
# Links that are no container's, whoever may have made them. Of an ipvlan nobody can set the MAC, not even to what it
# is, and engines do (moby/libnetwork#1559).
_NOT_ADOPTED = frozenset({"bridge", "bond", "team", "openvswitch", "ipvlan", "ipvtap"})


class Vnics:
    """`create` and `destroy`."""

    def __init__(self, records: Records, ipam: Ipam, kernel: Kernel) -> None:
        self._cache, self._endpoint_index = records.cache, records.endpoint_index
        self._clock, self._locks = records.clock, records.locks
        self.index = ipam.vnics
        self._containers = ipam.index
        self._kernel = kernel
        self._admission = VnicAdmission(records, ipam)
        self._news = asyncio.Event()
        # Groups whose bridge this process has made and not yet deleted.
        self._built: set[Group] = set()
        records.cache.listen(self._follow, Network, Vnic)

    async def create(self, spec: VnicSpec, wait: float = WAIT) -> tuple[Vnic, bool]:
        """The VNIC is there, and its bridge; whether it was not before. wait: seconds, for another tenant's network.

        Raises BadRequest for what cannot be, Conflict when it is there and otherwise, when its address, its MAC, a link
        of its name or the link to adopt is somebody else's, or the wait was too short; Conflict and Forbidden for what
        its network cannot have; NotFound for a link to adopt that is not there; Unavailable. On a fault nothing is
        left.
        """
        group = spec.group
        wanted = spec.vnic(self._clock.now())
        async with self._locks.hold(f"vnic {wanted.id}"):
            known = self.index.at(group, spec.address)
            if known is not None:
                if found := spec.differences(known):
                    raise Conflict(
                        f"{known} is there already, with {'; '.join(found)}", hint=f"`mooring vnic rm {known.id}` first"
                    )
                async with self._locks.share(group.bridge):
                    await self._realise(known)
                return known, False
            await self._admission.check(spec)
            if spec.adopt:
                seen = await self._adoptable(spec)
                wanted = spec.vnic(wanted.created, seen.mac, seen.mtu)
            try:
                async with self._locks.share(group.bridge):
                    await self._record(wanted, wait)
                    await self._realise(wanted)
            except BaseException:
                if self.index.at(group, spec.address) == wanted:
                    await self._end(wanted)
                raise
            return wanted, True

    async def destroy(self, vnic: Vnic, force: bool = False, dry: bool = False) -> bool:
        """The VNIC is gone, its interface soon after, and the bridge with the last one; an adopted link stays. Whether
        it was there.

        Raises Conflict while a container has it. force: also then, and the container loses it, unless it was adopted.
        dry: nothing is done, and the answer is the same.
        """
        async with self._locks.hold(f"vnic {vnic.id}"):
            known = self.index.at(vnic.group, vnic.address)
            if known is None:
                return False
            if not force:
                await self._must_be_idle(known)
            if not dry:
                await self._end(known)
            return True

    def user(self, vnic: Vnic) -> str:
        """The container that has it, in words; "" for none that is on record."""
        network = self.index.network(vnic.group)
        endpoint = self._endpoint_index.at(network.id, vnic.address) if network is not None else None
        if network is None or endpoint is None or endpoint.state is not State.ATTACHED:
            return ""
        return self._containers.called(network.id, endpoint.id)

    async def _must_be_idle(self, vnic: Vnic) -> None:
        user = self.user(vnic)
        alive = bool(user) if vnic.adopted else await self._kernel.is_lived_in(vnic.host_end)
        if alive:
            raise Conflict(
                f"{vnic} is in use", holder=user or "a container that is not on record",
                hint="remove the container first, or use --force, which takes the interface from it; was it removed "
                "while Mooring was down, `mooring doctor --fix` frees the VNIC",
            )  # fmt: skip

    async def _realise(self, vnic: Vnic) -> None:
        """The kernel has it. Raises Conflict, Unavailable."""
        if vnic.adopted:
            return
        group = vnic.group
        try:
            if group in self._built:
                with suppress(Fault):  # somebody may have taken the bridge or our rules away since
                    await self._kernel.apply(plan(vnic_facts(vnic), ()))
                    return
            await self._kernel.apply(plan(bridge_facts(group) | vnic_facts(vnic), ()))
            self._built.add(group)
        except Conflict as fault:
            raise Conflict(fault.what, holder=fault.holder, hint="rename or remove that interface") from fault

    async def _record(self, vnic: Vnic, wait: float) -> None:
        """The VNIC is on record; nobody else has its MAC, and no other tenant waits for a network of the subnet."""
        async with self._locks.hold(f"vnic MAC {vnic.mac} of {vnic.group}"):
            other = self.index.with_mac(vnic.group, vnic.mac)
            if other is not None:
                raise Conflict(f"MAC {vnic.mac} is in use in {vnic.group}", holder=str(other))
            async with self._turn(vnic.group, wait):
                await self._cache.commit(put=[vnic])

    @asynccontextmanager
    async def _turn(self, group: Group, wait: float) -> AsyncIterator[None]:
        """Whoever is inside is the only one to announce a network of the subnet."""
        if self.index.of_group(group) or self.index.network(group) is not None:
            yield
            return
        until = asyncio.get_running_loop().time() + wait
        while True:
            async with self._locks.hold(f"VNICs of {group.subnet}"):
                others = [each for each in self.index.announced(group.subnet) if each != group]
                news = self._news
                if not others or self.index.of_group(group):
                    yield
                    return
            try:
                async with asyncio.timeout_at(until):
                    await news.wait()
            except TimeoutError:
                first = min(self.index.of_group(others[0]), key=lambda vnic: vnic.created, default=None)
                raise Conflict(
                    f"{others[0]} waits for its Docker network, and one at a time can",
                    holder=str(first or others[0]),
                    hint=f"create that network first: `mooring vnic inspect {first.id if first else ''}` says how",
                ) from None

    async def _adoptable(self, spec: VnicSpec) -> HostLink:
        """The link, which may be adopted. Raises NotFound, BadRequest, Conflict."""
        name = spec.adopt
        seen = await self._kernel.link(name)
        if seen is None:
            raise NotFound(f"there is no interface {name} in the host's namespace", hint="see `ip link`")
        if name == "lo" or seen.kind in _NOT_ADOPTED:
            raise BadRequest(f"interface {name} ({seen.kind or 'loopback'}) cannot be in a container")
        if not seen.mac.replace(":", "").strip("0"):
            raise BadRequest(f"interface {name} has no MAC", hint="give it one with `ip link set`, if it can have one")
        if seen.ours:
            raise Conflict(f"interface {name} is Mooring's own", hint="leave out --adopt to have one made")
        if (other := self.index.that_adopted(name)) is not None:
            raise Conflict(f"interface {name} is adopted already", holder=str(other))
        if seen.port:
            raise Conflict(f"interface {name} is a port of a bridge", hint="adopt the other end of the pair")
        if seen.addresses:
            used = ", ".join(map(str, seen.addresses[:3]))
            raise Conflict(f"interface {name} has an address of this host: {used}", hint="remove it from there first")
        if spec.mac and spec.mac != seen.mac:
            raise Conflict(f"interface {name} has MAC {seen.mac}, not {spec.mac}", hint="leave out --mac to take it")
        if spec.mtu is not None and spec.mtu != seen.mtu:
            raise Conflict(f"interface {name} has MTU {seen.mtu}, not {spec.mtu}", hint="leave out --mtu to take it")
        return seen

    async def _end(self, vnic: Vnic) -> None:
        await self._cache.commit(delete=[vnic])
        if vnic.adopted:
            return
        await self._kernel.discard([vnic.host_end])
        group = vnic.group
        if self._is_bridged(group):
            return
        async with self._locks.hold(group.bridge):  # who makes one meanwhile needs the bridge
            if not self._is_bridged(group):
                self._built.discard(group)
                await self._kernel.discard([group.bridge])
                await self._kernel.apply([Remove(member) for member in sorted(bridge_members(group), key=str)])

    def _is_bridged(self, group: Group) -> bool:
        return any(not each.adopted for each in self.index.of_group(group))

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        """Whoever waits looks again."""
        if isinstance(before or after, Network | Vnic):
            self._news.set()
            self._news = asyncio.Event()
