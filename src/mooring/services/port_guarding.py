"""Whether the kernel can check what containers send, and what becomes of networks where it cannot.

Rules: a new network is refused there, and its option says so; a network that exists lives on without, since a kernel
that lacks something must keep no container down, and whoever looks is told; a kernel that fails otherwise is no such
kernel, and nothing is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mooring.core.faults import Fault, NotSupported
from mooring.core.networks import Network
from mooring.core.plumbing import Fact, GuardedPort, plan
from mooring.core.port_security import PORT_SECURITY
from mooring.ports import Kernel


class PortGuarding:
    """lacking: whether the kernel cannot, as it said last."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.lacking = False

    def possible(self, facts: Iterable[Fact]) -> Iterable[Fact]:
        """Those of the facts that this kernel can have."""
        if not self.lacking:
            return facts
        ruleset = PORT_SECURITY.ruleset
        return [fact for fact in facts if not isinstance(fact, GuardedPort) and fact != ruleset]

    async def restore(
        self, networks: Iterable[Network], have: Mapping[tuple[str, ...], Fact], dry: bool
    ) -> tuple[bool, str]:
        """The table is there if a network needs it. Whether it was put right (dry: would be); a finding, or ""."""
        ruleset = PORT_SECURITY.ruleset
        before = have.get(ruleset.key)
        if before == ruleset or not any(network.options.port_security for network in networks):
            self.lacking = False
            return False, ""
        try:
            if not dry:
                await self._kernel.apply(plan([ruleset], [before] if before is not None else []))
                self.lacking = False
        except NotSupported as fault:
            self.lacking = True
            return False, f"what containers send is not checked, also in networks that ask for it: {fault}"
        except Fault as fault:
            return False, f"what containers send cannot be checked now: {fault}"
        return not self.lacking, ""
