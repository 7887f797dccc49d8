"""Whether the kernel can check what containers send, and what becomes of networks where it cannot.

Rules: a new network is refused there, and its option says so; a network that exists lives on without, since a kernel
that lacks something must keep no container down, and whoever looks is told; a kernel that fails otherwise is no such
kernel, and nothing is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mooring.core.faults import Fault, NotSupported
from mooring.core.networks import Network
from mooring.core.plumbing import Fact, GuardedPort, Ruleset, plan
from mooring.core.port_security import PORT_SECURITY
from mooring.ports import Kernel


def is_table(fact: Fact) -> bool:
    """Whether the fact is the table that checks, in whichever routing domain."""
    return isinstance(fact, Ruleset) and fact.family == PORT_SECURITY.family


def _tables(networks: Iterable[Network]) -> list[Ruleset]:
    guarded = (each for each in networks if each.options.port_security or each.options.multicast)
    domains = sorted({network.domain for network in guarded})
    return [replace(PORT_SECURITY.ruleset, domain=domain) for domain in domains]


class PortSecurity:
    """lacking: whether the kernel cannot, as it said last."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.lacking = False

    def possible(self, facts: Iterable[Fact]) -> Iterable[Fact]:
        """Those of the facts that this kernel can have."""
        if not self.lacking:
            return facts
        return [fact for fact in facts if not isinstance(fact, GuardedPort) and not is_table(fact)]

    def is_whole(self, networks: Iterable[Network], have: Mapping[tuple[str, ...], Fact]) -> bool:
        """Whether the table is there in each routing domain in which a network needs it."""
        return all(have.get(ruleset.key) == ruleset for ruleset in _tables(networks))

    async def restore(
        self,
        networks: Iterable[Network],
        guards: Iterable[GuardedPort],
        have: Mapping[tuple[str, ...], Fact],
        dry: bool,
    ) -> tuple[int, str]:
        """The table is there for the networks, with what ports may say, at once: a newer table may want to know more of
        each than the one before. How many things were put right (dry: would be); a finding, or ""."""
        wanted: list[Fact] = [*_tables(networks), *guards]
        ops = plan(wanted, [have[fact.key] for fact in wanted if fact.key in have])
        try:
            if not dry:
                await self._kernel.apply(ops)
                self.lacking = False
        except NotSupported as fault:
            self.lacking = True
            return 0, f"port security is not enforced, not even in networks where it is on: {fault}"
        except Fault as fault:
            return 0, f"port security cannot be set up now: {fault}"
        return 0 if self.lacking else len(ops), ""
