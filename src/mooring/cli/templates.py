"""Go's templates, as far as `--format` of Docker's commands uses them: text with `{{actions}}` over one reply.

Rules: a field is found by its name in any case of letters and without `_`, so that `.Address`, `.NetworkName` and `.ID`
are the API's address, network_name and id; what cannot be read is refused with the place, and an unknown field with
those that there are; nothing of a reply is ever executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(r"""\s*("(?:\\.|[^"\\])*"|`[^`]*`|\||\(|\)|[^\s|()"`]+)""")
_PATH = re.compile(r"(\$\w*)?((?:\.[A-Za-z_]\w*)+|\.)?")
_VARIABLES = re.compile(r"(\$\w+)(?:\s*,\s*(\$\w+))?\s*:?=\s*(.*)", re.DOTALL)
# What `$` and the variables of a template are at the moment, by name.
_Scope = dict[str, object]


class TemplateInvalid(Exception):
    """What is wrong with the template, one line."""


@dataclass
class _Node:
    """Text, or an action with its branches. word: "" for text, `print`, `if`, `range` or `with`."""

    word: str
    text: str = ""
    then: list[_Node] = field(default_factory=list)
    other: list[_Node] = field(default_factory=list)


def rendered(template: str, value: object) -> str:
    """The template with the value, made of dicts, lists and plain values, in it. Raises TemplateInvalid."""
    return "".join(_run(_parse(template), value, {"$": value}))


def unescaped(template: str) -> str:
    """With `\\t` and `\\n` as they are meant, which a shell passes on as two characters (docker/cli, formatter)."""
    return template.replace("\\t", "\t").replace("\\n", "\n")


def headers_of(template: str) -> str:
    """The header line of `table TEMPLATE`: the name of its last field in the place of each action."""

    def name(match: re.Match[str]) -> str:
        fields = re.findall(r"\.([A-Za-z_]\w*)", re.sub(r'"(?:\\.|[^"\\])*"', "", match[2]))
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", fields[-1]).upper() if fields else ""

    return _ACTION.sub(name, template)


def _parse(template: str) -> list[_Node]:
    root: list[_Node] = []
    stack: list[tuple[_Node | None, list[_Node]]] = [(None, root)]
    for kind, text in _pieces(template):
        into = stack[-1][1]
        if kind == "text":
            into.append(_Node("", text))
            continue
        word, _, rest = text.partition(" ")
        if word in ("if", "range", "with"):
            node = _Node(word, rest.strip())
            into.append(node)
            stack.append((node, node.then))
        elif word == "else":
            node_or_none = stack.pop()[0]
            if node_or_none is None or rest.strip():
                raise TemplateInvalid(f"{{{{{text}}}}} has no place here")
            stack.append((node_or_none, node_or_none.other))
        elif word == "end":
            if stack.pop()[0] is None:
                raise TemplateInvalid("{{end}} ends nothing")
        elif not text:
            raise TemplateInvalid("{{}} is empty")
        else:
            into.append(_Node("print", text))
    if len(stack) > 1:
        raise TemplateInvalid(f"{{{{{stack[-1][0].word if stack[-1][0] else ''}}}}} has no {{{{end}}}}")
    return root


def _pieces(template: str) -> Iterator[tuple[str, str]]:
    """Text and actions in turn, trimmed as `{{-` and `-}}` say; comments left out."""
    place, trim = 0, False
    for match in _ACTION.finditer(template):
        text = template[place : match.start()]
        text = text.lstrip() if trim else text
        yield "text", text.rstrip() if match[1] else text
        if not match[2].strip().startswith("/*"):
            yield "action", match[2].strip()
        place, trim = match.end(), bool(match[3])
    rest = template[place:]
    if "{{" in rest:
        raise TemplateInvalid("{{ has no }}")
    yield "text", rest.lstrip() if trim else rest


def _run(nodes: Sequence[_Node], dot: object, scope: _Scope) -> Iterator[str]:
    for node in nodes:
        if not node.word:
            yield node.text
            continue
        named = _VARIABLES.fullmatch(node.text)
        value = _pipeline(named[3] if named else node.text, dot, scope)
        if node.word == "range":
            yield from _ranged(node, value, dot, scope, (named[1], named[2]) if named else ("", ""))
            continue
        if named:
            scope[named[1]] = value
        if node.word == "print":
            yield "" if named else _shown(value)
        elif value:
            yield from _run(node.then, value if node.word == "with" else dot, dict(scope))
        else:
            yield from _run(node.other, dot, dict(scope))


def _ranged(node: _Node, value: object, dot: object, scope: _Scope, names: tuple[str, str | None]) -> Iterator[str]:
    """names: of the variables for the key and the item, or for the item alone."""
    if isinstance(value, Mapping):
        items: list[tuple[object, object]] = sorted(value.items())
    else:
        items = list(enumerate(value)) if isinstance(value, list) else []
    for key, item in items:
        own = {names[0]: key, names[1]: item} if names[1] else {names[0]: item} if names[0] else {}
        yield from _run(node.then, item, {**scope, **own})
    if not items:
        yield from _run(node.other, dot, dict(scope))


def _pipeline(text: str, dot: object, scope: _Scope) -> object:
    """Commands with `|` between them, each with the value of the one before as its last argument."""
    tokens = []
    place = 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise TemplateInvalid(f"{text!r} cannot be read")
        tokens.append(match[1])
        place = match.end()
    value, rest = _piped(tokens, dot, scope)
    if rest:
        raise TemplateInvalid(f"{text!r}: unexpected {rest[0]!r}")
    return value


def _piped(tokens: list[str], dot: object, scope: _Scope) -> tuple[object, list[str]]:
    last: list[object] = []
    while True:
        words: list[object] = []
        function = ""
        while tokens and tokens[0] not in ("|", ")"):
            token, *tokens = tokens
            if token == "(":
                inner, tokens = _piped(tokens, dot, scope)
                if not tokens:
                    raise TemplateInvalid("( has no )")
                tokens = tokens[1:]
                words.append(inner)
            elif not words and not function and token in _FUNCTIONS:
                function = token
            else:
                words.append(_operand(token, dot, scope))
        words += last
        if function:
            last = [_called(function, words)]
        elif len(words) == 1:
            last = words
        else:
            raise TemplateInvalid("an action is one value, or a function with its arguments")
        if not tokens or tokens[0] == ")":
            return last[0], tokens
        tokens = tokens[1:]


def _operand(token: str, dot: object, scope: _Scope) -> object:
    if token.startswith("`"):
        return token[1:-1]
    path = _PATH.fullmatch(token)
    if path is not None:
        if path[1] and path[1] not in scope:
            raise TemplateInvalid(f"there is no variable {path[1]}")
        value = scope[path[1]] if path[1] else dot
        for name in (path[2] or "").split("."):
            value = _field(value, name) if name else value
        return value
    if token in ("true", "false"):
        return token == "true"
    try:
        return json.loads(token)
    except ValueError:
        raise TemplateInvalid(
            f"{token!r} is neither a field, a value nor a function ({', '.join(_FUNCTIONS)})"
        ) from None


