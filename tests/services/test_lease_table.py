"""The table of leases is what changes them: nothing changes one without it, and no row is there that nothing needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from ipaddress import IPv4Interface, ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from mooring.core.faults import Fault
from mooring.core.keys import CONTAINER_KEY
from mooring.core.leases import TRANSITIONS, Event, Lease, Phase, phase
from mooring.core.requests import AddressRequest, EndpointRequest, PoolRequest, Role
from tests.services.holder_hosts import HolderHost, ident
from tests.services.operators import operate

SOURCE = Path(__file__).resolve().parents[2] / "src/mooring"
P = Phase


class Walk(HolderHost):
    """Addresses of one network, told by their last number, and whatever happens to them."""

    async def arrive(self) -> None:
        """The network is there."""
        await self.start()
        self.net = await self.network("web")
        self.pool = self.known(self.net).ipv4[0].pool

    def at(self, last: int) -> str:
        """The address."""
        return str(self.known(self.net).ipv4[0].subnet[last])

    def check(self, last: int, expected: Phase) -> None:
        """The address is what it should be by now."""
        assert phase(self.lease(self.at(last))) is expected, f".{last}: {self.lease(self.at(last))}"

    async def ask(self, last: int, expected: Phase, role: Role = Role.ENDPOINT, name: str = "", mac: str = "") -> None:
        """RequestAddress names it."""
        await self.services.ipam.request_address(AddressRequest(self.pool, role, ip_address(self.at(last)), mac, name))
        self.check(last, expected)

    async def let_go(self, last: int, expected: Phase) -> None:
        """ReleaseAddress."""
        await self.services.ipam.release_address(self.pool, ip_address(self.at(last)))
        self.check(last, expected)

    async def cool(self, last: int) -> None:
        """Somebody had it until now."""
        await self.ask(last, P.DYNAMIC)
        await self.let_go(last, P.COOLING)

    async def fix(self, last: int, name: str, key: str = "key:k", expected: Phase = P.IDLE) -> None:
        """A container that names it was made."""
        await self.made(name, self.fixed_spec(self.net, key, self.at(last)))
        self.check(last, expected)

    async def run(self, last: int, endpoint: str, mac: str, expected: Phase) -> None:
        """CreateEndpoint with the address."""
        address = ip_interface(f"{self.at(last)}/24")
        assert isinstance(address, IPv4Interface)
        await self.services.endpoints.create(EndpointRequest(self.net, endpoint.ljust(64, "0"), address, None, mac))
        self.check(last, expected)

    async def stop(self, last: int, endpoint: str, expected: Phase) -> None:
        """DeleteEndpoint and ReleaseAddress."""
        await self.services.endpoints.delete(self.net, endpoint.ljust(64, "0"))
        await self.let_go(last, expected)

    async def reserve(self, last: int, whom: str, until: float | None = None, note: str = "") -> None:
        """An operator reserves it."""
        address = ip_address(self.at(last))
        await operate(self).reservations.reserve(None, address, address, whom, note, until, False)
        self.check(last, P.RESERVED)

    async def give_up(self, last: int, expected: Phase) -> None:
        """An operator releases it."""
        await operate(self).reservations.release(None, ip_address(self.at(last)), True, False)
        self.check(last, expected)

    async def pass_time(self, seconds: float) -> None:
        """Later, what is over has ended."""
        self.clock.advance(seconds)
        await self.services.ipam.sweep()


async def walk() -> None:
    """Everything that can happen to an address happens."""
    host = Walk()
    await host.arrive()
    await plain(host)
    await fixed(host)
    await inherited(host)
    await reserved(host)
    await dropped(host)


async def plain(host: Walk) -> None:
    """Gateways, auxiliary addresses, and what is given to one container after the other."""
    host.check(1, P.GATEWAY)
    await host.let_go(1, P.FREE)
    await host.cool(1)
    await host.let_go(1, P.COOLING)
    await host.ask(1, P.GATEWAY, Role.GATEWAY)
    await host.ask(2, P.AUXILIARY, Role.AUXILIARY)
    await host.let_go(2, P.FREE)
    await host.cool(2)
    await host.ask(2, P.AUXILIARY, Role.AUXILIARY)
    await host.cool(3)
    await host.ask(3, P.DYNAMIC)
    await host.let_go(3, P.COOLING)
    await host.pass_time(61)
    host.check(3, P.FREE)
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4, ip_network("10.9.0.0/30")))
    for _ in range(2):  # its only address is free, and then cooling
        chosen = await host.services.ipam.request_address(AddressRequest(grant.pool, Role.ENDPOINT))
        await host.services.ipam.release_address(grant.pool, chosen.ip)
    # A crash of the engine: the address under a new endpoint.
    await host.ask(4, P.DYNAMIC, mac="02:00:00:00:00:01")
    await host.run(4, "a", "02:00:00:00:00:01", P.DYNAMIC)
    await host.run(4, "b", "02:00:00:00:00:02", P.DYNAMIC)


async def fixed(host: Walk) -> None:
    """Containers come, inherit from each other, and go."""
    intent, _ = await host.begin("x", host.fixed_spec(host.net, "key:x", host.at(10)))
    host.check(10, P.IDLE)
    await host.services.holders.roll_back(intent)
    host.check(10, P.FREE)
    await host.cool(11)
    await host.fix(11, "a")
    await host.let_go(11, P.IDLE)
    lease = host.lease(host.at(11))
    assert lease is not None
    await host.run(11, "c", lease.mac, P.ACTIVE)
    await host.run(11, "d", lease.mac, P.ACTIVE)
    await host.fix(11, "b", expected=P.ACTIVE)
    await host.stop(11, "d", P.IDLE)
    await host.services.holders.release_all(ident("a"))
    await host.services.holders.release_all(ident("b"))
    host.check(11, P.IDLE)
    await host.pass_time(86401)
    host.check(11, P.FREE)
    await host.ask(12, P.DYNAMIC, name="named")
    await host.fix(12, "named", "key:n")
    await host.give_up(12, P.COOLING)


async def inherited(host: Walk) -> None:
    """A container goes while its endpoint is still there."""
    key = CONTAINER_KEY + ident("own")
    await host.fix(13, "own", key)
    lease = host.lease(host.at(13))
    assert lease is not None
    await host.run(13, "e", lease.mac, P.ACTIVE)
    await host.services.holders.release_all(ident("own"))
    host.check(13, P.ACTIVE)
    await host.stop(13, "e", P.COOLING)


async def reserved(host: Walk) -> None:
    """What is reserved goes to whom it is for, and comes back."""
    await host.reserve(20, "db")
    await host.reserve(20, "db", note="soon")
    await host.let_go(20, P.RESERVED)
    await host.ask(20, P.DYNAMIC, name="db")
    await host.let_go(20, P.RESERVED)
    await host.fix(20, "db", "key:db")
    await host.services.holders.release_all(ident("db"))
    host.check(20, P.RESERVED)
    await host.fix(20, "db", "key:db")
    lease = host.lease(host.at(20))
    assert lease is not None
    await host.run(20, "f", lease.mac, P.ACTIVE)
    await host.services.holders.release_all(ident("db"))
    await host.stop(20, "f", P.RESERVED)
    await host.give_up(20, P.FREE)
    await host.cool(21)
    await host.reserve(21, "db", until=host.clock.now() + 10)
    await host.pass_time(11)
    host.check(21, P.FREE)


async def dropped(host: Walk) -> None:
    """The pool goes, with an address in every phase."""
    await host.ask(5, P.DYNAMIC)
    await host.fix(6, "idle", "key:i")
    await host.fix(7, "active", "key:a")
    lease = host.lease(host.at(7))
    assert lease is not None
    await host.run(7, "g", lease.mac, P.ACTIVE)
    await host.reserve(8, "db")
    await host.cool(9)
    leases = host.services.cache.every(Lease)
    assert {phase(lease) for lease in leases if lease.pool == host.pool} == set(Phase) - {P.FREE}
    await host.services.ipam.release_pool(host.pool)
    assert not [lease for lease in host.services.cache.every(Lease) if lease.pool == host.pool]


async def test_the_walk_ends_well() -> None:
    """With the whole table."""
    await walk()


@pytest.mark.parametrize("row", list(TRANSITIONS), ids=lambda row: f"{row[0].name}-{row[1].name}")
async def test_each_row_of_the_table_is_needed(row: tuple[Phase, Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, something that a container or an operator does goes wrong."""
    monkeypatch.delitem(TRANSITIONS, row)
    with pytest.raises((Fault, AssertionError)):
        await walk()


