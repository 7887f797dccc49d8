"""The address model against a naive one: any order of calls, failures, cancellations and restarts, IPv4 and IPv6.

The naive model is a dictionary of who has which address. The real thing is Ipam over the store in memory, which
survives restarts as a disk would.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from mooring.core.addresses import address_of
from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, NotFound, Unavailable
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Subnet
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.services.ipam.allocator import IpamPolicy
from mooring.testing.memory_store import When
from mooring.wire import stored
from tests.services.ipam_hosts import Host

SUBNETS = [
    "10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/22", "10.0.0.0/28", "10.0.0.0/29", "10.0.0.8/30", "10.0.0.16/31",
    "10.0.0.32/32", "fd00::/64", "fd00::/120", "fd00::100/126", "fd00::200/127", "fd00::300/128",
]  # fmt: skip
SPACES = st.sampled_from(["one", "two"])
NAMES = st.sampled_from(["", "web", "db", "cache"])


def give_free(subnet: Subnet) -> list[int]:
    """The first usable numbers of the subnet, at most a few hundred, by the textbook."""
    first, size = int(subnet.network_address), subnet.num_addresses
    if size <= 2:
        return list(range(first, first + size))
    return list(range(first + 1, first + min(size - (subnet.version == 4), 300)))


class AllocationMachine(RuleBasedStateMachine):
    """held: who has what, by (space, address): the pool's id and "dynamic", "gateway" or "auxiliary"."""

    pools = Bundle("pools")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.host = Host(IpamPolicy())
        self.known: dict[str, tuple[str, Subnet]] = {}
        self.held: dict[tuple[str, Address], tuple[str, str]] = {}
        self.owners: dict[tuple[str, Address], str] = {}

    def teardown(self) -> None:
        """Close the loop."""
        self.runner.close()

    def run(self, work: Awaitable[Any]) -> Any:
        """The result, or the fault that was raised."""

        async def guarded() -> Any:
            try:
                return await work
            except Fault as fault:
                return fault

        return self.runner.run(guarded())

    @rule(target=pools, text=st.sampled_from(SUBNETS), space=SPACES, gateway=st.booleans())
    def make_pool(self, text: str, space: str, gateway: bool) -> Any:
        """A pool is made unless it overlaps one of its space; its gateway is the first usable address."""
        subnet = ip_network(text)
        options = {} if gateway else {"gateway": "none"}
        got = self.run(self.host.ipam.request_pool(PoolRequest(space, subnet.version, subnet, options=options)))
        others = [other for where, other in self.known.values() if where == space and other.version == subnet.version]
        if any(subnet.overlaps(other) for other in others):
            assert isinstance(got, Conflict)
            return multiple()
        assert got.pool not in self.known
        self.known[got.pool] = (space, subnet)
        if gateway:
            assert int(got.gateway.ip) == give_free(subnet)[0]
            self.held[space, got.gateway.ip] = (got.pool, "gateway")
        return got.pool

    @rule(pool=consumes(pools))
    def release_pool(self, pool: str) -> None:
        """Everything of the pool is gone, and of no other; twice is fine."""
        for _ in range(2):
            assert self.run(self.host.ipam.release_pool(pool)) is None
        self.known.pop(pool, None)
        for where in [where for where, (holder, _) in self.held.items() if holder == pool]:
            self.forget(where)
        assert isinstance(self.run(self.host.ask(pool)), NotFound)

    def forget(self, where: tuple[str, Address]) -> None:
        """Nobody has the address."""
        self.held.pop(where, None)
        self.owners.pop(where, None)

    def free(self, pool: str) -> bool:
        """Whether the pool, by the model, has an address left."""
        space, subnet = self.known[pool]
        numbers = (address_of(subnet.version, number) for number in give_free(subnet))
        return any((space, address) not in self.held for address in numbers)

    def check_given(self, pool: str, text: str, name: str) -> None:
        """The answer is an address of the pool that nobody had, or the same owner's of before."""
        space, subnet = self.known[pool]
        address = address_of(subnet.version, int(ip_network(text.partition("/")[0]).network_address))
        assert text.endswith(f"/{subnet.prefixlen}")
        assert address in subnet
        if subnet.num_addresses > 2:
            assert address != subnet.network_address
            assert subnet.version == 6 or address != subnet.broadcast_address
        where = (space, address)
        if where in self.held:
            assert name
            assert self.held[where] == (pool, "dynamic")
            assert self.owners[where] == name
        self.held[where] = (pool, "dynamic")
        self.owners[where] = name

    @rule(pool=pools, name=NAMES)
    def allocate(self, pool: str, name: str) -> None:
        """An address that nobody has; Exhausted exactly when there is none."""
        got = self.run(self.host.ask(pool, name=name))
        again = bool(name) and any(
            holder == (pool, "dynamic") and self.owners.get(where) == name for where, holder in self.held.items()
        )
        if isinstance(got, Exhausted):
            assert not again
            assert not self.free(pool)
        else:
            self.check_given(pool, got, name)

    @rule(pool=pools, many=st.integers(2, 40))
    def allocate_many_at_once(self, pool: str, many: int) -> None:
        """As many different ones as there are."""

        async def burst() -> list[Any]:
            return await asyncio.gather(*(self.host.ask(pool) for _ in range(many)), return_exceptions=True)

        answers = self.runner.run(burst())
        for answer in answers:
            if isinstance(answer, str):
                self.check_given(pool, answer, "")
            else:
                assert isinstance(answer, Exhausted)
        if any(isinstance(answer, Exhausted) for answer in answers):
            assert not self.free(pool)

    @rule(pool=pools, at=st.integers(0, 40), name=NAMES, role=st.sampled_from(Role))
    def claim(self, pool: str, at: int, name: str, role: Role) -> None:
        """Who names an address gets it if nobody has it, or it is theirs already; else nothing changes."""
        space, subnet = self.known[pool]
        number = int(subnet.network_address) + at
        address = address_of(subnet.version, number)
        got = self.run(self.host.ipam.request_address(AddressRequest(pool, role, address, name=name)))
        where = (space, address)
        before = self.held.get(where)
        kind = {Role.ENDPOINT: "dynamic", Role.GATEWAY: "gateway", Role.AUXILIARY: "auxiliary"}[role]
        if number not in give_free(subnet):
            assert isinstance(got, BadRequest)
        elif before is None or (before == (pool, kind) and (role is not Role.ENDPOINT or self.is_owner(where, name))):
            assert str(got) == f"{address}/{subnet.prefixlen}"
            if role is Role.GATEWAY:
                for old in [w for w, holder in self.held.items() if holder == (pool, "gateway")]:
                    self.forget(old)
            self.held[where] = (pool, kind)
            if role is Role.ENDPOINT:
                self.owners[where] = name
        else:
            assert isinstance(got, Conflict)

    def is_owner(self, where: tuple[str, Address], name: str) -> bool:
        """Whether the name, if any, has the address."""
        return bool(name) and self.owners.get(where) == name

    @rule(data=st.data(), wait=st.sampled_from([0.0, 10.0, 61.0]))
    def release(self, data: st.DataObject, wait: float) -> None:
        """What is held is given up; releasing it again, or through another space's pool, changes nothing."""
        if self.held:
            space, address = data.draw(st.sampled_from(sorted(self.held, key=str)))
            pool, _ = self.held[space, address]
            for _ in range(2):
                assert self.run(self.host.ipam.release_address(pool, address)) is None
            self.forget((space, address))
        self.host.clock.advance(wait)

    @rule()
    def sweep(self) -> None:
        """Ends what is over; who has what stays as it is (the invariant)."""
        assert not isinstance(self.run(self.host.ipam.sweep()), Fault)

    @rule()
    def restart(self) -> None:
        """Nothing is lost and nothing comes back."""
        self.run(self.host.restart())

    @rule(pool=pools, when=st.sampled_from(When))
    def fail(self, pool: str, when: When) -> None:
        """A commit fails: nothing is answered, and what was given before stays; a retry or a restart goes on."""
        self.host.store.fail_next(when)
        got = self.run(self.host.ask(pool))
        if isinstance(got, Exhausted):
            self.host.store._faults.clear()
        else:
            assert isinstance(got, Unavailable)
            self.adopt()

    @rule(pool=pools, turns=st.integers(0, 4))
    def cancel(self, pool: str, turns: int) -> None:
        """The caller hangs up at any moment: one lease more or none, and never one less."""

        async def hang_up() -> None:
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(self.quiet(lambda: self.host.ask(pool)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()

        self.runner.run(hang_up())
        self.adopt()

    async def quiet(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do it; a full pool is no matter."""
        with contextlib.suppress(Exhausted):
            await work()

    def adopt(self) -> None:
        """At most one lease is in the store of which nobody was told."""
        extra = [lease for lease in self.stored() if (lease.space, lease.address) not in self.held]
        assert len(extra) <= 1
        for lease in extra:
            assert lease.state is State.DYNAMIC
            self.held[lease.space, lease.address] = (lease.pool, "dynamic")
            self.owners[lease.space, lease.address] = ""

    def stored(self) -> list[Lease]:
        """What the store has of addresses that are not free."""
        records = [stored.decode(key, value) for key, value in self.host.store.records.items()]
        return [each for each in records if isinstance(each, Lease) and each.state is not State.COOLING]

    @invariant()
    def store_and_model_agree(self) -> None:
        """The store has exactly the pools and leases that were answered, each address in one state."""
        assert {(each.space, each.address): (each.pool, each.state.value) for each in self.stored()} == self.held
        keys = {key for key in self.host.store.records if key.startswith("pool/")}
        assert keys == {stored.pool_key(pool) for pool in self.known}

    @invariant()
    def mirror_and_store_agree(self) -> None:
        """What the service reads is what is stored; no record is left of what is gone."""
        records = [stored.decode(key, value) for key, value in self.host.store.records.items()]
        leases = [each for each in records if isinstance(each, Lease)]
        mirrored = list(self.host.cache.every(Lease))
        assert sorted(leases, key=stored.key_of) == sorted(mirrored, key=stored.key_of)
        assert all(lease.pool in self.known for lease in leases)
        assert {pool.id for pool in self.host.cache.every(Pool)} == set(self.known)

    @invariant()
    def counts_are_of_what_there_is(self) -> None:
        """How many leases of a pool there are in each state follows the records."""
        for pool in self.known:
            states = Counter(lease.state for lease in self.host.cache.every(Lease) if lease.pool == pool)
            assert +self.host.ipam.index.counts(pool) == states


TestAllocation = AllocationMachine.TestCase
TestAllocation.settings = settings(
    max_examples=3 * settings().max_examples // 10, stateful_step_count=30, deadline=None
)
