"""The stored form of network ports."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.faults import Unavailable
from mooring.core.network_ports import NetworkPort
from mooring.wire import stored

PORT = NetworkPort(
    id="p/1", name="db", network="n1", network_name="", space="red", mac="02:00:00:00:00:05",
    addresses=(ip_address("10.0.0.5"), ip_address("fd00::5")), created=5.5,
)  # fmt: skip


def test_a_port_is_read_as_it_was_written() -> None:
    """The id is in the key."""
    key = stored.key_of(PORT)
    assert key == "port/p%2F1"
    assert stored.decode(key, stored.encode(PORT)) == PORT


def test_what_is_no_port_is_refused() -> None:
    """A damaged address, and a newer version."""
    for value, text in ((b'"x"', "cannot be read"), (b"2", "has version 2")):
        line = stored.encode(PORT)
        line = line.replace(b'"fd00::5"', value) if value == b'"x"' else line.replace(b'"v":1', b'"v":2')
        with pytest.raises(Unavailable, match=text):
            stored.decode("port/p1", line)
