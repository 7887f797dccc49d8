"""JSON as Go's encoding/json reads it into structures, with the place of every value, so that one can be changed alone.

Rules: a structure's field has its name in any case of letters, a map's key is exactly its text; a field that comes
twice is read twice, into the same place: objects are merged, of other values the last one holds; null empties an object
and leaves anything else as it is; a change leaves every byte outside of the changed value as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

# Fields that are maps, whose keys are names.
MAPS = frozenset({"DriverOpts", "EndpointsConfig", "Labels"})

# What reading costs grows with the marks in the text: that much is read in a fraction of a second, whatever it is.
LARGEST = 1 << 20

# Every repetition is possessive (the + after it), so that what does not match fails at once, whatever the text. A group
# is repeated so only where it cannot fail in its middle, since Python before 3.11.5 goes on from there (gh-106052): a
# string has an end, as the text has been checked.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT = rb'[\[{][^"\[\]{}]*+(?:' + _STRING + rb'[^"\[\]{}]*+)*+[\]}]'
_KEY = rb'[ \t\n\r,]*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"[ \t\n\r]*+:[ \t\n\r]*+'
# A name and its value, which is missing where it is nested deeper.
_MEMBER = re.compile(_KEY + rb"(" + _STRING + rb"|[^ \t\n\r,\[\]{}]++|" + _FLAT + rb")?")
_MARK = re.compile(_STRING + rb"|" + _FLAT + rb"|[{}\[\]]")
_SPACE = re.compile(rb"[ \t\n\r]*")
# The two letters beyond ASCII that fold to one in it (unicode.SimpleFold, which encoding/json/fold.go goes by).
_FOLDED = {0x17F: "s", 0x212A: "k"}


class Unread(Exception):
    """The text is no JSON, or has another shape than the one that is asked for."""


class _Member(NamedTuple):
    """name: decoded. start, end: of its value in the source. at: where the name's text begins, quotes and all; after:
    where that ends."""

    name: str
    start: int
    end: int
    at: int
    after: int


@dataclass(frozen=True, slots=True)
class Members:
    """What a structure or map has got.

    source: the text that it was found in. found: its members, those of merged objects one after the other. close:
    where the last of these objects ends, None when there is none. bare: that object has no members. hole: where a null
    is that an object may replace. exact: it is a map.
    """

    source: bytes
    found: tuple[_Member, ...] = ()
    close: int | None = None
    bare: bool = True
    hole: tuple[int, int] | None = None
    exact: bool = False

    def names(self) -> list[str]:
        """The names of the members, each once, in their order."""
        return list(dict.fromkeys(member.name for member in self.found))

    def members(self, *path: str) -> Members:
        """What the structure or map at the path has got. Raises Unread when it is neither an object nor null."""
        here = self
        for name in path:
            here = here._merged(here._all(name), exact=name in MAPS)
        return here

    def entries(self) -> dict[str, Members]:
        """The structures of a map by their keys, each with its own text for a source, in one walk: later ones replace
        earlier ones. In the order of `names`. Raises Unread as `members` does."""
        last = {member.name: member for member in self.found}
        return {name: self._entry(last[name]) for name in self.names()}

    def places(self) -> dict[str, tuple[int, int]]:
        """Where in the source each key of a map has the value that holds: start and end."""
        return {member.name: (member.start, member.end) for member in self.found}

    def _entry(self, member: _Member) -> Members:
        return _root(self.source[member.start : member.end])

    def text(self, name: str) -> str:
        """The text of a field, "" for none. Raises Unread when it is something else."""
        value = ""
        for member in self._all(name):
            if not self._is_null(member):
                value = self._text(member)
        return value

    def texts(self) -> dict[str, str]:
        """All members, when each is a text or null, which is "" in a map. Raises Unread otherwise."""
        return {member.name: "" if self._is_null(member) else self._text(member) for member in self.found}

    def listed(self, name: str) -> tuple[str, ...]:
        """The texts of a list. Raises Unread when it is something else."""
        value: Sequence[str | None] = ()
        for member in self._all(name):
            try:
                value = msgspec.json.decode(self.source[member.start : member.end], type=list[str | None] | None) or ()
            except (msgspec.MsgspecError, ValueError, RecursionError):
                raise Unread from None
        return tuple(each or "" for each in value)

    def flag(self, name: str) -> bool:
        """A field that is true, false or null. Raises Unread when it is something else."""
        value = False
        for member in self._all(name):
            if not self._is_null(member):
                word = self.source[member.start : member.end]
                if word not in (b"true", b"false"):
                    raise Unread
                value = word == b"true"
        return value

    def last(self, name: str) -> _Member | None:
        """The last member with this name."""
        found = self._all(name)
        return found[-1] if found else None

    def _all(self, name: str) -> list[_Member]:
        if self.exact:
            return [member for member in self.found if member.name == name]
        wanted, size = _fold(name), len(name)
        return [member for member in self.found if len(member.name) == size and _fold(member.name) == wanted]

    def _is_null(self, member: _Member) -> bool:
        return self.source[member.start : member.end] == b"null"

    def _text(self, member: _Member) -> str:
        if self.source[member.start] != ord('"'):
            raise Unread
        return _decoded(self.source[member.start : member.end])

    def _merged(self, occurrences: Sequence[_Member], *, exact: bool) -> Members:
        merged: list[_Member] = []
        close: int | None = None
        bare, hole = True, None
        for number, member in enumerate(occurrences):
            if self._is_null(member):
                # An object in the place of a null that follows an object would bring that one back.
                hole = (member.start, member.end) if number == 0 or hole is not None else None
                merged, close, bare = [], None, True
            elif self.source[member.start] == ord("{"):
                found, close = _scan(self.source, member.start)
                merged += found
                bare, hole = not found, None
            else:
                raise Unread
        return Members(self.source, tuple(merged), close, bare, hole, exact)


def read(source: bytes) -> Members:
    """The object that a text is; one without members for null. Raises Unread for anything else."""
    _check(source)
    return _root(source)


def decoded_name(literal: bytes) -> str:
    """The text of a member's name, as it is written, quotes and all."""
    try:
        return _decoded(literal)
    except Unread:
        return ""


