"""A list of containers that is asked for by its ports, as `docker ps --filter publish=8080` does.

The engine looks for the ports that it knows, and of a plugin's networks it knows none. Whoever knows them asks for the
list without these two filters, and chooses from it as the engine would (moby daemon/list.go, portOp and
includeContainerInList): `publish` is about the host's ports and `expose` about the container's, one that fits is
enough, each value is `80`, `80/udp` or `8000-8010/tcp`, and a limit counts what is left in the end.

Rules: what the engine would refuse, or might read otherwise, is no PortQuery, so that it says so itself; of the
elements that are chosen no byte changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from mooring.wire.go_json import Unread

FILTERS = ("publish", "expose")

_VALUE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/([A-Za-z]*))?")
_LIMIT = re.compile(r"-?[0-9]{1,9}|")


class Span(NamedTuple):
    """Ports of a protocol, from the first to the last."""

    label: str
    first: int
    last: int


class PortPair(NamedTuple):
    """One port of a container, as a list shows it; host: 0 where it is merely exposed."""

    label: str
    port: int
    host: int


@dataclass(frozen=True, slots=True)
class PortQuery:
    """query: what asks for the list without the two filters, so that all are in it that may be chosen. publish, expose:
    one of these fits. most: so many of the list are wanted, 0 for all."""

    query: str
    publish: tuple[Span, ...]
    expose: tuple[Span, ...]
    most: int = 0

    def fits(self, ports: Iterable[PortPair]) -> bool:
        """Whether a container with these ports is one of those that are asked for."""
        return any(
            _within(self.publish, pair.label, pair.host) or _within(self.expose, pair.label, pair.port)
            for pair in ports
        )


def port_query(query: Mapping[str, str]) -> PortQuery | None:
    """What a list's query asks of ports; None for nothing, and for what is better left to the engine."""
    text = query.get("filters", "")
    if not any(name in text for name in FILTERS):
        return None
    try:
        filters = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        spans = {name: _spans(filters.pop(name)) if name in filters else () for name in FILTERS}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    limit = query.get("limit", "")
    if not any(spans.values()) or _LIMIT.fullmatch(limit) is None:
        return None
    rest = {name: value for name, value in query.items() if name not in ("filters", "limit")}
    rest["filters"] = msgspec.json.encode(filters).decode()
    most = max(0, int(limit or "0"))
    if most:
        rest["all"] = "1"  # a limit means the stopped ones, too
    return PortQuery(urlencode(rest), spans["publish"], spans["expose"], most)


def chosen(body: bytes, asked: PortQuery) -> bytes:
    """The list with what is asked for. Raises Unread."""
    try:
        rows = msgspec.json.decode(body, type=list[msgspec.Raw])
        kept: list[bytes] = []
        for row in rows:
            if asked.fits(_pairs(row)):
                kept.append(bytes(row))
                if len(kept) == asked.most:
                    break
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Unread from None
    return b"[" + b",".join(kept) + b"]" + body[body.rindex(b"]") + 1 :]


class _Port(msgspec.Struct):
    port: int = msgspec.field(default=0, name="PrivatePort")
    host_port: int = msgspec.field(default=0, name="PublicPort")
    label: str = msgspec.field(default="", name="Type")


class _Row(msgspec.Struct):
    ports: list[_Port] | None = msgspec.field(default=None, name="Ports")


def _pairs(row: msgspec.Raw) -> Iterable[PortPair]:
    ports = msgspec.json.decode(row, type=_Row).ports or ()
    return (PortPair(each.label, each.port, each.host_port) for each in ports)


def _within(spans: Iterable[Span], label: str, port: int) -> bool:
    return any(span.label == label and span.first <= port <= span.last for span in spans)


def _spans(raw: msgspec.Raw) -> tuple[Span, ...]:
    """A filter's values: the keys of a map, whatever is behind them, or a list (moby api/types/filters). Raises
    ValueError for what the engine may refuse."""
    values = msgspec.json.decode(raw, type=dict[str, bool] | list[str] | None) or ()
    return tuple(_span(value) for value in values)


def _span(value: str) -> Span:
    found = _VALUE.fullmatch(value)
    if found is None:
        raise ValueError(value)
    first = int(found[1])
    last = int(found[2]) if found[2] else first
    if not first <= last < 1 << 16:
        raise ValueError(value)
    return Span((found[3] or "tcp").lower(), first, last)
