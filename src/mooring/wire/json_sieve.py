"""A JSON object of any size, read as it comes, of which only the fields remain that somebody wants to see.

Rules: memory is bounded, whatever comes; what remains reads to go_json as the whole would, as far as the wanted fields
go; of what is no JSON it may make anything, for the engine refuses that anyway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mooring.core.keys import FIXED_LABEL, KEY_LABEL, PORT_LABEL
from mooring.wire.go_json import LARGEST, decoded_name, same_name

_SPACE = re.compile(rb"[ \t\n\r,]*+")
# Of a string, as far as so many escapes go: each is remembered until the match ends.
_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+){0,512}', re.DOTALL)
_LITERAL = re.compile(rb"[^ \t\n\r,{}\[\]\"]*+")
_AFTER = re.compile(rb"[^,}]*+")
_MARK = re.compile(rb"[{}\[\]]")


class Wanted(NamedTuple):
    """What of an object is wanted. fields: by name, None for a field without fields of its own. keys: the object is a
    map, of which these are wanted, or all for None. names: of that map only the keys are, and their values are null.
    whole: of an object or a list every byte is."""

    fields: Mapping[str, Wanted | None] = {}
    keys: frozenset[str] | None = frozenset()
    names: bool = False
    whole: bool = False


# What decides whether a create is ours: its networks, and the labels that may say that it has no fixed address.
CREATE: Final = Wanted(
    {
        "HostConfig": Wanted({"NetworkMode": None}),
        "NetworkingConfig": Wanted({"EndpointsConfig": Wanted(keys=None, names=True)}),
        "Labels": Wanted(keys=frozenset({FIXED_LABEL, KEY_LABEL, PORT_LABEL})),
    }
)


WHOLE: Final = Wanted(whole=True)


@dataclass(slots=True)
class _Frame:
    """An object that is being read. expects: what comes next. key, child: of the member that is being read; drop: it is
    not wanted."""

    wanted: Wanted
    expects: str = "key"
    key: bytes = b""
    child: Wanted | None = None
    drop: bool = True
    count: int = 0


@dataclass(slots=True)
class Sieve:
    """done: the object has ended. overflow: what is wanted of it is too much to be kept. length: of the object that has
    ended, in bytes from the first one on."""

    wanted: Wanted
    done: bool = False
    overflow: bool = False
    length: int = 0
    _out: bytearray = field(default_factory=bytearray)
    _stack: list[_Frame] = field(default_factory=list)
    _pending: bytes = b""
    _depth: int = 0  # of the value that is passed over
    _in_string: bool = False  # one that is passed over
    _copies: bool = False  # what is passed over is wanted as it is
    _read: int = 0

    @property
    def document(self) -> bytes:
        """What is left of the object, once it has ended."""
        return bytes(self._out)

    def feed(self, data: bytes) -> None:
        """More of it."""
        before = self._read - len(self._pending)
        self._read += len(data)
        data = self._pending + data if self._pending else data
        self._pending = b""
        pos, size = 0, len(data)
        while pos < size and not self.done and not self.overflow:
            if self._in_string or self._depth:
                pos = self._pass(data, pos)
            else:
                pos = self._step(data, pos)
            if pos < 0:  # it goes on with the next bytes
                break
        if self.done:
            self.length = before + pos
        if len(self._out) + len(self._pending) > LARGEST:
            self.overflow = True

    def _wait(self, data: bytes, pos: int) -> int:
        self._pending = data[pos:]
        return -1

    def _pass(self, data: bytes, pos: int) -> int:
        copies = self._copies
        end = self._pass_string(data, pos) if self._in_string else self._pass_value(data, pos)
        if copies:
            self._out += data[pos : end if end >= 0 else len(data) - len(self._pending)]
            self._copies = self._in_string or self._depth > 0
        return end

    def _pass_string(self, data: bytes, pos: int) -> int:
        pos = _string_end(data, pos)
        if pos == len(data):
            return pos
        if data[pos] != ord('"'):  # half of an escape
            return self._wait(data, pos)
        self._in_string = False
        return pos + 1

    def _pass_value(self, data: bytes, pos: int) -> int:
        quote = data.find(b'"', pos)
        end = quote if quote >= 0 else len(data)
        closes = data.count(b"}", pos, end) + data.count(b"]", pos, end)
        if closes < self._depth:
            self._depth += data.count(b"{", pos, end) + data.count(b"[", pos, end) - closes
        else:
            for mark in _MARK.finditer(data, pos, end):
                self._depth += 1 if mark[0] in b"{[" else -1
                if not self._depth:
                    return mark.end()
        self._in_string = quote >= 0
        return end + 1 if quote >= 0 else end

    def _step(self, data: bytes, pos: int) -> int:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.expects == "end":
            found = _AFTER.match(data, pos)
            pos = found.end() if found is not None else pos
            if pos < len(data):
                frame.expects = "key"
            return pos
        found = _SPACE.match(data, pos)
        pos = found.end() if found is not None else pos
        if pos == len(data):
            return pos
        sign = data[pos : pos + 1]
        if frame is None:
            if sign == b"{":
                self._open(self.wanted)
            else:  # the engine wants an object
                self._out += b"null"
                self.done = True
            return pos + 1
        if frame.expects == "value":
            return self._value(frame, data, pos, sign)
        if sign == b"}":
            self._out += b"}"
            self._stack.pop()
            self.done = not self._stack
            return pos + 1
        if sign != b'"':  # the colon, or nothing that belongs here
            frame.expects = "value" if sign == b":" else frame.expects
            return pos + 1
        end = _string_end(data, pos + 1) + 1
        if data[end - 1 : end] != b'"':
            return self._wait(data, pos)
        self._choose(frame, data[pos:end])
        return end

    def _choose(self, frame: _Frame, key: bytes) -> None:
        """The member with this name comes next."""
        name, wanted = decoded_name(key), frame.wanted
        frame.key, frame.child, frame.drop = key, None, True
        if wanted.keys is None or name in wanted.keys:
            frame.drop = False
        for known, child in wanted.fields.items():
            if same_name(name, known):
                frame.child, frame.drop = child, False

    def _value(self, frame: _Frame, data: bytes, pos: int, sign: bytes) -> int:
        bare = frame.wanted.names
        keep = not (frame.drop or bare)
        if keep and frame.child is not None and frame.child.whole and sign in b"{[":
            self._name(frame)
            self._out += sign
            frame.expects, self._depth, self._copies = "end", 1, True
            return pos + 1
        if sign == b"{" and keep and frame.child is not None:
            self._name(frame)
            frame.expects = "end"
            self._open(frame.child)
            return pos + 1
        text, end = b"null", pos
        if sign in b"{[":
            self._depth, end = 1, pos + 1
        elif sign != b'"':
            found = _LITERAL.match(data, pos)
            end = found.end() if found is not None else pos
            if keep and end == len(data):
                return self._wait(data, pos)
            text = data[pos:end]
        elif keep and frame.child is None:
            end = _string_end(data, pos + 1) + 1
            if data[end - 1 : end] != b'"':
                return self._wait(data, pos)
            text = data[pos:end]
        else:
            self._in_string, end = True, pos + 1
        if not frame.drop:
            self._name(frame)
            self._out += b"null" if bare else text
        frame.expects = "end"
        return end

    def _name(self, frame: _Frame) -> None:
        self._out += (b"," if frame.count else b"") + frame.key + b":"
        frame.count += 1

    def _open(self, wanted: Wanted) -> None:
        self._out += b"{"
        self._stack.append(_Frame(wanted))


def _string_end(data: bytes, pos: int) -> int:
    """Where the string that goes on there has its quote; without one, where the data or its last whole escape ends."""
    while (found := _REST.match(data, pos)) is not None:
        pos = found.end()
        if data[pos : pos + 1] != b"\\" or pos + 1 == len(data):
            break
    return pos
