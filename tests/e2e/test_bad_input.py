"""What a user gets wrong is answered in one line on the terminal, and changes nothing."""

from __future__ import annotations

import http.client
import json
import socket

import pytest

from tests.e2e.lab import Host
from tests.e2e.lab.connections import SocketConnection
from tests.e2e.lab.images import IMAGE

CREATE = ("network", "create", "-d", "mooring", "--ipam-driver", "mooring")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--subnet", "10.77.0.0/24", "-o", "colour=red"), "colour"),
        (("--subnet", "10.77.0.0/24", "-o", "mtu=lots"), "mtu"),
        (("--subnet", "10.77.0.0/24", "-o", "mode=token-ring"), "token-ring"),
        (("--subnet", "10.77.0.0/24", "-o", "bridge=averyveryverylongname"), "bridge"),
        (("--subnet", "10.77.0.0/24", "--ipam-opt", "colour=red"), "colour"),
        (("--subnet", "198.18.0.0/25", "--ipam-opt", "gateway=perhaps"), "gateway"),
        (("--subnet", "127.0.0.0/24",), "127.0.0.0"),
        (("--subnet", "224.0.0.0/24",), "224.0.0.0"),
        (("--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fe80::/64"), "fe80"),
        (("--subnet", "10.77.0.0/24", "--gateway", "10.78.0.1"), "10.78.0.1"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_is_refused_in_one_line(host: Host, options: tuple[str, ...], said: str) -> None:
    """The refusal is one line which names what is wrong, and there is no network and no lease afterwards."""
    refused = host.docker(*CREATE, *options, "bad", check=False)
    assert not refused.ok
    assert said in refused.output
    assert len(refused.output.splitlines()) == 1
    assert "Traceback" not in refused.output
    assert host.engine.networks() == []
    assert host.daemon.leases() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ip", "10.78.0.9"), "10.78.0.9"),
        (("--ip", "10.77.0.1"), "10.77.0.1"),
        (("--ip", "10.77.0.255"), "10.77.0.255"),
        (("--ip", "10.77.0.0"), "10.77.0.0"),
    ],
)
def test_an_address_that_cannot_be_given_is_refused(host: Host, options: tuple[str, ...], said: str) -> None:
    """Outside the subnet, the gateway's, the broadcast's and the subnet's own: refused, named, nothing leased."""
    network = host.create_network("one", "--subnet", "10.77.0.0/24")
    refused = host.docker("run", "--rm", "--network", "one", *options, IMAGE, "true", check=False)
    assert not refused.ok
    assert said in refused.output
    assert host.daemon.held(network) == []


def raw(host: Host, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    """One request at the plugin socket, as it is."""
    connection = SocketConnection(str(host.daemon.plugin_socket), 10)
    try:
        connection.request(method, path, body)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/IpamDriver.RequestPool", b"{"),
        ("/IpamDriver.RequestPool", b"[]"),
        ("/IpamDriver.RequestPool", b"\xff\xfe"),
        ("/IpamDriver.RequestPool", b'{"AddressSpace":5,"Pool":true}'),
        ("/IpamDriver.RequestPool", b'{"AddressSpace":"default","Pool":"10.77.0.5/24","SubPool":"","V6":false}'),
        ("/IpamDriver.RequestAddress", b""),
        ("/IpamDriver.RequestAddress", b'{"PoolID":"nobody","Address":"","Options":{}}'),
        ("/NetworkDriver.CreateNetwork", b""),
        ("/NetworkDriver.CreateNetwork", b'{"NetworkID":"x","Options":{},"IPv4Data":[{}],"IPv6Data":[]}'),
        ("/NetworkDriver.Join", b'{"NetworkID":"x","EndpointID":"y","SandboxKey":"/z","Options":{}}'),
        ("/NetworkDriver.Juggle", b"{}"),
        ("/IpamDriver.RequestPool", b"[" * 100_000),
    ],
)
def test_the_plugin_socket_refuses_what_it_cannot_mean(host: Host, path: str, body: bytes) -> None:
    """The answer is an error status and a JSON object with Err and Error of one line, and nothing has changed."""
    before = host.daemon.leases(), host.daemon.api("/v1/networks")
    status, reply = raw(host, "POST", path, body)
    assert 400 <= status < 600
    document = json.loads(reply)
    assert document["Err"] == document["Error"]
    assert document["Err"]
    assert "\n" not in document["Err"]
    assert "Traceback" not in document["Err"]
    assert (host.daemon.leases(), host.daemon.api("/v1/networks")) == before


def test_a_body_of_a_megabyte_is_refused_and_the_next_request_is_served(host: Host) -> None:
    """Too much is refused or cut off, not stored, and the daemon goes on."""
    try:
        status, _ = raw(host, "POST", "/IpamDriver.RequestPool", b'{"Pool":"' + b"1" * 2_000_000 + b'"}')
        assert status >= 400
    except (OSError, http.client.HTTPException):
        pass  # it hung up in the middle, which says the same
    assert raw(host, "POST", "/Plugin.Activate", b"")[0] == 200


def test_clients_that_hang_do_not_hold_up_others(host: Host) -> None:
    """A hundred connections which send half a request and then nothing leave the next `docker run` as it was."""
    host.create_network("one", "--subnet", "10.77.0.0/24")
    hung = []
    try:
        for _ in range(100):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            hung.append(sock)
            sock.connect(str(host.daemon.plugin_socket))
            sock.sendall(b"POST /IpamDriver.RequestPool HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
        assert host.docker("run", "--rm", "--network", "one", IMAGE, "true").ok
    finally:
        for sock in hung:
            sock.close()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("explain", "10.77.0.999"), 2),
        (("network", "inspect", "nosuchnetwork"), 3),
        (("lease", "inspect", "10.77.0.9"), 3),
        (("juggle",), 2),
    ],
)
def test_commands_refuse_in_one_line_with_an_exit_code(host: Host, words: tuple[str, ...], status: int) -> None:
    """The exit code tells the kind, and there is no traceback."""
    result = host.mooring(*words, check=False)
    assert result.status == status
    assert "Traceback" not in result.output


def test_commands_say_so_when_no_daemon_runs(host: Host) -> None:
    """With no daemon the command ends at once with the code for unavailable and says what to start."""
    host.daemon.stop()
    result = host.mooring("status", check=False)
    host.daemon.start()
    assert result.status == 6
    assert len(result.output.splitlines()) == 1
