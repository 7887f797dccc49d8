"""The file of a host's WireGuard keys."""

from __future__ import annotations

import pytest

from mooring.core.faults import Unavailable
from mooring.core.wireguard import KeyPair, KeyRing
from mooring.wire.key_rings import decode_ring, encode_ring

A, B = KeyPair("a", "pa"), KeyPair("b", "pb")


@pytest.mark.parametrize(
    "ring", [KeyRing(used=A, since=1.5), KeyRing(used=A, since=1.0, coming=B), KeyRing(used=A, since=1.0, gone=B)]
)
def test_what_was_written_is_read(ring: KeyRing) -> None:
    """Also in the middle of a replacement."""
    assert decode_ring(encode_ring(ring)) == ring


def test_the_stored_form_stays() -> None:
    """Hosts have such files."""
    data = b'{"v":1,"used":["a","pa"],"since":1.0,"coming":["b","pb"]}'
    assert decode_ring(data) == KeyRing(used=A, since=1.0, coming=B)
    assert encode_ring(decode_ring(data)) == data


def test_what_cannot_be_read_is_not_shown() -> None:
    """It may be a key."""
    with pytest.raises(Unavailable) as caught:
        decode_ring(b'{"v":1,"used":"secret"}')
    assert "secret" not in str(caught.value)
