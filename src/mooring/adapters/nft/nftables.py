"""Our nftables tables, read and written in process through libnftables.

Rules: one call is one transaction; only the owner's tables are written, `mooring` or `mooring-<owner>`;
elements are spelled one way, that of core/firewall, however the library spells them; the library is never called where
it would end the program (it does when it cannot open a socket, and glibc does when its socket's descriptor is 1024 or
more). An object belongs to one thread and to that thread's network namespace.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from ctypes.util import find_library
from typing import Any

import msgspec

from mooring.adapters.netlink.ownership import Owner
from mooring.adapters.netlink.sockets import NETLINK_NETFILTER, Message, Netlink, text
from mooring.adapters.nft.low_descriptors import Reserve, check_room, netlink_sockets_above
from mooring.core.faults import Conflict, NotSupported, Unavailable
from mooring.core.firewall import FIREWALL, TABLE
from mooring.core.plumbing import Add, Alter, Member, Remove, Ruleset
from mooring.core.port_security import PORT_SECURITY
from mooring.core.rulesets import VERSION_PREFIX, TableText

MemberOp = Add | Remove | Alter

# include/nftables/libnftables.h
_CONTEXT_DEFAULT = 0
_OUTPUT_JSON = 1 << 4
_OUTPUT_NUMERIC_ALL = (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10)

# It waits for the kernel with select(2) (nftables, src/mnl.c, mnl_batch_talk).
_reserve = Reserve()

# linux/netfilter/nf_tables.h, nfnetlink.h: NFNL_SUBSYS_NFTABLES, NFT_MSG_GETCHAIN, NFPROTO_*
_GET_CHAIN, _CHAIN_TABLE, _CHAIN_NAME = (10 << 8) | 4, 1, 3
_FAMILIES = {"inet": b"\x01\0\0\0", "bridge": b"\x07\0\0\0"}

SOON = "try again in a few seconds"
# As small as a table can be that sees packets; gone again in the same transaction.
_PROBE = "mooring-probe"
_SMALLEST = "table {0}\nadd chain {0} seen {{ type filter hook prerouting priority 0; }}\ndelete table {0}\n"
_LACKING = "this kernel cannot filter bridged traffic (nf_tables_bridge is missing)"

_PROTOCOLS = {"tcp": "6", "udp": "17", "sctp": "132"}


class NftablesError(Exception):
    """The library or the kernel refused; the text is the library's, in one line."""


class Nftables:
    """One library context. Raises Unavailable when the library is missing, or too many files are open."""

    def __init__(self) -> None:
        check_room("nftables cannot be used")
        self._library = _load()
        self._context: int | None = _new_context(self._library)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self._netlink: Netlink | None = None

    def close(self) -> None:
        """Let go of the context. Twice is fine."""
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None
            _reserve.refill()
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def run(self, commands: str) -> str:
        """Carry out the commands in one transaction and return what they print. Raises NftablesError, and Unavailable
        when too many files are open."""
        # Some rules of others make it open a socket to read them, and end the program if it cannot (src/iface.c).
        check_room("nftables cannot be used")
        status = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context)
        errors: bytes = self._library.nft_ctx_get_error_buffer(self._context)
        if status:
            first = errors.decode(errors="replace").strip().splitlines()[:1]
            raise NftablesError(" ".join(first) or "no reason given")
        return output.decode(errors="replace")

    def has_chain(self, family: str, table: str, chain: str) -> bool:
        """Whether the table has the chain. Asked of the kernel itself: the library would read every
        element of the table first."""
        asked = _FAMILIES[family] + text(_CHAIN_TABLE, table) + text(_CHAIN_NAME, chain)
        try:
            self._netlink = self._netlink or Netlink(NETLINK_NETFILTER)
            self._netlink.ask(Message(_GET_CHAIN, 0, asked))
        except OSError:
            return False
        return True

    def ask(self, command: str) -> list[dict[str, Any]]:
        """What a list command shows, as the library's JSON objects (libnftables-json(5)). Raises NftablesError."""
        self._library.nft_ctx_output_set_flags(self._context, _OUTPUT_JSON | _OUTPUT_NUMERIC_ALL)
        try:
            text = self.run(command)
        finally:
            self._library.nft_ctx_output_set_flags(self._context, 0)
        objects: list[dict[str, Any]] = msgspec.json.decode(text)["nftables"] if text.strip() else []
        return objects


