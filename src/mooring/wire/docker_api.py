"""Docker's own HTTP API as far as a proxy must understand it: which call a request is.

Rules: a path is decoded once and matched whole, from its first slash to its end, and the version in front may be
missing; every request gets an explicit verdict, and what is not known is OTHER, never guessed; a query is read as the
engine reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


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
    the last value of each name, decoded. section: the first step of the path (`containers`, `images`, ...), "" for
    none; it is what access rules are about. writes: whether something may be different afterwards, or bytes go in.
    """

    verb: Verb
    method: str
    section: str
    subject: str = ""
    version: tuple[int, int] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    writes: bool = False
