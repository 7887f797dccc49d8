"""Listeners with rules in front of a real engine: what they let pass, what they refuse, and what they note."""

from __future__ import annotations

import json
import socket
import ssl
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.certificates import authority, signed
from tests.e2e.conftest import FAILED, HOSTS
from tests.e2e.lab import DockerError, Host, Lab
from tests.e2e.lab.clients import DockerClient
from tests.e2e.lab.connections import SocketConnection
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.leaks import leaks
from tests.e2e.lab.namespaces import Result, eventually, in_network

LISTENERS = """
[[proxy]]
listen = "unix:///run/mooring/docker.sock"

[[proxy]]
listen = "unix:///run/mooring/ro.sock"
mode = "0600"
group = "4321"
read_only = true

[[proxy]]
listen = "unix:///run/mooring/containers.sock"
allow = ["GET containers"]

[[proxy]]
listen = "unix:///run/mooring/networks.sock"
allow = ["* networks"]

[[proxy]]
listen = "unix:///run/mooring/exec.sock"
allow = ["GET containers", "POST containers/*/exec", "* exec"]

[[proxy]]
listen = "unix:///run/mooring/deny.sock"
deny = ["POST containers/*/kill", "* exec", "DELETE *"]
audit = "{folder}/audit.jsonl"

[[proxy]]
listen = "tcp://127.0.0.1:2376"
tls_cert = "{folder}/server.pem"
tls_key = "{folder}/server.key"
tls_ca = "{folder}/ca.pem"
"""


@pytest.fixture(scope="module")
def guarded_host(lab: Lab) -> Iterator[Host]:
    """A host whose proxy listens at seven places."""
    host = lab.host(boot=False)
    try:
        ca, other = authority(host.folder), authority(host.folder, "other")
        for name, by in (("server", ca), ("client", ca), ("stranger", other)):
            signed(host.folder, by, name)
        (host.folder / "mooring.toml").write_text(LISTENERS.format(folder=host.folder))
        host.boot()
        yield host
    finally:
        lab.discard(host)


@pytest.fixture
def guarded(guarded_host: Host, request: pytest.FixtureRequest) -> Iterator[Host]:
    """It, with a container `db`, and empty afterwards."""
    request.node.stash[HOSTS] = [guarded_host]
    guarded_host.docker("run", "-d", "--name", "db", "--network", "none", IMAGE, "stay")
    yield guarded_host
    guarded_host.engine.clear()
    if not request.node.stash.get(FAILED, False):
        assert leaks(guarded_host) == []


def client(host: Host, name: str) -> DockerClient:
    """Docker at the listener."""
    return DockerClient(host.folder / f"run/mooring/{name}.sock", host.folder / "docker-config", host.release)


def refused(host: Host, name: str, *argv: str) -> bool:
    """Whether the docker command fails by the listener's refusal."""
    result = client(host, name).docker(*argv, check=False)
    # Of the answer to a stream that it wants to begin, docker 20.10 prints the status, or what the first byte is not.
    said = ("is not allowed on this socket", "unable to upgrade to tcp, received 403", "Unrecognized input header")
    return not result.ok and any(text in result.output for text in said)


def raw(host: Host, name: str, data: bytes) -> bytes:
    """What the listener says to the bytes, up to the end of a head, or to its own end."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(str(client(host, name).socket))
        sock.sendall(data)
        said = b""
        while b"\r\n\r\n" not in said and (more := sock.recv(65536)):
            said += more
        return said


def audited(host: Host, path: str) -> list[dict[str, object]]:
    """The audit's lines about the path, once there is one."""
    file = host.folder / "audit.jsonl"

    def lines() -> list[dict[str, object]]:
        every = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in every if line["path"] == path]

    return eventually(lines, f"the audit log knows of {path}")


