"""Facts of several domains, read and made true by one thread; tests/netns/test_domains.py has the packets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.adapters.linux.domain_facts import DomainReader, DomainTools, DomainWriter
from mooring.adapters.linux.domains import Domains
from mooring.adapters.netlink.ownership import DAEMON
from mooring.core.domains import domain_facts
from mooring.core.faults import Fault, Unavailable
from mooring.core.firewall import ruleset
from mooring.core.plumbing import Add, Bridge, Domain, Fact, Member, Remove, Setting, plan
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

BRIDGE = Bridge("mr-one", "mooring:network:one", 1400, "02:00:00:00:00:01", domain=1)
BASE = [ruleset(), *domain_facts(1, ipv6=True)]


class Bench:
    """A writer and a reader with the same tools."""

    def __init__(self, folder: Path) -> None:
        self.domains = Domains(str(folder))
        self.tools = DomainTools(self.domains, DAEMON)
        self.writer, self.reader = DomainWriter(self.tools), DomainReader(self.tools)

    def close(self) -> None:
        """Nothing is left."""
        self.writer.run([Remove(Domain(number)) for number in self.domains.numbers()])
        self.tools.close()
        self.domains.close()


@pytest.fixture
def bench(namespace: Namespace, tmp_path: Path) -> Iterator[Bench]:
    """Tools in a namespace of its own."""
    del namespace
    made = Bench(tmp_path / "tenants")
    yield made
    made.close()


def ours(facts: frozenset[Fact]) -> set[Fact]:
    """Those that a plan would remove."""
    return {op.fact for op in plan((), facts) if isinstance(op, Remove)}


def test_what_is_made_in_a_domain_is_seen_there_only(bench: Bench) -> None:
    """A bridge of the name in another domain would be another one."""
    bench.writer.run(plan([*BASE, BRIDGE], ()))
    observed = bench.reader.observe()
    assert {*BASE, BRIDGE} <= observed
    assert Setting("net/ipv4/ip_forward", "1", 1) in observed
    assert "mr-one" not in sh("ip link")
    bench.writer.run([Remove(BRIDGE)])
    assert BRIDGE not in bench.reader.observe()


def test_a_fault_in_a_domain_undoes_what_was_done_everywhere(bench: Bench) -> None:
    """The domain, what it has, and what the host has."""
    bench.writer.run([Add(ruleset())])
    before = ours(bench.reader.observe())
    with pytest.raises(Fault):
        bench.writer.run([*plan([*BASE, BRIDGE], ()), Add(Member("wildcard4", "6 . 80", "nonsense", 1))])
    assert ours(bench.reader.observe()) == before
    assert "mt-1" not in sh("ip link")


def test_a_domain_that_is_another_one_is_worked_in_anew(bench: Bench) -> None:
    """Sockets in the one before would change nothing that anybody sees."""
    for _ in range(2):
        bench.writer.run(plan([*BASE, BRIDGE], ()))
        assert BRIDGE in bench.reader.observe()
        bench.writer.run([Remove(Domain(1))])
        assert not any(isinstance(fact, Domain | Bridge) for fact in bench.reader.observe())


def test_what_is_in_no_domain_is_refused(bench: Bench) -> None:
    """It may be made in a moment; to remove it is success."""
    bench.writer.run([Remove(BRIDGE), Remove(Member("bridges", '"mr-one"', domain=1))])
    with pytest.raises(Unavailable, match="routing domain 1 is missing"):
        bench.writer.run([Add(BRIDGE)])
