"""The engine's own nameservers, `dns` in its configuration file (daemon.json), with the host's DNS server first.

Rules: only the value of `dns` changes, and everything else of the file, spaces and order included, stays as it is; what
was there stands behind our server, so that a daemon that is down costs the names of containers and no others; what is
put back is, letter for letter, what was there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from mooring.core.dns_places import ADDRESS4, ADDRESSES
from mooring.core.faults import BadRequest

KEY = "dns"
# Of resolv.conf(5): who reads it asks no more than the first three.
MOST_ASKED = 3
_SPACE = " \t\r\n"
_OURS = frozenset(map(str, ADDRESSES))


@dataclass(frozen=True, slots=True)
class _Member:
    """A key of the outermost object and its value: places in the text."""

    name: str
    start: int
    value: int
    end: int


def settings_in(text: str) -> dict[str, Any]:
    """What the file sets; an empty one sets nothing. Raises BadRequest for what is no JSON object."""
    try:
        found = json.loads(text) if text.strip(_SPACE) else {}
    except ValueError as error:
        raise BadRequest(
            f"it is not JSON: {error}", hint="dockerd would not start with it: correct it first"
        ) from error
    if not isinstance(found, dict):
        raise BadRequest("it is no JSON object", hint="dockerd would not start with it: correct it first")
    return found


def nameservers_in(text: str) -> tuple[str, ...]:
    """The value of `dns`, empty without one. Raises BadRequest for what is no list of addresses."""
    found = settings_in(text).get(KEY) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadRequest(f'"{KEY}" is no list of addresses', hint="dockerd would not start with it: correct it first")
    return tuple(found)


def names_our_server(text: str) -> bool:
    """Whether the engine gives its containers the host's DNS server; of what cannot be read, nothing."""
    try:
        return not _OURS.isdisjoint(nameservers_in(text))
    except BadRequest:
        return False


def with_our_server(servers: Sequence[str]) -> tuple[str, ...]:
    """Ours before the others."""
    return (str(ADDRESS4), *without_our_server(servers))


def without_our_server(servers: Sequence[str]) -> tuple[str, ...]:
    """The others."""
    return tuple(dict.fromkeys(each for each in servers if each not in _OURS))


def reached_by_containers(servers: Sequence[str]) -> tuple[str, ...]:
    """Those that are not the host's or a container's own loopback, where a container finds nobody."""
    return tuple(each for each in servers if not _is_loopback(each))


def _is_loopback(server: str) -> bool:
    try:
        return ip_address(server).is_loopback
    except ValueError:
        return False


def value_in(text: str) -> str | None:
    """The value of `dns`, as it is written; None without one. Raises BadRequest."""
    settings_in(text)
    member = next((each for each in _members(text) if each.name == KEY), None)
    return text[member.value : member.end] if member is not None else None


def value_without_our_server(value: str | None) -> str | None:
    """A value as it was written, and without our server; None where nobody is left. Raises BadRequest."""
    servers = nameservers_in(f'{{"{KEY}": {value}}}') if value is not None else ()
    if _OURS.isdisjoint(servers):
        return value
    rest = without_our_server(servers)
    return written(rest) if rest else None


def with_value(text: str, value: str | None) -> str:
    """The file with this value of `dns`, written like that; None for none. Raises BadRequest."""
    settings_in(text)
    members = _members(text)
    mine = [index for index, each in enumerate(members) if each.name == KEY]
    if len(mine) > 1:
        raise BadRequest(f'"{KEY}" is there twice', hint="take one of them out")
    if value is None:
        return _without(text, members, mine[0]) if mine else text
    if mine:
        member = members[mine[0]]
        return text[: member.value] + value + text[member.end :]
    if not members:
        return f'{{\n  "{KEY}": {value}\n}}\n'
    last = members[-1]
    opening = members[-2].end + text[members[-2].end :].index(",") + 1 if len(members) > 1 else text.index("{") + 1
    return f'{text[: last.end]},{text[opening : last.start] or " "}"{KEY}": {value}{text[last.end :]}'


def written(servers: Sequence[str]) -> str:
    """As a value."""
    return json.dumps(list(servers))


def _without(text: str, members: Sequence[_Member], index: int) -> str:
    member = members[index]
    if index:
        return text[: members[index - 1].end] + text[member.end :]
    if len(members) > 1:
        return text[: member.start] + text[members[1].start :]
    return text[: text.index("{") + 1] + text[text.rindex("}") :]


def _members(text: str) -> list[_Member]:
    """Of a text that is known to be an object, or empty."""
    decoder = json.JSONDecoder()
    found = list[_Member]()
    at = _skip(text, _skip(text, 0) + 1)
    while at < len(text) and text[at] == '"':
        name, behind = decoder.raw_decode(text, at)
        value = _skip(text, _skip(text, behind) + 1)
        _, end = decoder.raw_decode(text, value)
        found.append(_Member(name, at, value, end))
        at = _skip(text, _skip(text, end) + 1)
    return found


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