# The rules for the key, the holders and the MAC of a fixed lease, which are in no table.
RULES = {"core/claims.py", "core/reservations.py"}
STATE = {"state", "active"}
# What hosts agree on about an address has fields of the same names, and is no lease.
CLAIMS = {"core/address_claims.py", "services/cluster/address_claims.py"}
FIELDS = STATE | {"owner", "holders", "hold", "until", "whom", "note", "since", "mac", "key"}


def trespasses(name: str, tree: ast.AST) -> Iterator[str]:
    """Where the module makes a lease, or changes of one what is not its own to change."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
            continue
        last = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        called = ast.unparse(node.func) if last.endswith(("Lease", "replace", "replace_struct")) else ""
        if not called.endswith(("Lease", "structs.replace", "replace_struct")):
            continue
        if called.rpartition(".")[2] == "Lease":
            yield f"{name}:{node.lineno} makes a lease"
        elif ast.unparse(node.args[0]) != "claim":
            changed = {keyword.arg for keyword in node.keywords} & (STATE if name in RULES else FIELDS)
            yield from (f"{name}:{node.lineno} changes {field}" for field in changed)


def test_nothing_makes_or_changes_a_lease_without_the_table() -> None:
    """Only core/leases does, and the store's form, which reads what was made."""
    sources = {path.relative_to(SOURCE).as_posix(): path.read_text() for path in SOURCE.rglob("*.py")}
    assert all("Lease(" not in sources.pop(name) for name in CLAIMS)
    for name in ("core/leases.py", "wire/forms/leases.py"):
        assert list(trespasses(name, ast.parse(sources.pop(name))))
    concerned = {name: text for name, text in sources.items() if "Lease(" in text or "replace" in text}
    assert [each for name, text in concerned.items() for each in trespasses(name, ast.parse(text))] == []