def _field(value: object, name: str) -> object:
    if isinstance(value, Mapping):
        for key, each in value.items():
            if _plain(str(key)) == _plain(name):
                return each
        raise TemplateInvalid(f"there is no field .{name}; there are {', '.join('.' + _go(str(key)) for key in value)}")
    raise TemplateInvalid(f"there is no field .{name} in what is no record")


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _go(name: str) -> str:
    """The field's name as Go would write it."""
    short = {"id": "ID", "mac": "MAC", "mtu": "MTU", "ipv4": "IPv4", "ipv6": "IPv6"}
    return "".join(short.get(part, part.capitalize()) for part in name.split("_"))


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.0f}" if value == int(value) else str(value)
        case list():
            return "[" + " ".join(map(_shown, value)) + "]"
        case Mapping():
            return "map[" + " ".join(f"{key}:{_shown(each)}" for key, each in sorted(value.items())) + "]"
        case _:
            return str(value)


def _called(name: str, words: list[object]) -> object:
    try:
        return _FUNCTIONS[name](*words)
    except TemplateInvalid:
        raise
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise TemplateInvalid(f"{name} cannot take that: {error}") from None


def _printf(form: str, *words: object) -> str:
    return re.sub(r"%[#+]?v|%q", "%s", form) % tuple(
        word if isinstance(word, int | float) and not isinstance(word, bool) else _shown(word) for word in words
    )


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key]
        else:
            raise TemplateInvalid(f"index: there is no {key!r} in it")
    return value


# Go's own, and those that docker/cli adds (templates/templates.go).
_FUNCTIONS: dict[str, Callable[..., object]] = {
    "json": lambda value: json.dumps(value, separators=(",", ":")),
    "join": lambda value, between: between.join(map(_shown, value)),
    "split": lambda text, between: text.split(between),
    "upper": lambda value: _shown(value).upper(),
    "lower": lambda value: _shown(value).lower(),
    "title": lambda value: _shown(value).title(),
    "pad": lambda value, before, after: " " * before + _shown(value) + " " * after,
    "truncate": lambda value, length: _shown(value)[:length],
    "println": lambda *values: " ".join(map(_shown, values)) + "\n",
    "print": lambda *values: "".join(map(_shown, values)),
    "printf": _printf,
    "len": len,
    "slice": lambda value, first=0, last=None: (value if isinstance(value, list) else _shown(value))[first:last],
    "index": _index,
    "not": lambda value: not value,
    "and": lambda *values: next((each for each in values if not each), values[-1]),
    "or": lambda *values: next((each for each in values if each), values[-1]),
    "eq": lambda value, *others: value in others,
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
}
