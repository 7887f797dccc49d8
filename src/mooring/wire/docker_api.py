"""Docker's own HTTP API as far as a proxy must understand it: which call a request is.

Rules: a path is decoded once and matched whole, from its first slash to its end, and the version in front may be
missing; every request gets an explicit verdict, and what is not known is OTHER, never guessed; a query is read as the
engine reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from urllib.parse import parse_qsl, unquote


class Verb(Enum):
    """What a request is to the proxy.

    The first group may change who holds an address: the proxy asks for a passage before it lets the request go. The
    second may turn the connection into a stream of bytes in both directions. OTHER passes untouched.
    """

    CREATE = "create a container"
    START = "start a container"
    REMOVE = "remove a container"
    PRUNE = "prune containers"
    CONNECT = "connect a container to a network"
    DISCONNECT = "disconnect a container from a network"
    RENAME = "rename a container"

    ATTACH = "attach to a container"
    EXEC = "start a process in a container"
    UPGRADE = "change the protocol of the connection"

    OTHER = "anything else"


HOOKED = frozenset({Verb.CREATE, Verb.START, Verb.REMOVE, Verb.PRUNE, Verb.CONNECT, Verb.DISCONNECT, Verb.RENAME})
HIJACKING = frozenset({Verb.ATTACH, Verb.EXEC, Verb.UPGRADE})


@dataclass(frozen=True, slots=True)
class Call:
    """One request, recognised.

    subject: the container (START, REMOVE, RENAME) or the network (CONNECT, DISCONNECT) as the path names it, decoded:
    an id, a name, or the beginning of an id. version: (1, 41) for `/v1.41/...`, None where the path has none. query:
    the first value of each name, decoded. section: the first step of the path (`containers`, `images`, ...), "" for
    none; it is what access rules are about. writes: whether something may be different afterwards, or bytes go in.
    path: decoded, without the version.
    """

    verb: Verb
    method: str
    section: str
    subject: str = ""
    version: tuple[int, int] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    writes: bool = False
    path: str = ""


_VERSION = re.compile(r"/v(\d+(?:\.\d+)*)(?=/)")
_FALSE = frozenset({"", "0", "no", "false", "none"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def is_truthy(value: str) -> bool:
    """Whether the engine takes the query's value for a yes (moby daemon/server/httputils/form.go, BoolValue)."""
    return value.strip().lower() not in _FALSE


@lru_cache(maxsize=4096)
def recognise(method: str, target: str, upgrade: bool) -> Call:
    """The call that a request is. target: as on the wire. upgrade: whether the head has an Upgrade field."""
    path, query = _split(target)
    version: tuple[int, int] | None = None
    found = _VERSION.match(path)
    if found is not None:
        numbers = [int(number) for number in found[1].split(".")[:2]]
        version = (numbers[0], numbers[1] if len(numbers) > 1 else 0)
        path = path[found.end() :]
    section = path[1:].partition("/")[0]
    verb, subject = _verb(method, path, query)
    if upgrade and verb not in HIJACKING and verb not in HOOKED:
        verb = Verb.UPGRADE
    writes = method not in _READING or verb in HIJACKING
    return Call(verb, method, section, subject, version, query, writes, path)


def _split(target: str) -> tuple[str, dict[str, str]]:
    """The decoded path, and the query. A path that the engine's router would clean and redirect stays as it is: what
    is asked for with it is answered by a redirection, and nothing is carried out."""
    path, _, text = target.partition("?")
    if not path.startswith("/"):
        rest = path.partition("://")[2]  # absolute form (RFC 9112, 3.2.2)
        path = "/" + rest.partition("/")[2]
    # Of a name that comes twice the engine reads the first value (net/url, Values.Get).
    query = dict(reversed(parse_qsl(text, keep_blank_values=True))) if text else {}
    return unquote(path) if "%" in path else path, query


def _verb(method: str, path: str, query: Mapping[str, str]) -> tuple[Verb, str]:
    if method == "POST":
        return _posted(path)
    if path.startswith("/containers/"):
        name = path[len("/containers/") :]
        if method == "DELETE" and name and "/" not in name and not is_truthy(query.get("link", "")):
            return Verb.REMOVE, name
        if method == "GET" and name.endswith("/attach/ws"):
            return Verb.UPGRADE, name[: -len("/attach/ws")]
    return Verb.OTHER, ""


_CONTAINER_VERBS = {"start": Verb.START, "rename": Verb.RENAME, "attach": Verb.ATTACH}
_NETWORK_VERBS = {"connect": Verb.CONNECT, "disconnect": Verb.DISCONNECT}


def _posted(path: str) -> tuple[Verb, str]:
    match path.split("/")[1:]:
        case ["containers", "create"]:
            return Verb.CREATE, ""
        case ["containers", "prune"]:
            return Verb.PRUNE, ""
        case ["containers", name, what] if name and what in _CONTAINER_VERBS:
            return _CONTAINER_VERBS[what], name
        case ["networks", *name, what] if what in _NETWORK_VERBS and any(name):
            return _NETWORK_VERBS[what], "/".join(name)
        case ["exec", name, "start"] if name:
            return Verb.EXEC, name
        case _:
            return Verb.OTHER, ""
