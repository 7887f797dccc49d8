"""Our nftables tables, read and written.

Rules: elements, and all that is looked at, go between us and the kernel by netlink, and only the text of a whole table
by the program nft; one call is one transaction; only the owner's tables are written, `mooring` or `mooring-<owner>`.
An object belongs to one thread and to that thread's network namespace.
"""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from mooring.adapters.netlink.batches import (
    DELETE_ELEMENTS,
    DELETE_TABLE,
    GET_CHAIN,
    GET_ELEMENTS,
    GET_RULE,
    GET_SET,
    NEW_ELEMENTS,
    NEW_TABLE,
    Batches,
    family,
    listed,
)
from mooring.adapters.netlink.ownership import Owner
from mooring.adapters.netlink.sockets import NLM_F_CREATE, NLM_F_EXCL, Message, NetlinkError, as_text, attributes, nest
from mooring.adapters.netlink.sockets import text as text_of
from mooring.adapters.nft.elements import packed, unpacked
from mooring.adapters.nft.nft_command import NftablesError, load
from mooring.core.faults import Conflict, NotSupported, Unavailable
from mooring.core.firewall import FIREWALL, TABLE
from mooring.core.plumbing import Add, Alter, Member, Remove, Ruleset
from mooring.core.port_security import PORT_SECURITY
from mooring.core.rulesets import VERSION_PREFIX, Container, TableText

MemberOp = Add | Remove | Alter

# linux/netfilter/nf_tables.h. Of a chain, a set, a rule and a list of elements the table comes first.
_TABLE, _SET_NAME, _CHAIN_NAME, _ELEMENTS = 1, 2, 3, 3
_SET_FLAGS, _ANONYMOUS = 3, 1  # in the last of four bytes
# So many in a message: a list is not longer than 64 KiB, and none of ours takes more than 100 bytes.
_TOGETHER = 500
# There is no such table, or nothing of the kind in this kernel.
_NONE = (errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP, errno.EAFNOSUPPORT)

SOON = "try again in a few seconds"
# As small as a table can be that sees packets; gone again in the same transaction.
_PROBE = "mooring-probe"
_SMALLEST = "table {0}\nadd chain {0} seen {{ type filter hook prerouting priority 0; }}\ndelete table {0}\n"
_LACKING = "this kernel cannot filter bridged traffic (nf_tables_bridge is missing)"


