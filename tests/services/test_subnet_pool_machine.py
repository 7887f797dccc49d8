"""Operators and networks at once, in any order, with restarts: what was answered is what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_network

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mooring.core.faults import Fault
from mooring.core.networks import Subnet, overlap
from mooring.core.pools import Pool, SubnetPool
from mooring.core.requests import PoolGrant
from mooring.core.subnet_pools import Alteration, covers
from tests.services.ipam_hosts import Host
from tests.services.test_subnet_pools import carve


class Machine(RuleBasedStateMachine):
    """Operators and networks at once, against a set of names and a list of subnets."""

    @initialize()
    def begin(self) -> None:
        """An empty host."""
        self.loop = asyncio.new_event_loop()
        self.host = Host()
        self.pools: dict[str, set[Subnet]] = {}
        self.nets: dict[str, tuple[str, Subnet]] = {}

    def teardown(self) -> None:
        """The loop goes."""
        if hasattr(self, "loop"):
            self.loop.close()

    def run(self, call: object) -> object:
        """What it answers, or its fault."""
        try:
            return self.loop.run_until_complete(call)  # type: ignore[arg-type]
        except Fault as fault:
            return fault

    NAMES = st.sampled_from("abc")
    PARTS = st.builds(lambda n: ip_network((0x0A400000 + (n << 8), 24)), st.integers(0, 7))

    @rule(name=NAMES, part=PARTS)
    def create(self, name: str, part: Subnet) -> None:
        """As if by the command."""
        answer = self.run(self.host.ipam.subnet_pools.create(name, "default", [part], Alteration(length=26), False))
        taken = set().union(*self.pools.values()) if self.pools else set()
        if isinstance(answer, Fault):
            assert name in self.pools or part in taken
        else:
            assert answer == [] if name in self.pools else part not in taken
            self.pools.setdefault(name, {part})

    @rule(name=NAMES, add=PARTS, remove=PARTS)
    def alter(self, name: str, add: Subnet, remove: Subnet) -> None:
        """One prefix more, one less."""
        wish = Alteration(add=(add,), remove=(remove,) if remove != add else ())
        answer = self.run(self.host.ipam.subnet_pools.alter(name, wish, False))
        if not isinstance(answer, Fault):
            self.pools[name] = (self.pools[name] | {add}) - set(wish.remove)

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        """It goes exactly when nobody has a part of it."""
        answer = self.run(self.host.ipam.subnet_pools.remove(name, False))
        used = any(owner == name for owner, _ in self.nets.values())
        assert isinstance(answer, Fault) == (used or name not in self.pools)
        if not isinstance(answer, Fault):
            del self.pools[name]

    @rule(name=NAMES)
    def carve(self, name: str) -> None:
        """A network in it, unless it is full or not there."""
        answer = self.run(carve(self.host, pool=name))
        if isinstance(answer, PoolGrant):
            self.nets[answer.pool] = (name, answer.subnet)
        else:
            mine = [subnet for _, subnet in self.nets.values()]
            free = [
                part for prefix in self.pools.get(name, ()) for part in prefix.subnets(new_prefix=26)
                if not any(overlap(part, each) for each in mine)
            ]  # fmt: skip
            assert not free

    @rule(number=st.integers(0, 99))
    def release(self, number: int) -> None:
        """A network goes."""
        if self.nets:
            ident = sorted(self.nets)[number % len(self.nets)]
            self.run(self.host.ipam.release_pool(ident))
            del self.nets[ident]

    @rule()
    def restart(self) -> None:
        """Killed and started again."""
        self.run(self.host.restart())

    @invariant()
    def what_is_stored_is_what_was_answered(self) -> None:
        """Prefixes to the address, no overlap, and each network within its own."""
        if not hasattr(self, "host"):
            return
        stored: Sequence[SubnetPool] = list(self.host.cache.every(SubnetPool))
        have = {each.name: {part for p in each.prefixes for part in p.subnets(new_prefix=24)} for each in stored}
        assert have == self.pools
        for owner, subnet in self.nets.values():
            assert any(covers(part, subnet) for part in self.pools[owner])
        assert msgspec.json.encode(sorted(self.nets)) == msgspec.json.encode(
            sorted(each.id for each in self.host.cache.every(Pool))
        )


Machine.TestCase.settings = settings(
    max_examples=3 * settings().max_examples // 5, stateful_step_count=30, deadline=None
)
TestMachine = Machine.TestCase