def test_a_read_only_listener_reads_and_nothing_else(guarded: Host) -> None:
    """Lists, logs and inspection pass; every command that changes something, and an interactive one, is refused."""
    for argv in (["ps"], ["inspect", "db"], ["logs", "db"], ["network", "ls"], ["images"], ["version"], ["info"]):
        assert client(guarded, "ro").docker(*argv).ok
    for argv in (
        ["run", "--rm", IMAGE, "true"], ["stop", "db"], ["rm", "-f", "db"], ["exec", "db", "true"], ["attach", "db"],
        ["network", "create", "n"], ["rename", "db", "x"], ["kill", "db"], ["restart", "db"],
        ["container", "prune", "-f"],
    ):  # fmt: skip
        assert refused(guarded, "ro", *argv), argv
    assert guarded.engine.inspect("db")["State"]["Running"]


def test_a_listener_has_its_own_mode_and_group(guarded: Host) -> None:
    """A number that is no group of the host is fine."""
    found = client(guarded, "ro").socket.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o600, 4321)
    assert stat.S_IMODE(client(guarded, "deny").socket.stat().st_mode) == 0o660


def test_the_writable_get_is_no_reading(guarded: Host) -> None:
    """`attach/ws` takes bytes for the container's standard input, and so does any upgrade."""
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    for path in (b"/containers/db/attach/ws?stdin=1&stream=1", b"/v1.41/containers/db/attach%2Fws"):
        said = raw(guarded, "ro", b"GET " + path + b" HTTP/1.1\r\nHost: d\r\n" + upgrade + b"\r\n")
        assert said.startswith(b"HTTP/1.1 403 ")
        assert raw(guarded, "ro", b"GET " + path + b" HTTP/1.1\r\nHost: d\r\n\r\n").startswith(b"HTTP/1.1 403 ")
    said = raw(guarded, "ro", b"POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("name", ["ro", "containers", "deny"])
def test_http2_is_refused_where_anything_is_limited(guarded: Host, name: str) -> None:
    """Nobody would see the requests in it. BuildKit's upgrade is refused with its section, too."""
    assert raw(guarded, name, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"HTTP/1.1 403 ")
    session = b"POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert name == "deny" or raw(guarded, name, session).startswith(b"HTTP/1.1 403 ")


def test_container_permissions(guarded: Host) -> None:
    """Reading containers: logs and inspection pass; wait, run, rm, restart and other sections do not."""
    assert client(guarded, "containers").docker("logs", "db").ok
    assert client(guarded, "containers").docker("inspect", "db").ok
    assert client(guarded, "containers").docker("version").ok
    for argv in (
        ["wait", "db"], ["run", "--rm", IMAGE, "true"], ["rm", "-f", "db"], ["restart", "db"], ["network", "ls"],
        ["images"], ["info"], ["volume", "ls"], ["swarm", "init"], ["exec", "db", "true"],
    ):  # fmt: skip
        assert refused(guarded, "containers", *argv), argv


def test_network_permissions(guarded: Host) -> None:
    """Everything about networks passes, with Mooring's hooks; nothing about containers does."""
    networks = client(guarded, "networks")
    networks.docker("network", "create", "-d", "mooring", "--ipam-driver", "mooring", "--subnet", "10.78.0.0/24", "n")
    assert "n" in networks.docker("network", "ls", "--format", "{{.Name}}").output.split()
    guarded.docker("run", "-d", "--name", "other", IMAGE, "stay")
    networks.docker("network", "connect", "n", "other")
    networks.docker("network", "disconnect", "n", "other")
    networks.docker("network", "rm", "n")
    for argv in (["ps"], ["logs", "db"], ["rm", "-f", "db"], ["run", "--rm", IMAGE, "true"]):
        assert refused(guarded, "networks", *argv), argv


def test_exec_permissions(guarded: Host) -> None:
    """`docker exec` works, its stream in both directions; what was not allowed beside it does not."""
    assert client(guarded, "exec").docker("exec", "db", "echo", "hello").output.strip() == "hello"
    assert talk(guarded, "exec", "typed\n") == "typed\n"
    for argv in (["run", "--rm", IMAGE, "true"], ["kill", "db"], ["attach", "db"]):
        assert refused(guarded, "exec", *argv), argv
    assert refused(guarded, "deny", "exec", "db", "true")


def talk(host: Host, name: str, text: str) -> str:
    """What `cat` in the container says to the text, over a hijacked connection that is half closed after it."""
    api = client(host, name).api
    spec = {"AttachStdin": True, "AttachStdout": True, "Cmd": ["cat"], "Tty": False}
    ident = api("POST", "/containers/db/exec", spec)["Id"]
    connection = SocketConnection(str(client(host, name).socket), 20)
    head = {"Content-Type": "application/json", "Connection": "Upgrade", "Upgrade": "tcp"}
    connection.request("POST", f"/exec/{ident}/start", json.dumps({"Detach": False, "Tty": False}), head)
    sock = connection.sock
    said = b""
    while b"\r\n\r\n" not in said:
        said += sock.recv(65536)
    assert said.startswith(b"HTTP/1.1 101 ")
    sock.sendall(text.encode())
    sock.shutdown(socket.SHUT_WR)
    while more := sock.recv(65536):
        said += more
    connection.close()
    return said.partition(b"\r\n\r\n")[2][8:].decode()  # eight bytes say which stream, and how long it is


def test_what_is_denied_is_not_had_by_spelling_it_otherwise(guarded: Host) -> None:
    """Every way to write the path that the engine might understand; the container lives."""
    for path in (
        "/containers/db/kill", "/v1.41/containers/db/kill", "/v1/containers/db/kill", "/v1.41./containers/db/kill",
        "/v1..41/containers/db/kill", "/v01.41/containers/db/kill", "/v1.41.0/containers/db/kill",
        "//containers/db/kill", "/./containers/db/kill", "/x/../containers/db/kill", "/v1.41//containers/db/kill",
        "/%63ontainers/db/kill", "/containers%2Fdb%2Fkill", "/containers/db/%6bill", "/containers/db/kill/",
        "/containers//db/kill", "/v1.41%2Fcontainers/db/kill", "/%76%31.41/containers/db/kill",
        "/containers/db/kill?x=/y", "/containers/db/kill%3Fx", "http://h/containers/db/kill", "x:/containers/db/kill",
        "/containers/db/kill#x", "/containers/db/kill;x", "/containers/db%2F..%2Fdb/kill", "/containers/db/kill%00",
    ):  # fmt: skip
        for method in (b"POST", b"post", b"Post"):
            said = raw(
                guarded, "deny", method + b" " + path.encode() + b" HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
            )
            assert said.startswith(b"HTTP/1.1 "), path
            assert said[9:10] in (b"3", b"4"), (path, said)
    assert guarded.engine.inspect("db")["State"]["Running"]
    client(guarded, "deny").api("POST", "/containers/db/pause")
    client(guarded, "deny").api("POST", "/containers/db/unpause")


def test_the_default_listener_refuses_nothing(guarded: Host) -> None:
    """Beside restricted ones."""
    assert guarded.proxy.docker("exec", "db", "echo", "x").output.strip() == "x"
    guarded.proxy.docker("rm", "-f", "db")


def test_every_request_is_in_the_audit_log(guarded: Host) -> None:
    """What passed and what did not, without query, version or body; the file is ours and the group's."""
    deny = client(guarded, "deny")
    spec = {"Image": IMAGE, "Cmd": ["true"], "Env": ["PASSWORD=hunter2"]}
    ident = deny.api("POST", "/v1.41/containers/create?name=secret-name", spec)["Id"]
    with pytest.raises(DockerError, match='the rule "DELETE \\*" denies it') as caught:
        deny.api("DELETE", f"/containers/{ident}?force=1")
    assert caught.value.status == 403
    with pytest.raises(DockerError, match="No such container"):
        deny.api("POST", "/containers/no-such-container/start")
    (line,) = audited(guarded, f"/containers/{ident}")
    wanted = {"listener": "unix:///run/mooring/deny.sock", "method": "DELETE", "verb": "remove", "status": 403}
    assert {**line, **wanted, "refused": True} == line
    created = audited(guarded, "/containers/create")[-1]
    assert (created["verb"], created["status"], created["refused"]) == ("create", 201, False)
    assert audited(guarded, "/containers/no-such-container/start")[0]["status"] == 404
    file = guarded.folder / "audit.jsonl"
    assert [word for word in ("hunter2", "secret-name", "v1.41/containers/create") if word in file.read_text()] == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_the_audit_log_may_be_rotated(guarded: Host) -> None:
    """By renaming it; nobody is told."""
    file = guarded.folder / "audit.jsonl"
    client(guarded, "deny").api("GET", "/volumes")
    audited(guarded, "/volumes")
    file.rename(file.with_suffix(".1"))
    client(guarded, "deny").api("GET", "/volumes?again=1")
    assert [line["status"] for line in audited(guarded, "/volumes")] == [200]


def tls_docker(host: Host, name: str, *argv: str) -> Result:
    """The docker command on the host, over TLS. name: of the certificate, "" for none."""
    pair = [f"--tlscert={host.folder}/{name}.pem", f"--tlskey={host.folder}/{name}.key"] if name else []
    flags = ["-H", "tcp://127.0.0.1:2376", "--tlsverify", f"--tlscacert={host.folder}/ca.pem", *pair]
    home = ["env", f"DOCKER_CONFIG={host.folder}/no-config", f"HOME={host.folder}"]
    return host.namespace.run(*home, host.release.program("docker"), *flags, *argv, check=False)


def test_tls_lets_in_who_has_a_certificate(guarded: Host) -> None:
    """Commands, streams in both directions, and Mooring's hooks work over it."""
    assert tls_docker(guarded, "client", "exec", "db", "echo", "hello").output.strip() == "hello"
    result = tls_docker(guarded, "client", "run", "--rm", "--network", "none", IMAGE, "echo", "again")
    assert result.output.strip() == "again"


@pytest.mark.parametrize("name", ["", "stranger"])
def test_tls_lets_in_nobody_else(guarded: Host, name: str) -> None:
    """Without a certificate, and with one of another authority."""
    result = tls_docker(guarded, name, "ps")
    assert not result.ok
    assert "CONTAINER" not in result.output


def test_the_tls_port_speaks_nothing_else(guarded: Host) -> None:
    """Plain HTTP gets no answer that it could use, and the port is on the loopback only."""

    def ask() -> bytes:
        with socket.create_connection(("127.0.0.1", 2376), 10) as sock:
            sock.sendall(b"GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n")
            try:
                return sock.recv(100)
            except ConnectionError:
                return b""

    assert not in_network(guarded.network, ask).startswith(b"HTTP")
    listening = guarded.namespace.run("ss", "-tlnH").output
    assert "127.0.0.1:2376" in listening
    assert "0.0.0.0:2376" not in listening


def test_old_tls_is_refused(guarded: Host) -> None:
    """1.1 and older."""

    def shake() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", 2376), 10) as sock, context.wrap_socket(sock):
            pass

    with pytest.raises((ssl.SSLError, ConnectionError)):
        in_network(guarded.network, shake)


def test_what_the_daemon_made_is_gone_after_it(lab: Lab, tmp_path: Path) -> None:
    """All of the sockets, and only those."""
    host = lab.host(boot=False)
    try:
        (host.folder / "mooring.toml").write_text(LISTENERS.split('[[proxy]]\nlisten = "unix:///run/mooring/deny')[0])
        host.boot()
        assert len(list((host.folder / "run/mooring").glob("*.sock"))) == 6
        assert host.daemon.stop() == 0
        assert list((host.folder / "run/mooring").glob("*.sock")) == []
    finally:
        lab.discard(host)