class Table:
    """A table in facts: the one of that name which the text describes."""

    def __init__(self, batches: Batches, name: str = TABLE, text: TableText = FIREWALL) -> None:
        self._batches = batches
        self._name = name
        self._text = text
        self._path = f"{text.family} {name}"
        self._family = family(text.family)
        self._named = self._family + text_of(_TABLE, name)
        # As it was read last: most of it is the same the next time, and to read it anew is most of what that costs.
        self._known: dict[str, dict[bytes, Member | None]] = {}

    @property
    def family(self) -> str:
        """Of nftables."""
        return self._text.family

    def has(self, member: Member) -> bool:
        """Whether the element's set or map is one of this table."""
        return member.container in self._text.containers

    def observe(self) -> tuple[Ruleset | None, list[Member]]:
        """The table and its elements. A table with more or fewer rules or sets than its text has shows as damaged, as
        does one with elements that are none of ours by their very form: they are left out, here and in a table written
        anew. Raises Unavailable."""
        try:
            return self._batches.unchanged(self._observe)
        except NetlinkError as error:
            if error.errno in _NONE:
                return None, []
            raise Unavailable(f"the table {self._path} cannot be read: {error.strerror}", hint=SOON) from error

    def _observe(self) -> tuple[Ruleset | None, list[Member]]:
        sets = [attributes(told) for told in self._batches.list(Message(GET_SET, 0, self._named))]
        named = {as_text(told[_SET_NAME]) for told in sets if not told.get(_SET_FLAGS, b"\0")[-1] & _ANONYMOUS}
        found = [member for name in self._text.containers if name in named for member in self._elements(name)]
        whole = self._rules() == self._text.rule_count and None not in found and named == self._text.containers.keys()
        digest = next((name for name in self._chains() if name.startswith(VERSION_PREFIX)), "")
        digest = digest.removeprefix(VERSION_PREFIX)
        if digest == self._text.digest and not whole:
            digest += "-damaged"
        return Ruleset(digest, self._text.family), [member for member in found if member is not None]

    def _chains(self) -> Iterator[str]:
        for told in map(attributes, self._batches.list(Message(GET_CHAIN, 0, self._family))):
            if as_text(told[_TABLE]) == self._name:
                yield as_text(told[_CHAIN_NAME])

    def _rules(self) -> int:
        rules = map(attributes, self._batches.list(Message(GET_RULE, 0, self._named)))
        return sum(as_text(told[_TABLE]) == self._name for told in rules)

    def _elements(self, name: str) -> list[Member | None]:
        """What the set or map holds; None for what somebody else put there in a form that core never writes. Raises
        NetlinkError."""
        container, known = self._text.containers[name], self._known.get(name, {})
        found: dict[bytes, Member | None] = {}
        asked = Message(GET_ELEMENTS, 0, self._named + text_of(_SET_NAME, name))
        for told in self._batches.list(asked):
            for element in listed(attributes(told).get(_ELEMENTS, b"")):
                found[element] = known[element] if element in known else _unpacked(name, container, element)
        self._known[name] = found
        return list(found.values())

    def is_current(self) -> bool:
        """Whether the table is there and made from this version's text."""
        name = text_of(_CHAIN_NAME, f"{VERSION_PREFIX}{self._text.digest}")
        try:
            self._batches.ask(Message(GET_CHAIN, 0, self._named + name))
        except NetlinkError:
            return False
        return True

    def write(self) -> None:
        """The table is this version's, with the elements that it had; packets never meet anything in between.

        Connections go on: tracking is not touched. Elements that no longer fit are left out, for repair to add. Raises
        Unavailable.
        """
        anew = f"table {self._path}\ndelete table {self._path}\n{self._text.text(self._name)}"
        _, members = self.observe()
        try:
            load(anew + "".join(self._lines(members)))
        except NftablesError:
            self._check_kernel()
            try:
                load(anew)
            except NftablesError as error:
                raise self._refusal(error) from error

    def _lines(self, members: Iterable[Member]) -> Iterator[str]:
        """The elements as text."""
        for name, run in groupby(members, lambda member: member.container):
            told = ", ".join(f"{member.element} : {member.value}" if member.value else member.element for member in run)
            yield f"add element {self._path} {name} {{ {told} }}\n"

    def _check_kernel(self) -> None:
        """Raises NotSupported where the kernel takes no table of the family at all."""
        try:
            load(_SMALLEST.format(f"{self.family} {_PROBE}"))
        except NftablesError as error:
            if self.family == PORT_SECURITY.family:
                hint = "create networks with `-o port_security=off`, or boot a kernel that has it"
                raise NotSupported(f"{_LACKING}: {error}", hint=hint) from error

    def remove(self) -> None:
        """The table is not there. Raises Unavailable."""
        anyway = Message(NEW_TABLE, NLM_F_CREATE, self._named)
        self._carry_out([anyway, Message(DELETE_TABLE, 0, self._named)])

    def change(self, ops: Sequence[MemberOp]) -> list[MemberOp]:
        """Carry out element ops in one transaction and return those that undo it.

        Raises Conflict for an Add of a key that has another value, Unavailable for anything else that goes wrong.
        """
        if not ops:
            return []
        try:
            self._batches.carry_out(*self._messages(ops))
        except NetlinkError:
            # Some of it may be there already, or gone: look, and do only what is left to do.
            ops = self._outstanding(ops)
            self._carry_out(self._messages(ops))
        return [op.inverse() for op in reversed(ops)]

    def _outstanding(self, ops: Sequence[MemberOp]) -> list[MemberOp]:
        have: dict[tuple[str, ...], Member] = {}
        for name in {_member(op).container for op in ops}:
            try:
                have.update((member.key, member) for member in self._elements(name) if member is not None)
            except NetlinkError as error:
                if error.errno not in _NONE:
                    raise self._refusal(error.strerror) from error
        left: list[MemberOp] = []
        for op in ops:
            member = _member(op)
            present = have.get(member.key)
            if isinstance(op, Remove):
                if present is not None:
                    left.append(Remove(present))
                    del have[member.key]
                continue
            if present is not None and present != member and isinstance(op, Add):
                raise Conflict(
                    f"{member.container} already has {member.element}, leading to {present.value}", hint=SOON
                )
            if present is None:
                left.append(Add(member))
            elif present != member:
                left.append(Alter(present, member))
            have[member.key] = member
        return left

    def _carry_out(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        try:
            self._batches.carry_out(*messages)
        except NetlinkError as error:
            raise self._refusal(error.strerror) from error

    def _refusal(self, why: object) -> Unavailable:
        return Unavailable(f"the table {self._path} cannot be changed: {why}", hint=SOON)

    def _messages(self, ops: Iterable[MemberOp]) -> list[Message]:
        """What the ops ask for, in order; of a run of the same verb those of a container share messages. Raises
        Unavailable.

        Never "add", always "create": the kernel then says when an element is there already, so that undoing never takes
        away what others made.
        """
        messages = []
        for kind, run in groupby(_steps(ops), lambda step: step[0]):
            lists: defaultdict[str, list[bytes]] = defaultdict(list)
            for _, member in run:
                container = self._text.containers[member.container]
                try:
                    lists[member.container].append(packed(container, member, with_value=kind == NEW_ELEMENTS))
                except (ValueError, OverflowError) as error:
                    raise self._refusal(error) from error
            flags = NLM_F_CREATE | NLM_F_EXCL if kind == NEW_ELEMENTS else 0
            for name, elements in lists.items():
                where = self._named + text_of(_SET_NAME, name)
                for first in range(0, len(elements), _TOGETHER):
                    told = nest(_ELEMENTS, *elements[first : first + _TOGETHER])
                    messages.append(Message(kind, flags, where + told))
        return messages


def tables_of(batches: Batches, owner: Owner) -> tuple[Table, ...]:
    """The owner's tables."""
    return Table(batches, owner.table), Table(batches, owner.table, PORT_SECURITY)


def _unpacked(name: str, container: Container, element: bytes) -> Member | None:
    try:
        return unpacked(name, container, element)
    except ValueError:
        return None


def _member(op: MemberOp) -> Member:
    fact = op.after if isinstance(op, Alter) else op.fact
    assert isinstance(fact, Member)
    return fact


def _steps(ops: Iterable[MemberOp]) -> Iterator[tuple[int, Member]]:
    for op in ops:
        if isinstance(op, Alter):
            assert isinstance(op.before, Member)
            yield DELETE_ELEMENTS, op.before
        yield (DELETE_ELEMENTS if isinstance(op, Remove) else NEW_ELEMENTS), _member(op)
