"""What a lease, a network and a port may be: words that the records and the API share.

Rules: nothing of the records is imported here, since every command pays for it; the modules of the records have each
word as well, and the daemon takes it from there.
"""

from __future__ import annotations

from enum import Enum


class TableKey(Enum):
    """Looked up in the table at every change of a lease: so the hash is no call of Python's, as that of an Enum is."""

    __hash__ = object.__hash__


class State(TableKey):
    """What an address is held as."""

    GATEWAY = "gateway"
    AUXILIARY = "auxiliary"
    DYNAMIC = "dynamic"
    FIXED = "fixed"
    RESERVED = "reserved"
    COOLING = "cooling"


class Mode(Enum):
    """How a network is built in the kernel; HANDOFF: by somebody else, who has made the interfaces before."""

    BRIDGE = "bridge"
    HANDOFF = "handoff"
    NULL = "null"


class PortState(Enum):
    """Neutron's words. ACTIVE: an endpoint in a sandbox has it. BUILD: it was promised to an endpoint that is being
    made. DOWN: neither, also while an endpoint has it that is in no sandbox yet."""

    ACTIVE = "ACTIVE"
    BUILD = "BUILD"
    DOWN = "DOWN"