def same_name(name: str, field: str) -> bool:
    """Whether a member of this name is the structure's field."""
    return len(name) == len(field) and _fold(name) == _fold(field)


def encoded(text: str) -> bytes:
    """The text as JSON."""
    return json.dumps(text).encode()


def with_value(source: bytes, path: Sequence[str], value: bytes) -> bytes:
    """The text with the value at the path, whose objects are made where they are missing. Raises Unread as `read`."""
    chain = [_root(source)]
    for name in path[:-1]:
        chain.append(chain[-1].members(name))
    if (member := chain[-1].last(path[-1])) is not None:
        return source[: member.start] + value + source[member.end :]
    for here, name in zip(reversed(chain), reversed(path), strict=True):
        text = encoded(name) + b":" + value
        if here.close is not None:
            return source[: here.close] + (b"" if here.bare else b",") + text + source[here.close :]
        value = b"{" + text + b"}"
        if here.hole is not None:
            return source[: here.hole[0]] + value + source[here.hole[1] :]
    raise Unread


def with_keys(source: bytes, path: Sequence[str], keys: Mapping[str, str]) -> bytes:
    """The text with other keys in the map at the path, but for those that it has already. Raises Unread as `read`.

    keys: before -> after.
    """
    here = _root(source).members(*path)
    taken = set(here.names())
    for member in reversed(here.found):
        after = keys.get(member.name, member.name)
        if after not in taken:
            source = source[: member.at] + encoded(after) + source[member.after :]
    return source


def _root(source: bytes) -> Members:
    start = _after_space(source, 0)
    if source[start : start + 1] == b"{":
        found, close = _scan(source, start)
        return Members(source, tuple(found), close, not found)
    if source[start:].rstrip(b" \t\n\r") == b"null":
        return Members(source, hole=(start, start + 4))
    raise Unread


def _check(source: bytes) -> None:
    """Raises Unread for what is no JSON, or more of it than anybody means."""
    if len(source) > LARGEST:
        raise Unread
    try:
        msgspec.json.decode(source, type=msgspec.Raw)
    except RecursionError:
        raise Unread from None
    except msgspec.MsgspecError:
        # It refuses halves of surrogate pairs, which Go reads as the sign for what is no text.
        if b"\\u" not in source:
            raise Unread from None
        try:
            json.loads(source.decode("utf-8", "replace"), parse_int=str, parse_float=str, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise Unread from None


def _refuse(name: str) -> None:
    raise ValueError(name)


def _scan(source: bytes, start: int) -> tuple[list[_Member], int]:
    """The members of the object that begins there, and where its closing brace is. The text has been checked."""
    found: list[_Member] = []
    pos = start + 1
    while (match := _MEMBER.match(source, pos)) is not None:
        begin, pos = match.span(2)
        if begin < 0:
            begin = match.end()
            pos = _end(source, begin)
        name = match[1]
        plain = name.isascii() and b"\\" not in name
        text = name.decode("ascii") if plain else _decoded(b'"' + name + b'"')
        found.append(_Member(text, begin, pos, match.start(1) - 1, match.end(1) + 1))
    return found, _after_space(source, pos)


def _after_space(source: bytes, pos: int) -> int:
    found = _SPACE.match(source, pos)
    return found.end() if found is not None else pos


def _end(source: bytes, start: int) -> int:
    """Where the object or list ends that begins there."""
    depth = 0
    for mark in _MARK.finditer(source, start):
        sign = mark[0]
        if sign in (b"{", b"["):
            depth += 1
        elif sign in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return mark.end()
    raise Unread


def _decoded(literal: bytes) -> str:
    """A string's text; halves of surrogate pairs, and bytes that are no UTF-8, become U+FFFD."""
    text = literal.decode("utf-8", "replace")
    if "\\" not in text:
        return text[1:-1]
    try:
        plain: str = json.loads(text)
    except ValueError:
        raise Unread from None
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _fold(name: str) -> str:
    return name.lower() if name.isascii() else name.translate(_FOLDED).lower()
