"""The file in which a host has the keys of its encrypted underlay, as JSON with a version number `v`.

Rules: as for records in the store (mooring.wire.forms): a form never changes once released, a newer one is refused.
"""

from __future__ import annotations

import msgspec

from mooring.core.faults import Unavailable
from mooring.core.wireguard import KeyPair, KeyRing
from mooring.wire.forms.elements import Stored


class KeyRingV1(Stored, tag=1):
    """Keys, each as public and private one. Secret."""

    used: tuple[str, str]
    since: float
    coming: tuple[str, str] | None = None
    gone: tuple[str, str] | None = None


def encode_ring(ring: KeyRing) -> bytes:
    """The file."""
    pairs = [(each.public, each.private) if each is not None else None for each in (ring.used, ring.coming, ring.gone)]
    assert pairs[0] is not None
    return msgspec.json.encode(KeyRingV1(used=pairs[0], since=ring.since, coming=pairs[1], gone=pairs[2]))


def decode_ring(data: bytes) -> KeyRing:
    """Read it. Raises Unavailable when this version cannot."""
    try:
        form = msgspec.json.decode(data, type=KeyRingV1)
    except (msgspec.DecodeError, UnicodeDecodeError):  # whose words may have a part of what is secret
        raise Unavailable(
            "the file of this host's WireGuard keys cannot be read", hint="remove it, and new ones are made"
        ) from None
    coming, gone = (KeyPair(*each) if each is not None else None for each in (form.coming, form.gone))
    return KeyRing(used=KeyPair(*form.used), since=form.since, coming=coming, gone=gone)