class Table:
    """A table in facts: the one of that name which the text describes."""

    def __init__(self, nftables: Nftables, name: str = TABLE, text: TableText = FIREWALL) -> None:
        self._nftables = nftables
        self._name = name
        self._text = text
        self._path = f"{text.family} {name}"

    @property
    def family(self) -> str:
        """Of nftables."""
        return self._text.family

    def has(self, member: Member) -> bool:
        """Whether the element's set or map is one of this table."""
        return member.container in self._text.containers

    def observe(self) -> tuple[Ruleset | None, list[Member]]:
        """The table and its elements. A table with more or fewer rules than its text has shows as damaged, as does one
        with elements that are none of ours by their very form: they are left out, here and in a table written anew."""
        try:
            objects = self._nftables.ask(f"list table {self._path}")
        except NftablesError:
            return None, []
        digest, rules = "", 0
        for entry in objects:
            name = entry["chain"]["name"] if "chain" in entry else ""
            if name.startswith(VERSION_PREFIX):
                digest = name.removeprefix(VERSION_PREFIX)
            rules += "rule" in entry
        members = list(_members(objects))
        whole = rules == self._text.rule_count and None not in members
        if digest == self._text.digest and not whole:
            digest += "-damaged"
        return Ruleset(digest, self._text.family), [member for member in members if member is not None]

    def is_current(self) -> bool:
        """Whether the table is there and made from this version's text."""
        return self._nftables.has_chain(self.family, self._name, f"{VERSION_PREFIX}{self._text.digest}")

    def write(self) -> None:
        """The table is this version's, with the elements that it had; packets never meet anything in between.

        Connections go on: tracking is not touched. Elements that no longer fit are left out, for repair to add.
        """
        anew = f"table {self._path}\ndelete table {self._path}\n{self._text.text(self._name)}"
        _, members = self.observe()
        try:
            self._nftables.run(anew + self._commands(Add(member) for member in members))
        except NftablesError:
            self._check_kernel()
            self._run(anew)

    def _check_kernel(self) -> None:
        """Raises NotSupported where the kernel takes no table of the family at all."""
        try:
            self._nftables.run(_SMALLEST.format(f"{self.family} {_PROBE}"))
        except NftablesError as error:
            if self.family == PORT_SECURITY.family:
                hint = "create networks with `-o port_security=off`, or boot a kernel that has it"
                raise NotSupported(f"{_LACKING}: {error}", hint=hint) from error

    def remove(self) -> None:
        """The table is not there."""
        self._run(f"table {self._path}\ndelete table {self._path}\n")

    def change(self, ops: Sequence[MemberOp]) -> list[MemberOp]:
        """Carry out element ops in one transaction and return those that undo it.

        Raises Conflict for an Add of a key that has another value, Unavailable for anything else that goes wrong.
        """
        if not ops:
            return []
        try:
            self._nftables.run(self._commands(ops))
        except NftablesError:
            # Some of it may be there already, or gone: look, and do only what is left to do.
            ops = self._outstanding(ops)
            self._run(self._commands(ops))
        return [op.inverse() for op in reversed(ops)]

    def _outstanding(self, ops: Sequence[MemberOp]) -> list[MemberOp]:
        have = {member.key: member for name in {_member(op).container for op in ops} for member in self._elements(name)}
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
                    f"{member.container} already has {member.element}, leading to {present.value}",
                    hint="try again in a few seconds",
                )
            if present is None:
                left.append(Add(member))
            elif present != member:
                left.append(Alter(present, member))
            have[member.key] = member
        return left

    def _elements(self, container: str) -> list[Member]:
        """What the set or map holds; nothing when there is no such."""
        kind = "map" if container in self._text.maps else "set"
        try:
            objects = self._nftables.ask(f"list {kind} {self._path} {container}")
        except NftablesError:
            return []
        return [member for member in _members(objects) if member is not None]

    def _run(self, commands: str) -> None:
        if not commands:
            return
        try:
            self._nftables.run(commands)
        except NftablesError as error:
            raise Unavailable(f"the table {self._path} cannot be changed: {error}", hint=SOON) from error

    def _commands(self, ops: Iterable[MemberOp]) -> str:
        """The commands for the ops, in order; runs of the same verb and container share one command.

        `create`, not `add`: the kernel then says when an element is there already, so that undoing never takes away
        what others made.
        """
        lines: list[str] = []
        before: tuple[str, str] | None = None
        for verb, member in _steps(ops):
            text = member.element
            if verb == "create" and member.value:
                text += f" : {member.value}"
            if before == (verb, member.container):
                lines.append(f", {text}")
            else:
                lines.append(
                    f"{' }' + chr(10) if before else ''}{verb} element {self._path} {member.container} {{ {text}"
                )
            before = verb, member.container
        return "".join(lines) + " }\n" if lines else ""


