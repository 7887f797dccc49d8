"""Docker's FORWARD chain: whether it would drop what we forward, or let pass what Docker's networks are closed to, and
the rules that keep it from that.

Rules: they go by the marks of core/firewall, in the chain DOCKER-USER, which is Docker's place for the rules of others,
and behind all of theirs, so that what the administrator drops there stays dropped, and what he lets in gets in; where
some of it returns before (ufw-docker: everything from private addresses) they are behind the chain as well; nothing is
accepted where FORWARD does so by itself; iptables is started only where DOCKER-USER is asked; nothing else in
Docker's tables is touched.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mooring.adapters.netlink.batches import GET_CHAIN, GET_RULE, GET_TABLE, Batches, family, listed
from mooring.adapters.netlink.sockets import Message, NetlinkError, as_text, attributes, text
from mooring.core.faults import Unavailable
from mooring.core.firewall import ACCEPTED_MARK, FOREIGN_MARK

_CHAIN, _FORWARD, _FILTER = "DOCKER-USER", "FORWARD", "filter"
_JUMP = f"-A {_FORWARD} -j {_CHAIN}"


def _rule(mark: int, target: str) -> tuple[str, ...]:
    """As iptables prints it."""
    return ("-m", "mark", "--mark", f"{mark:#x}/{mark:#x}", "-j", target)


_ACCEPT, _KEEP_OUT = _rule(ACCEPTED_MARK, "ACCEPT"), _rule(FOREIGN_MARK, "DROP")
_RETURN = f"-A {_CHAIN} -j RETURN"
_DROPPED = f"-P {_FORWARD} DROP"
# Of `iptables -S`. 4 means that it could not look: somebody else has the lock (xtables_error, RESOURCE_PROBLEM).
_PRESENT, _ABSENT = 0, 1
_FAMILY = {4: "ip", 6: "ip6"}
# linux/netfilter/nf_tables.h
_TABLE, _RULE_CHAIN, _CHAIN_NAME, _POLICY, _DROP = 1, 2, 3, 5, bytes(4)
_EXPRESSIONS, _EXPRESSION_NAME, _EXPRESSION_DATA = 4, 1, 2
_IMMEDIATE_DATA, _VERDICT, _VERDICT_CHAIN = 2, 2, 2
_TIMEOUT = 10.0


# Of dockerd with --firewall-backend=nftables (drivers/bridge/internal/nftabler/nftabler.go): it is there from the
# engine's start to its first start with the other backend.
_NFTABLER = "docker-bridges"


@dataclass(frozen=True, slots=True)
class _Place:
    """A chain DOCKER-USER. tool: the iptables command that sees it. drops: whether FORWARD does, in the end."""

    tool: str
    drops: bool

    @property
    def rules(self) -> tuple[tuple[str, ...], ...]:
        """Those of ours that belong there, in any order."""
        return (_KEEP_OUT, _ACCEPT) if self.drops else (_KEEP_OUT,)


class DockerChains:
    """Looks and writes in the namespace of the thread that uses it."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def accepts(self, version: int) -> bool:
        """Whether Docker's FORWARD chain of the family (4 or 6) lets pass what we forward, and nothing else of what
        comes from us. Raises Unavailable."""
        places = list(self._places(version))
        if any(self._outstanding(place) for place in places):
            return False
        return not self._is_closed(version, places)

    def accept(self, version: int) -> bool:
        """Docker lets pass what we forward, and nothing else; False when nothing was changed. Raises Unavailable.

        A rule of ours that is there already stays where it is. Where DOCKER-USER is missing or not asked, nothing can
        be done here: only dockerd makes it.
        """
        written = [self._write(place, version) for place in self._places(version)]
        return any(written)

    def _write(self, place: _Place, version: int) -> bool:
        todo = self._outstanding(place)
        for command in todo:
            done = self._iptables(place.tool, *command)
            if done.returncode:
                raise Unavailable(
                    f"Docker's firewall drops traffic that Mooring forwards, or accepts traffic that must be dropped "
                    f"(IPv{version}), and iptables refused the correcting rule: {_reason(done)}",
                    hint=f"try `{place.tool} {' '.join(command)}`",
                )
        return bool(todo)

    def leaves_forwarding(self, version: int) -> bool:
        """Whether the engine leaves it to the administrator to switch forwarding on (drivers/bridge/
        setup_ip_forwarding.go): with nftables as its firewall it has no FORWARD chain to guard the host by."""
        tables = self._list(Message(GET_TABLE, 0, family(_FAMILY[version])))
        return any(as_text(told[_TABLE]) == _NFTABLER for told in tables)

    def withdraw(self, version: int) -> None:
        """Our rules are not in Docker's chain."""
        for place in self._places(version):
            for chain in (_CHAIN, _FORWARD):
                for rule in (_KEEP_OUT, _ACCEPT):
                    self._iptables(place.tool, "-D", chain, *rule)

    def _places(self, version: int) -> Iterator[_Place]:
        """Where Docker's FORWARD chain asks DOCKER-USER: in tables of either sort, or both."""
        base = "iptables" if version == 4 else "ip6tables"
        chains = self._chains(version)
        if _CHAIN in chains and self._is_asked(version):
            yield _Place(shutil.which(f"{base}-nft") or base, self._drops(chains))
        legacy, rules = _legacy(version)
        if f"-N {_CHAIN}" in rules:
            yield _Place(legacy, _DROPPED in rules)

    def _is_closed(self, version: int, places: list[_Place]) -> bool:
        """Whether FORWARD drops in tables of either sort, and DOCKER-USER is not there or not asked: somebody flushed
        Docker's rules, or the iptables that Docker uses is not the one that the host's firewall was made with."""
        legacy, rules = _legacy(version)
        by_legacy = [place.tool == legacy for place in places]
        return (_DROPPED in rules and not any(by_legacy)) or (all(by_legacy) and self._drops(self._chains(version)))

    def _drops(self, chains: dict[str, dict[int, bytes]]) -> bool:
        return chains.get(_FORWARD, {}).get(_POLICY) == _DROP

    def _is_asked(self, version: int) -> bool:
        """Whether FORWARD jumps to DOCKER-USER."""
        asked = family(_FAMILY[version]) + text(_TABLE, _FILTER) + text(_RULE_CHAIN, _FORWARD)
        rules = self._list(Message(GET_RULE, 0, asked))
        return any(target == _CHAIN for rule in rules for target in _targets(rule.get(_EXPRESSIONS, b"")))

    def _chains(self, version: int) -> dict[str, dict[int, bytes]]:
        """Those of Docker's table, by name."""
        chains = self._list(Message(GET_CHAIN, 0, family(_FAMILY[version])))
        return {as_text(told[_CHAIN_NAME]): told for told in chains if as_text(told[_TABLE]) == _FILTER}

    def _list(self, message: Message) -> list[dict[int, bytes]]:
        """The attributes of each; none where the kernel has no such."""
        try:
            return [attributes(told) for told in self._batches.list(message)]
        except NetlinkError as error:
            if error.errno in (errno.EINTR, errno.ENOMEM, errno.ENOBUFS):  # there may be some
                why = f"Docker's chains cannot be read: {error.strerror}"
                raise Unavailable(why, hint="Mooring tries again in a few seconds") from error
            return []

    def _outstanding(self, place: _Place) -> list[tuple[str, ...]]:
        """What iptables is to be asked for until our rules are where they belong. Raises Unavailable."""
        lines = self._lines(place, _CHAIN)
        # Docker ends the chain with a return; nothing behind that is ever asked.
        end = lines.index(_RETURN) + 1 if _RETURN in lines else 0
        where = ("-I", _CHAIN, str(end)) if end else ("-A", _CHAIN)
        todo = [(*where, *rule) for rule in place.rules if _line(_CHAIN, rule) not in lines]
        if any(line.endswith(" -j RETURN") for line in lines if line != _RETURN):
            todo += self._behind(place)
        return todo

    def _behind(self, place: _Place) -> Iterator[tuple[str, ...]]:
        """The same behind DOCKER-USER, as the next that FORWARD asks: dockerd puts its own there when it starts."""
        lines = self._lines(place, _FORWARD)
        mine = {_line(_FORWARD, rule): rule for rule in place.rules}
        others = [line for line in lines if line not in mine]
        if _JUMP not in others:
            return
        at = lines.index(_JUMP) + 1
        if set(lines[at : at + len(mine)]) != mine.keys():
            yield from (("-D", _FORWARD, *rule) for line, rule in mine.items() if line in lines)
            yield from (("-I", _FORWARD, str(others.index(_JUMP) + 2), *rule) for rule in mine.values())

    def _lines(self, place: _Place, chain: str) -> list[str]:
        """The rules in the chain, as iptables prints them; none when it has just gone. Raises Unavailable."""
        done = self._iptables(place.tool, "-S", chain)
        if done.returncode not in (_PRESENT, _ABSENT):
            raise Unavailable(
                f"Docker's firewall rules cannot be read: {place.tool}: {_reason(done)}",
                hint="Mooring tries again in a few seconds; see who holds /run/xtables.lock",
            )
        return [line for line in done.stdout.splitlines() if line.startswith("-A ")]

    def _iptables(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [tool, "-w", "5", *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(
                f"Docker's firewall rules cannot be read: {tool}: {error}", hint="apt-get install iptables"
            ) from error


def _targets(expressions: bytes) -> Iterator[str]:
    """The chains that a rule jumps to."""
    for expression in map(attributes, listed(expressions)):
        if as_text(expression.get(_EXPRESSION_NAME)) == "immediate":
            verdict = attributes(attributes(expression[_EXPRESSION_DATA]).get(_IMMEDIATE_DATA, b"")).get(_VERDICT, b"")
            yield as_text(attributes(verdict).get(_VERDICT_CHAIN))


def _line(chain: str, rule: tuple[str, ...]) -> str:
    return f"-A {chain} {' '.join(rule)}"


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split()) or f"exit code {done.returncode}"


def _legacy(version: int) -> tuple[str, list[str]]:
    """The command that sees the tables of the old sort, and what it lists; nothing where there are none."""
    tool = shutil.which("iptables-legacy" if version == 4 else "ip6tables-legacy")
    return (tool, _output(tool, "-S")) if tool is not None and _legacy_in_use(version) else ("", [])


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
