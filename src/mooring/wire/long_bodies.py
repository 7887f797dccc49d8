"""Bodies that are longer than anybody reads at once: what is wanted of one is read, and a change goes in at its end.

A create may have megabytes of environment, of which nothing is wanted here. A sieve keeps what is, and that is read
and changed as a short body would be. Go's encoding/json reads a field that comes twice twice, into the same place, and
after a null into an empty one; so what was changed comes once more, behind everything else, and holds.

Rules: of the body itself no byte changes; what is wanted is no more than a short body has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mooring.wire.go_json import LARGEST
from mooring.wire.json_sieve import WHOLE, Sieve, Wanted

# How much of a body is read without a pause for whoever else wants to run.
_STEP = 1 << 18

# What is read and changed, by the kind of the body; the maps and structures that a change replaces come whole.
CREATED: Final = Wanted(
    {
        "HostConfig": Wanted({"NetworkMode": None, "Dns": WHOLE}),
        "NetworkingConfig": WHOLE,
        "Labels": Wanted(keys=None),
        "MacAddress": None,
    }
)
CONNECTED: Final = Wanted({"Container": None, "EndpointConfig": WHOLE})
NETWORK: Final = Wanted(
    {"Name": None, "Driver": None, "Options": Wanted(keys=None), "EnableIPv4": None, "EnableIPv6": None, "IPAM": WHOLE}
)
# Only read, never changed: they need not come again.
_READ: Final = frozenset({"Labels", "Options", "Name", "Driver", "Container", "EnableIPv4", "EnableIPv6"})


@dataclass(frozen=True, slots=True)
class Readable:
    """A body, and its text as far as it is wanted, which is the body itself where that is short.

    end: where the closing brace of a long one is; -1 for a short one.
    """

    body: bytes
    text: bytes
    wanted: Wanted
    end: int = -1

    def changed(self, change: Callable[[bytes], bytes]) -> bytes:
        """The body with what `change` makes of the text; as it is, where that is nothing new."""
        after = change(self.text)
        if self.end < 0 or after == self.text:
            return after if self.end < 0 else self.body
        again = Wanted({name: child for name, child in self.wanted.fields.items() if name not in _READ})
        sieve = Sieve(again)
        sieve.feed(after)
        nulls = [b'"%b":null' % name.encode() for name, child in again.fields.items() if child is WHOLE]
        members = b",".join((*nulls, sieve.document.strip()[1:-1]))
        return b"%b,%b%b" % (self.body[: self.end], members, self.body[self.end :])


def readable(body: bytes, wanted: Wanted) -> Readable | None:
    """The body as it is read; None for a long one that is no complete object, or has too much of what is wanted."""
    if len(body) <= LARGEST:
        return Readable(body, body, wanted)
    sieve = Sieve(wanted)
    for start in range(0, len(body), _STEP):
        sieve.feed(body[start : start + _STEP])
        if sieve.done or sieve.overflow:
            break
    if not sieve.done or sieve.overflow or sieve.document[:1] != b"{":
        return None
    return Readable(body, sieve.document, wanted, sieve.length - 1)