def tables_of(nftables: Nftables, owner: Owner) -> tuple[Table, ...]:
    """The owner's tables."""
    return Table(nftables, owner.table), Table(nftables, owner.table, PORT_SECURITY)


def _new_context(library: ctypes.CDLL) -> int:
    """A context whose socket select(2) can wait for."""
    try:
        above = netlink_sockets_above(NETLINK_NETFILTER)
        with _reserve.lent():
            context: int | None = library.nft_ctx_new(_CONTEXT_DEFAULT)
        if not context:
            raise Unavailable("nftables cannot be used: no netlink socket", hint="run Mooring as root")
        # Another thread may have been quicker. New sockets of other threads count, too: once too often is no harm.
        if netlink_sockets_above(NETLINK_NETFILTER) <= above:
            return context
    except OSError as error:
        raise Unavailable(f"nftables cannot be used: {error.strerror}") from error
    library.nft_ctx_free(context)
    raise Unavailable(
        "nftables cannot be used: the program has more than 1000 files open",
        hint="import mooring before that, or open fewer",
    )


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        name = find_library("nftables")
        if name is None:
            raise Unavailable(
                "nftables cannot be used: libnftables.so.1 is missing", hint="apt-get install libnftables1"
            ) from None
        library = ctypes.CDLL(name)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for function in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, function).argtypes = [ctypes.c_void_p]
    for function in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, function).argtypes = [ctypes.c_void_p]
        getattr(library, function).restype = ctypes.c_char_p
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def _member(op: MemberOp) -> Member:
    fact = op.after if isinstance(op, Alter) else op.fact
    assert isinstance(fact, Member)
    return fact


def _steps(ops: Iterable[MemberOp]) -> Iterator[tuple[str, Member]]:
    for op in ops:
        if isinstance(op, Alter):
            assert isinstance(op.before, Member)
            yield "delete", op.before
        yield ("delete" if isinstance(op, Remove) else "create"), _member(op)


def _members(objects: Iterable[dict[str, Any]]) -> Iterator[Member | None]:
    """The elements; None for what somebody else put there in a form that core never writes, as a range or a pattern."""
    for entry in objects:
        body = entry.get("set") or entry.get("map")
        if body is None:
            continue
        for element in body.get("elem", ()):
            try:
                yield _spelled(body, element)
            except (LookupError, TypeError, ValueError, AttributeError):
                # libnftables-json(5) has many forms, and every version adds some.
                yield None


def _spelled(body: dict[str, Any], element: Any) -> Member:
    if "map" in body:
        key, value = element
        return Member(body["name"], _spell(key, _types(body["type"])), _spell(value, _types(body["map"])))
    return Member(body["name"], _spell(element, _types(body["type"])))


def _types(told: str | list[str] | dict[str, Any]) -> list[str]:
    if isinstance(told, dict):  # from 1.1 on a set that was declared by `typeof` is told so
        return [_type_of(part) for part in told["typeof"]["concat"]]
    return told if isinstance(told, list) else told.split(" . ")


def _type_of(expression: dict[str, Any]) -> str:
    if "meta" in expression:
        return "ifname"
    return "integer" if "base" in expression["payload"] else "ether_addr"


def _spell(value: Any, types: list[str]) -> str:
    if isinstance(value, dict) and "elem" in value:
        value = value["elem"]["val"]
    parts = value["concat"] if isinstance(value, dict) and "concat" in value else [value]
    return " . ".join(_spell_one(part, kind) for part, kind in zip(parts, types, strict=True))


def _spell_one(value: Any, kind: str) -> str:
    """Raises LookupError, TypeError or ValueError for what core never writes."""
    if isinstance(value, dict):
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    if not isinstance(value, str | int):
        raise TypeError(f"an element is not a {type(value).__name__}")
    if kind == "ifname":
        if '"' in str(value):
            raise ValueError(f"nftables could not read {value} back")
        return f'"{value}"'
    if kind == "mark":
        return f"0x{value:08x}"
    if kind == "integer":
        return f"{int(str(value), 0):#x}"
    if kind == "inet_proto":
        return _PROTOCOLS.get(str(value), str(value))
    return str(value)
