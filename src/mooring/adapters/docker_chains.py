"""Docker's FORWARD chain: whether it would drop what we forward, and the one rule that keeps it from that.

Rules: the rule accepts the mark of core/firewall, in the chain DOCKER-USER, which is Docker's place for the rules of
others, and behind all of theirs, so that what the administrator drops there stays dropped; iptables is started only
where dockerd has set FORWARD to drop; nothing else in Docker's tables is touched.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from mooring.adapters.nftables import Nftables, NftablesError
from mooring.core.faults import Unavailable
from mooring.core.firewall import ACCEPTED_MARK

_CHAIN = "DOCKER-USER"
_MARK = f"{ACCEPTED_MARK:#x}/{ACCEPTED_MARK:#x}"
_RULE = ("-m", "mark", "--mark", _MARK, "-j", "ACCEPT")
_RETURN = f"-A {_CHAIN} -j RETURN"
# Of `iptables -C`. 4 means that it could not look: somebody else has the lock (xtables_error, RESOURCE_PROBLEM).
_PRESENT, _ABSENT = 0, 1
_FAMILY = {4: "ip", 6: "ip6"}
_TIMEOUT = 10.0


# Of dockerd with --firewall-backend=nftables (drivers/bridge/internal/nftabler/nftabler.go): it is there from the
# engine's start to its first start with the other backend.
_NFTABLER = "docker-bridges"


class DockerChains:
    """Looks and writes in the namespace of the thread that uses it."""

    def __init__(self, nftables: Nftables) -> None:
        self._nftables = nftables

    def accepts(self, version: int) -> bool:
        """Whether Docker's FORWARD chain of the family (4 or 6) lets pass what we forward. Raises Unavailable."""
        tool = self._tool(version)
        if tool is None:
            return not self._is_closed(version)
        return self._has_rule(tool)

    def accept(self, version: int) -> bool:
        """Docker lets pass what we forward; False when nothing was changed. Raises Unavailable.

        A rule of ours that is there already stays where it is. Where DOCKER-USER is missing or not asked, nothing can
        be done here: only dockerd makes it.
        """
        tool = self._tool(version)
        if tool is None or self._has_rule(tool):
            return False
        # Docker ends the chain with a return; nothing behind that is ever asked.
        rules = [line for line in self._iptables(tool, "-S", _CHAIN).stdout.splitlines() if line.startswith("-A ")]
        end = rules.index(_RETURN) + 1 if _RETURN in rules else 0
        place = ("-I", _CHAIN, str(end)) if end else ("-A", _CHAIN)
        done = self._iptables(tool, *place, *_RULE)
        if done.returncode:
            raise Unavailable(
                f"Docker drops what Mooring forwards (IPv{version}), and the rule that accepts it was refused: "
                f"{_reason(done)}",
                hint=f"try `{tool} {' '.join((*place, *_RULE))}`",
            )
        return True

    def leaves_forwarding(self, version: int) -> bool:
        """Whether the engine leaves it to the administrator to switch forwarding on (drivers/bridge/
        setup_ip_forwarding.go): with nftables as its firewall it has no FORWARD chain to guard the host by."""
        try:
            objects = self._nftables.ask(f"list tables {_FAMILY[version]}")
        except NftablesError:
            return False
        return any(entry["table"]["name"] == _NFTABLER for entry in objects if "table" in entry)

    def withdraw(self, version: int) -> None:
        """Our rule is not in Docker's chain."""
        tool = self._tool(version)
        if tool is not None:
            self._iptables(tool, "-D", _CHAIN, *_RULE)

    def _tool(self, version: int) -> str | None:
        """The iptables command whose FORWARD chain drops and has DOCKER-USER, None when there is none such."""
        base = "iptables" if version == 4 else "ip6tables"
        if _drops(self._chains(version)) and self._is_asked(version):
            return shutil.which(f"{base}-nft") or base
        legacy = shutil.which(f"{base}-legacy")
        if legacy is not None and _legacy_in_use(version):
            rules = _output(legacy, "-S")
            if "-P FORWARD DROP" in rules and f"-N {_CHAIN}" in rules:
                return legacy
        return None

    def _is_closed(self, version: int) -> bool:
        """Whether FORWARD drops, and DOCKER-USER is not there or not asked: somebody flushed Docker's rules."""
        return self._chains(version).get("FORWARD", {}).get("policy") == "drop"

    def _is_asked(self, version: int) -> bool:
        """Whether FORWARD jumps to DOCKER-USER."""
        try:
            objects = self._nftables.ask(f"list chain {_FAMILY[version]} filter FORWARD")
        except NftablesError:
            return False
        rules = [entry["rule"] for entry in objects if "rule" in entry]
        return any(part.get("jump", {}).get("target") == _CHAIN for rule in rules for part in rule["expr"])

    def _chains(self, version: int) -> dict[str, dict[str, Any]]:
        try:
            objects = self._nftables.ask(f"list chains {_FAMILY[version]}")
        except NftablesError:
            return {}
        chains = [entry["chain"] for entry in objects if "chain" in entry]
        return {chain["name"]: chain for chain in chains if chain["table"] == "filter"}

    def _has_rule(self, tool: str) -> bool:
        done = self._iptables(tool, "-C", _CHAIN, *_RULE)
        if done.returncode not in (_PRESENT, _ABSENT):
            raise Unavailable(
                f"Docker's firewall rules cannot be read: {tool}: {_reason(done)}",
                hint="it is tried again soon; see who holds /run/xtables.lock",
            )
        return done.returncode == _PRESENT

    def _iptables(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [tool, "-w", "5", *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(
                f"Docker's firewall rules cannot be read: {tool}: {error}", hint="apt-get install iptables"
            ) from error


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split()) or f"exit code {done.returncode}"


def _drops(chains: dict[str, dict[str, Any]]) -> bool:
    return _CHAIN in chains and chains.get("FORWARD", {}).get("policy") == "drop"


def _legacy_in_use(version: int) -> bool:
    names = Path(f"/proc/thread-self/net/ip{'6' if version == 6 else ''}_tables_names")
    try:
        return "filter" in names.read_text().split()
    except OSError:
        return False


def _output(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines()
