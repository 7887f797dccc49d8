"""Sockets that know by which interface of their own namespace something came."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

import pytest

from mooring.adapters.dns.host_sockets import (
    ANCILLARY,
    PortTaken,
    arrival_interface,
    host_sockets,
    interface_name,
    stream_interface,
)
from mooring.core.port_bindings import Protocol
from tests.netns.rigs import private_namespace, sh


@pytest.mark.netns
@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_what_comes_is_told_with_its_interface_as_it_is_called_where_the_socket_is(address: str) -> None:
    """Wherever the thread is by then, and whether the address was there before or not; one that is gone has no name."""
    with private_namespace() as there:
        datagram, stream = host_sockets(ip_address(address), 5353)
        sh("ip link set lo up", "ip link add other index 70 type bridge", f"ip address add {address} dev lo")
        with socket.socket(datagram.family, socket.SOCK_DGRAM) as asking:
            asking.sendto(b"?", (address, 5353))
        datagram.settimeout(15.0)
        told = datagram.recvmsg(10, ANCILLARY)[1]
        with socket.create_connection((address, 5353)):
            stream.settimeout(15.0)
            connected = stream.accept()[0]
        del there
    with datagram, stream, connected:
        assert interface_name(datagram, arrival_interface(told)) == "lo"
        assert stream_interface(connected) == arrival_interface(told)
        assert interface_name(datagram, 70) == "other"
        with pytest.raises(OSError, match="device"):
            interface_name(datagram, 71)


@pytest.mark.netns
@pytest.mark.parametrize(("kind", "protocol"), [("SOCK_DGRAM", Protocol.UDP), ("SOCK_STREAM", Protocol.TCP)])
def test_whose_port_it_is_already_is_told_with_the_protocol(kind: str, protocol: Protocol) -> None:
    """And nothing is left open."""
    with private_namespace(), socket.socket(socket.AF_INET, getattr(socket, kind)) as other:
        other.bind(("0.0.0.0", 5353))
        with pytest.raises(PortTaken) as refusal:
            host_sockets(ip_address("192.0.2.1"), 5353)
        assert (refusal.value.protocol, refusal.value.errno) == (protocol, errno.EADDRINUSE)
    assert arrival_interface([]) == 0
