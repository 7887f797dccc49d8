"""Where MACs and addresses are, by rtnetlink: the tables of bridges, of VXLAN devices, and of neighbours.

Rules: a neighbour of ours is permanent and bears a number of ours as the protocol that made it (`ip neigh show proto
109`), so the kernel neither ages, nor relearns, nor counts it against its limit (net/core/neighbour.c,
neigh_forced_gc); what is in a VXLAN device of ours is ours, whoever made it. Layouts: linux/neighbour.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from mooring.adapters.netlink.sockets import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    u8,
)
from mooring.core.networks import Address
from mooring.core.plumbing import Add, Alter, Flood, Neighbour, Op, RemoteFact, RemoteMac, Remove, fact_of

_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_NDA_DST, _NDA_LLADDR, _NDA_MASTER, _NDA_PROTOCOL = 1, 2, 9, 12
_SELF, _MASTER = 0x02, 0x04
_REACHABLE, _NOARP, _PERMANENT = 0x02, 0x40, 0x80
_STATIC = _NOARP | _REACHABLE  # as `bridge fdb add ... static` says it
_PROTOCOL = 109
_ALL = "00:00:00:00:00:00"  # in a device's table: where what is for a group goes, unless that has an entry of its own
_NEIGHBOUR = struct.Struct("=BBHiHBB")
_GONE = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP)


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _mac(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))


class Neighbours:
    """Of the network namespace in which the socket is. Raises NetlinkError."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink

    def remote_macs(self, device: int, name: str) -> Iterator[RemoteMac | Flood]:
        """What is in the VXLAN device's table, and in its bridge's for it."""
        known, hosts = set[str](), dict[str, Address | None]()
        # Asked in this way, the kernel tells of both tables, for this device only (net/core/rtnetlink.c).
        question = Message(_GETNEIGH, 0, _NEIGHBOUR.pack(socket.AF_BRIDGE, 0, 0, device, 0, 0, 0))
        for _, payload in self._netlink.dump(question):
            _, _, _, index, state, _, _ = _NEIGHBOUR.unpack_from(payload)
            told = attributes(payload[_NEIGHBOUR.size :])
            mac = told.get(_NDA_LLADDR, b"").hex(":")
            if index != device or not mac:
                continue
            if mac == _ALL and (host := told.get(_NDA_DST)) is not None:
                yield Flood(name, ip_address(host))
            elif _NDA_MASTER in told:
                if not state & _PERMANENT:  # its own
                    known.add(mac)
            else:
                hosts[mac] = ip_address(host) if (host := told.get(_NDA_DST)) is not None and state & _NOARP else None
        for mac in known | hosts.keys():
            yield RemoteMac(name, mac, hosts.get(mac) if mac in known else None)

    def neighbours(self, bridges: Mapping[int, str]) -> Iterator[Neighbour]:
        """Those of ours on the bridges. bridges: index -> name."""
        for family in (socket.AF_INET, socket.AF_INET6):
            question = Message(_GETNEIGH, 0, _NEIGHBOUR.pack(family, 0, 0, 0, 0, 0, 0))
            for _, payload in self._netlink.dump(question, lambda payload: _is_permanent(payload, bridges)):
                told = attributes(payload[_NEIGHBOUR.size :])
                if told.get(_NDA_PROTOCOL) == bytes([_PROTOCOL]) and _NDA_DST in told:
                    index = _NEIGHBOUR.unpack_from(payload)[3]
                    mac = told.get(_NDA_LLADDR, b"").hex(":")
                    yield Neighbour(bridges[index], ip_address(told[_NDA_DST]), mac)

    def change(self, ops: Sequence[Op], index: Mapping[str, int]) -> list[Op]:
        """All of the ops, which are about such facts, are carried out; what undoes them, where there is anything to
        undo. When one is refused what was done is undone, and NetlinkError raised. index: of each link that is there;
        what is to be removed from others is gone."""
        there = [op for op in ops if remote_of(op).link in index]
        undo: list[Op] = []
        refused: NetlinkError | None = None
        again: list[Op] = []
        for op, error in zip(there, self._carry_out(there, index), strict=True):
            if error is None:
                undo.append(op.inverse())
            elif isinstance(op, Add) and error.errno == errno.EEXIST:
                again.append(op)
            elif not (isinstance(op, Remove) and error.errno in _GONE):
                refused = refused or error
        if again and refused is None:
            back, refused = self._replace(again, index)
            undo += back
        if refused is not None:
            self._carry_out(undo[::-1], index)
            raise refused
        return undo[::-1]

    def forget(self, link: int, address: Address) -> None:
        """The host has forgotten which MAC the address had on the link, if somebody said so and not we."""
        head = _NEIGHBOUR.pack(_family(address), 0, 0, link, 0, 0, 0) + attribute(_NDA_DST, address.packed)
        try:
            told = attributes(self._netlink.ask(Message(_GETNEIGH, 0, head))[1][_NEIGHBOUR.size :])
            if told.get(_NDA_PROTOCOL) != bytes([_PROTOCOL]):
                self._netlink.request(Message(_DELNEIGH, 0, head))
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise

    def _replace(self, ops: Sequence[Op], index: Mapping[str, int]) -> tuple[list[Op], NetlinkError | None]:
        """The facts, for each of which there is something, are true; what undoes that, and the first refusal."""
        names = {number: name for name, number in index.items()}
        links = {fact.link for op in ops if isinstance(fact := remote_of(op), RemoteMac)}
        have: dict[tuple[str, ...], RemoteFact] = {}
        for link in links:
            have |= {fact.key: fact for fact in self.remote_macs(index[link], link)}
        have |= {fact.key: fact for fact in self.neighbours(names)}
        wanted = [fact for op in ops if have.get((fact := remote_of(op)).key) != fact]
        changes = [Alter(have.get(fact.key, fact), fact) for fact in wanted]
        outcome = self._carry_out(changes, index)
        done = [each for each, error in zip(changes, outcome, strict=True) if error is None]
        undo = [each.inverse() if each.before != each.after else Remove(each.after) for each in done]
        return undo, next((error for error in outcome if error is not None), None)

    def _carry_out(self, ops: Sequence[Op], index: Mapping[str, int]) -> list[NetlinkError | None]:
        counted = [_messages(op, index) for op in ops]
        outcome = iter(self._netlink.request_each([message for each in counted for message in each]))
        # Where one of two tables does not have what is removed, the other may.
        return [_worst([next(outcome) for _ in each]) for each in counted]


