"""Which chains of the host's own firewall drop what our networks forward, as nft prints them.

Rules: nobody is accused who might be innocent: a packet is followed through the rules, a new TCP connection from one of
our bridges to the outside, and what cannot be told of a rule counts as if it accepted; what iptables and Docker have is
docker_chains' business, and our own tables nobody's; it is looked only when a person asks.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from mooring.adapters.nft.nft_command import nft
from mooring.core.faults import Unavailable
from mooring.core.firewall import ACCEPTED_MARK, PRIORITY, TABLE
from mooring.core.host_filters import HostFilter

_TIMEOUT = 3.0
_FAMILIES = ("ip", "ip6", "inet")
_DEPTH = 16  # of chains; the kernel has no more
_IGNORED = ("counter", "log", "comment", "mangle", "notrack", "flow", "ct helper")
_OTHERS = ("icmp", "icmpv6", "udp", "udplite", "sctp", "dccp", "ah", "esp")


class Fate(Enum):
    """What becomes of the packet. ON: the next rule is asked. OUT: the next one of who jumped here."""

    ACCEPTED = "accepted, or nobody can tell"
    DROPPED = "dropped"
    ON = "goes on"
    OUT = "leaves the chain"


@dataclass(frozen=True, slots=True)
class Packet:
    """The first of a connection from a container. way_out: the interface of the default route, "" for an unknown
    one."""

    bridge: str
    way_out: str
    version: int
    mark: int


def dropping(bridges: Collection[str]) -> list[HostFilter]:
    """The chains that cut off containers at these bridges. Raises Unavailable where nft cannot tell."""
    if not bridges:
        return []
    found = []
    way_out = _way_out()
    for chain in _forwarding():
        table = _Table(_asked("list", "table", chain["family"], chain["table"]))
        mark = ACCEPTED_MARK if chain["prio"] > PRIORITY else 0
        version = 6 if chain["family"] == "ip6" else 4
        cut_off = []
        by_policy = True
        for bridge in sorted(bridges):
            fate = table.fate(chain["name"], Packet(bridge, way_out, version, mark))
            if fate is Fate.DROPPED or (fate in (Fate.ON, Fate.OUT) and chain.get("policy") == "drop"):
                cut_off.append(bridge)
                by_policy = fate is not Fate.DROPPED
        if cut_off:
            where = f"{chain['family']} {chain['table']}"
            found.append(HostFilter(where, chain["name"], chain["prio"], by_policy, tuple(cut_off)))
    return found


def _forwarding() -> Iterator[dict[str, Any]]:
    """The base chains at the hook that are neither ours nor Docker's nor iptables'."""
    for each in _asked("list", "chains"):
        chain = each.get("chain", {})
        table = chain.get("table", "")
        if chain.get("hook") != "forward" or chain.get("type") != "filter" or chain.get("family") not in _FAMILIES:
            continue
        iptables = (table, chain["name"]) == ("filter", "FORWARD")
        if not iptables and table != "docker-bridges" and table.partition("-")[0] != TABLE:
            yield chain


class _Table:
    """The chains and sets of one table."""

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self._rules: dict[str, list[list[dict[str, Any]]]] = {}
        self._sets: dict[str, list[Any]] = {}
        for each in told:
            if rule := each.get("rule"):
                self._rules.setdefault(rule["chain"], []).append(rule.get("expr", []))
            elif known := each.get("set"):
                self._sets[known["name"]] = known.get("elem", [])

    def fate(self, chain: str, packet: Packet, depth: int = 0) -> Fate:
        """Of the packet in the chain and those that it jumps to."""
        if depth > _DEPTH:
            return Fate.ACCEPTED
        for rule in self._rules.get(chain, ()):
            fate = self._by_rule(rule, packet, depth)
            if fate is not Fate.ON:
                return fate
        return Fate.ON

    def _by_rule(self, rule: list[dict[str, Any]], packet: Packet, depth: int) -> Fate:
        sure = True
        for part in rule:
            (kind, value), *_ = part.items()
            if kind == "match":
                answer = self._matches(value, packet)
                if answer is False:
                    return Fate.ON
                sure = sure and answer is True
            elif kind == "vmap":
                return self._by_map(value, packet, sure, depth)
            elif kind in ("accept", "drop", "reject", "return", "jump", "goto"):
                return self._by_verdict(part, packet, sure, depth)
            elif kind == "limit":
                sure = False
            elif kind not in _IGNORED:
                return Fate.ACCEPTED  # of iptables (xt), a queue: nobody can tell
        return Fate.ON

    def _by_verdict(self, verdict: dict[str, Any], packet: Packet, sure: bool, depth: int) -> Fate:
        """sure: the rule is about the packet, without doubt."""
        (kind, value), *_ = verdict.items()
        if kind in ("accept", "continue"):
            return Fate.ACCEPTED if kind == "accept" else Fate.ON
        if kind in ("jump", "goto"):
            fate = self.fate(value["target"], packet, depth + 1)
            if fate is Fate.ACCEPTED:
                return fate
            if fate is not Fate.DROPPED:
                fate = Fate.OUT if kind == "goto" else Fate.ON
        else:
            fate = Fate.OUT if kind == "return" else Fate.DROPPED
        return fate if sure else Fate.ON

    def _by_map(self, value: dict[str, Any], packet: Packet, sure: bool, depth: int) -> Fate:
        entries = value["data"].get("set", []) if isinstance(value["data"], dict) else None
        if not isinstance(entries, list):
            return Fate.ACCEPTED
        for key, verdict in (each for each in entries if isinstance(each, list)):
            answer = self._matches({"op": "==", "left": value["key"], "right": key}, packet)
            if answer is False:
                continue
            fate = self._by_verdict(verdict, packet, sure and answer is True, depth)
            if answer is True or fate is Fate.ACCEPTED:
                return fate
        return Fate.ON

    def _matches(self, match: dict[str, Any], packet: Packet) -> bool | None:
        """Whether the packet is meant; None: nobody can tell."""
        left, right = match["left"], match["right"]
        if isinstance(left, dict) and "payload" in left:
            protocol, field = left["payload"].get("protocol"), left["payload"].get("field")
            if protocol in _OTHERS or protocol == ("ip6" if packet.version == 4 else "ip"):
                return False
            seen: object = "tcp" if field in ("protocol", "nexthdr") else None
        else:
            seen = _seen(left, packet)
        if seen is None:
            return None
        if seen == ():  # a state that it has none of
            return bool(match["op"] == "!=")
        found = self._has(right, seen)
        if found is None or match["op"] not in ("==", "in", "!="):
            return None
        return found if match["op"] != "!=" else not found

    def _has(self, right: object, seen: object) -> bool | None:
        """Whether it is that, or one of those."""
        if isinstance(right, str) and right.startswith("@"):
            right = self._sets.get(right[1:])
        if isinstance(right, dict):
            right = right.get("set", right.get("elem", {}).get("val") if "elem" in right else None)
        if isinstance(right, list):
            answers = [self._has(each, seen) for each in right]
            return True if True in answers else (None if None in answers else False)
        if isinstance(right, str) and isinstance(seen, str):
            return seen.startswith(right[:-1]) if right.endswith("*") else seen == right
        return seen == right if isinstance(right, int) and isinstance(seen, int) else None


def _seen(left: object, packet: Packet) -> object:
    """What the packet has there; None: nobody knows, (): nothing."""
    match left:
        case {"meta": {"key": "iifname" | "iif"}}:
            return packet.bridge
        case {"meta": {"key": "oifname" | "oif"}}:
            return packet.way_out or None
        case {"meta": {"key": "nfproto"}}:
            return f"ipv{packet.version}"
        case {"meta": {"key": "protocol"}}:
            return "ip" if packet.version == 4 else "ip6"
        case {"meta": {"key": "l4proto"}}:
            return "tcp"
        case {"meta": {"key": "mark"}}:
            return packet.mark
        case {"&": [{"meta": {"key": "mark"}}, int(mask)]}:
            return packet.mark & mask
        case {"ct": {"key": "state"}}:
            return "new"
        case {"ct": {"key": "status"}}:
            return ()
    return None


def _way_out() -> str:
    """The interface of the default route."""
    try:
        lines = Path("/proc/thread-self/net/route").read_text().splitlines()[1:]
    except OSError:
        return ""
    return next((line.split()[0] for line in lines if line.split()[1:2] == ["00000000"]), "")


def _asked(*words: str) -> list[dict[str, Any]]:
    """What nft tells, in JSON. Raises Unavailable."""
    try:
        done = subprocess.run([nft(), "-j", *words], capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        told = json.loads(done.stdout) if not done.returncode else {}
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"the host's filters cannot be read: {error}") from error
    return list(told.get("nftables", ()))