def remote_of(op: Op) -> RemoteFact:
    """What the op, which is about such a fact, is about."""
    fact = fact_of(op)
    assert isinstance(fact, RemoteFact)
    return fact


def _is_permanent(payload: bytes, bridges: Mapping[int, str]) -> bool:
    _, _, _, index, state, _, _ = _NEIGHBOUR.unpack_from(payload)
    return bool(state & _PERMANENT) and index in bridges


def _worst(errors: Sequence[NetlinkError | None]) -> NetlinkError | None:
    if any(error is None for error in errors):
        errors = [error for error in errors if error is not None and error.errno not in _GONE]
    return next((error for error in errors if error is not None), None)


def _messages(op: Op, index: Mapping[str, int]) -> list[Message]:
    fact = remote_of(op)
    link = index[fact.link]
    if isinstance(fact, RemoteMac) and isinstance(op, Remove):
        mac = attribute(_NDA_LLADDR, _mac(fact.mac))
        heads = (_NEIGHBOUR.pack(socket.AF_BRIDGE, 0, 0, link, 0, flag, 0) for flag in (_MASTER, _SELF))
        return [Message(_DELNEIGH, 0, head + mac) for head in heads]
    flags = NLM_F_CREATE | (NLM_F_EXCL if isinstance(op, Add) else NLM_F_REPLACE)
    if isinstance(fact, RemoteMac):
        if fact.host is None:  # as it was before it was put right
            return []
        head = _NEIGHBOUR.pack(socket.AF_BRIDGE, 0, 0, link, _STATIC, _SELF | _MASTER, 0)
        words = attribute(_NDA_LLADDR, _mac(fact.mac)) + attribute(_NDA_DST, fact.host.packed)
        return [Message(_NEWNEIGH, flags, head + words)]
    if isinstance(fact, Flood):
        head = _NEIGHBOUR.pack(socket.AF_BRIDGE, 0, 0, link, _STATIC, _SELF, 0)
        head += attribute(_NDA_LLADDR, bytes(6)) + attribute(_NDA_DST, fact.host.packed)
        if isinstance(op, Remove):
            return [Message(_DELNEIGH, 0, head)]
        return [Message(_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND, head)]
    head = _NEIGHBOUR.pack(_family(fact.address), 0, 0, link, _PERMANENT, 0, 0)
    head += attribute(_NDA_DST, fact.address.packed)
    if isinstance(op, Remove):
        return [Message(_DELNEIGH, 0, head)]
    return [Message(_NEWNEIGH, flags, head + attribute(_NDA_LLADDR, _mac(fact.mac)) + u8(_NDA_PROTOCOL, _PROTOCOL))]
