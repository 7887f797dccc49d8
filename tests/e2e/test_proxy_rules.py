"""Rules against what a real engine routes, and what clients really send to a listener that has some."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.certificates import Pair, authority, revocations, signed
from tests.e2e.conftest import FAILED, HOSTS
from tests.e2e.lab import DockerError, Host, Lab
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.leaks import leaks
from tests.e2e.lab.namespaces import eventually, in_network
from tests.e2e.test_proxy_access import audited, client, raw, refused, tls_docker

LISTENERS = """
[[proxy]]
listen = "tcp://127.0.0.1:2376"
tls_cert = "{folder}/server.pem"
tls_key = "{folder}/server.key"
tls_ca = "{folder}/ca.pem"
tls_crl = "{folder}/crl.pem"
audit = "{folder}/tls.jsonl"

[[proxy]]
listen = "unix:///run/mooring/docker.sock"

[[proxy]]
listen = "unix:///run/mooring/reads.sock"
allow = ["GET containers"]

[[proxy]]
listen = "unix:///run/mooring/deny.sock"
deny = ["* containers/*/archive", "POST containers/*/kill", "POST containers/create", "GET images/search"]
audit = "{folder}/audit.jsonl"
"""


@pytest.fixture(scope="module")
def ruled_host(lab: Lab) -> Iterator[Host]:
    """A host whose proxy listens at four places."""
    host = lab.host(boot=False)
    try:
        ca = authority(host.folder)
        for name in ("server", "alice", "bob"):
            signed(host.folder, ca, name)
        revocations(host.folder, ca)
        (host.folder / "mooring.toml").write_text(LISTENERS.format(folder=host.folder))
        host.boot()
        yield host
    finally:
        lab.discard(host)


@pytest.fixture
def ruled(ruled_host: Host, request: pytest.FixtureRequest) -> Iterator[Host]:
    """It, with a container `db` that `web` has a link to as `alias`; empty afterwards."""
    request.node.stash[HOSTS] = [ruled_host]
    ruled_host.docker("run", "-d", "--name", "db", IMAGE, "stay")
    ruled_host.docker("run", "-d", "--name", "web", "--link", "db:alias", IMAGE, "stay")
    yield ruled_host
    ruled_host.engine.clear()
    if not request.node.stash.get(FAILED, False):
        assert leaks(ruled_host) == []


def status(host: Host, name: str, data: bytes) -> int:
    """Of the reply to the bytes."""
    return int(raw(host, name, data)[9:12])


def ask(method: str, path: str, more: str = "") -> bytes:
    """A request."""
    return f"{method} {path} HTTP/1.1\r\nHost: d\r\n{more}Content-Length: 0\r\n\r\n".encode()


def test_an_alias_is_a_name(ruled: Host) -> None:
    """The engine takes `web/alias` for the container that is meant, and so do the rules, however it is written."""
    assert ruled.engine.api("GET", "/containers/web/alias/json")["Name"] == "/db"
    for path in ("/containers/web/alias", "/v1.41/containers/web%2Falias", "/containers/%77eb/alias", "/containers/db"):
        assert status(ruled, "deny", ask("GET", path + "/archive?path=/etc/hostname")) == 403, path
        assert status(ruled, "deny", ask("HEAD", path + "/archive?path=/etc/hostname")) == 403, path
        assert status(ruled, "deny", ask("POST", path + "/kill")) == 403, path
    assert status(ruled, "deny", ask("GET", "/containers/web/alias/json")) == 200
    assert status(ruled, "deny", ask("GET", "/images/search?term=127.0.0.1:1/x")) == 403
    assert ruled.engine.inspect("db")["State"]["Running"]


def test_reading_containers_is_no_shell(ruled: Host) -> None:
    """`attach/ws` is a GET; the websocket's offer changes nothing, and neither does any other."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    offer = f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    for path in ("/containers/db/attach/ws?stdin=1&stream=1", "/containers/web/alias/attach%2Fws?stdin=1&stream=1"):
        assert status(ruled, "reads", ask("GET", path, offer)) == 403
    for path in ("/containers/db/exec", "/containers/db/attach?stream=1&stdin=1", "/session"):
        assert status(ruled, "reads", ask("POST", path, offer.replace("websocket", "h2c"))) == 403
    assert status(ruled, "reads", ask("GET", "/containers/db/json", offer)) == 200
    assert refused(ruled, "reads", "exec", "db", "true")


@pytest.mark.parametrize("version", ["1.23", "1.18", "1"])
def test_an_old_start_gets_no_privileges(ruled: Host, version: str) -> None:
    """Where creating is denied; old engines would take a whole host's configuration from its body."""
    made = ruled.engine.api("POST", "/containers/create?name=made", {"Image": IMAGE, "Cmd": ["true"]})["Id"]
    body = json.dumps({"Privileged": True, "Binds": ["/:/host"]})
    request = (
        f"POST /v{version}/containers/{made}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    assert status(ruled, "deny", request.encode()) == 403
    assert not ruled.engine.inspect(made)["HostConfig"]["Privileged"]
    client(ruled, "deny").api("POST", f"/containers/{made}/start")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("flags", [["--http2"], ["--http1.0"], ["-H", "Upgrade: TLS/1.2", "-H", "Connection: Upgrade"]])
def test_curl_is_judged_by_method_and_path(ruled: Host, flags: list[str]) -> None:
    """As if it had not offered anything."""
    for name, path, wanted in (
        ("reads", "/containers/json", "200"),
        ("deny", "/info", "200"),
        ("docker", "/info", "200"),
        ("reads", "/info", "403"),
        ("deny", "/containers/web/alias/archive?path=/etc", "403"),
    ):
        argv = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *flags, "--max-time", "60"]
        where = ["--unix-socket", str(client(ruled, name).socket), f"http://docker{path}"]
        assert subprocess.run(argv + where, capture_output=True, text=True, check=True).stdout == wanted, (name, path)


def spoken(path: Path, data: bytes) -> bytes:
    """All that is said to the bytes, which are all that is sent."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(path))
        sock.sendall(data)
        said = b""
        while more := sock.recv(65536):
            said += more
        return said


@pytest.mark.parametrize(
    "data",
    [
        b"GET /_ping HTTP/1.0\r\n\n",
        b"GET /_ping HTTP/1.0\n\n",
        b"GET /_ping HTTP/1.1\nHost: d\nConnection: close\n\n",
        b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: a\r\n b\r\nConnection: close\r\n\r\n",
        b"GET http://docker/_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
        b"GET /_ping HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /auth HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /_ping HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"get /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
        b"\nGET /_ping HTTP/1.1\r\nHost: d\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\n X: y\r\nHost: d\r\n\r\n",
        b"GET /_ping HTTP/1.1 \r\nHost: d\r\n\r\n",
        b"GET /_ping HTTP/3.0\r\nHost: d\r\n\r\n",
        b"POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST /auth HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"GET /_ping HTTP/1.1\r\nHost: d\r\nExpect: tea\r\nConnection: close\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\nHost: d\r\nX Y: z\r\n\r\n",
    ],
)
def test_an_odd_request_has_the_engines_status(ruled: Host, data: bytes) -> None:
    """What the engine takes passes, in its own words; what it refuses is refused with the same number."""
    theirs = spoken(ruled.engine.socket, data)
    for name in ("docker", "deny"):
        ours = spoken(client(ruled, name).socket, data)
        assert ours.split(b"\r\n")[0].split(b" ")[:2] == theirs.split(b"\r\n")[0].split(b" ")[:2]
        if theirs[9:10] == b"2":
            assert ours.partition(b"\r\n\r\n")[2] == theirs.partition(b"\r\n\r\n")[2]


def test_the_audit_has_everybody_and_what_is_no_request(ruled: Host) -> None:
    """User and process at a socket; a certificate, and who had none, at a port."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(client(ruled, "deny").socket))
        sock.sendall(b"PUT /no-request?token=x HTTP/1.1\r\nno colon\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")
    (line,) = audited(ruled, "/no-request")
    # The lab's daemon has processes of its own, of which this one is none: the kernel says 0.
    assert (line["method"], line["status"], line["refused"], line["uid"], line["pid"]) == ("PUT", 400, True, 0, 0)
    assert "malformed" in str(line["reason"])
    assert tls_docker(ruled, "alice", "volume", "ls").ok
    assert not tls_docker(ruled, "", "volume", "ls").ok
    der = ssl.PEM_cert_to_DER_cert((ruled.folder / "alice.pem").read_text())

    def told() -> list[dict[str, object]]:
        file = ruled.folder / "tls.jsonl"
        every = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        found: list[dict[str, object]] = [next((one for one in every if one["path"] == "/volumes"), {})]
        found += [next((one for one in every if "reason" in one), {})]
        return found if all(found) else []

    asked, nobody = eventually(told, "the audit log has both")
    assert (asked["subject"], asked["fingerprint"]) == ("CN=alice", "sha256:" + hashlib.sha256(der).hexdigest())
    assert str(asked["peer"]).startswith("127.0.0.1:")
    assert "did not return a certificate" in str(nobody["reason"])


def test_a_revoked_client_is_refused_and_living_streams_go_on(ruled: Host) -> None:
    """From the next connection on, without a restart; a list that is half written changes nothing."""
    ca, bob = (Pair(ruled.folder / f"{name}.pem", ruled.folder / f"{name}.key") for name in ("ca", "bob"))
    assert tls_docker(ruled, "bob", "ps").ok

    def listen() -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=ca.cert)
        context.load_cert_chain(bob.cert, bob.key)
        stream = context.wrap_socket(socket.create_connection(("127.0.0.1", 2376), 60), server_hostname="127.0.0.1")
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        return stream

    def hear(stream: ssl.SSLSocket, word: bytes) -> bool:
        said = b""
        while word not in said:
            said += stream.recv(65536) or pytest.fail("the stream has ended")
        return True

    with in_network(ruled.network, listen) as events:
        assert hear(events, b"200 OK")
        ruled.docker("rename", "web", "web2")
        assert hear(events, b"web2")
        whole = (ruled.folder / "crl.pem").read_bytes()
        (ruled.folder / "crl.pem").write_bytes(whole[:100])
        assert tls_docker(ruled, "bob", "ps").ok
        revocations(ruled.folder, ca, [bob])
        assert not tls_docker(ruled, "bob", "ps").ok
        assert tls_docker(ruled, "alice", "ps").ok
        ruled.docker("rename", "web2", "web3")
        assert hear(events, b"web3")
    revocations(ruled.folder, ca)
    assert tls_docker(ruled, "bob", "ps").ok


def environment(size: int, network: str) -> dict[str, Any]:
    """A create with so many bytes of environment."""
    many = [f"V{number}=" + "x" * 1000 for number in range(size // 1000)]
    return {"Image": IMAGE, "Cmd": ["true"], "Env": many, "HostConfig": {"NetworkMode": network}}


def test_an_environment_may_be_as_large_as_linux_takes_it(ruled: Host) -> None:
    """On another driver's network of any size; on ours with its address, several at once, by the name of the network
    and by the beginning of its id, and it starts; what is larger is told the limit."""
    ruled.create_network("ours", "--subnet", "10.79.0.0/24", "-o", "sticky=container")
    made = ruled.proxy.api("POST", "/containers/create?name=large", environment(12_000_000, "bridge"))["Id"]
    assert len(ruled.engine.inspect(made)["Config"]["Env"]) >= 12_000
    ident = ruled.docker("network", "inspect", "-f", "{{.Id}}", "ours").output.strip()

    def create(number: int) -> str:
        spec = environment(1_200_000, ident[:12] if number % 2 else "ours")
        spec["NetworkingConfig"] = {"EndpointsConfig": {spec["HostConfig"]["NetworkMode"]: {"Aliases": ["alias"]}}}
        return str(ruled.proxy.api("POST", f"/containers/create?name=ours{number}", spec)["Id"])

    with ThreadPoolExecutor(4) as threads:
        idents = list(threads.map(create, range(4)))
    addresses = set()
    for each in idents:
        config = ruled.engine.inspect(each)
        assert len(config["Config"]["Env"]) >= 1200
        assert ruled.docker("start", "-a", each).ok
        (endpoint,) = ruled.engine.inspect(each)["NetworkSettings"]["Networks"].values()
        assert "alias" in endpoint["Aliases"]
        addresses.add(endpoint["IPAMConfig"]["IPv4Address"])
    assert len(addresses) == 4
    with pytest.raises(DockerError, match="one JSON document of up to 8 MiB") as caught:
        ruled.proxy.api("POST", "/containers/create?name=refused", environment(12_000_000, "ours"))
    assert caught.value.status in (400, 413)
    with pytest.raises(DockerError) as caught:
        ruled.engine.inspect("refused")
    assert caught.value.status == 404
    ruled.docker("rm", "large", *idents)
    ruled.docker("network", "rm", "ours")


def test_a_create_in_chunks_has_its_address(ruled: Host) -> None:
    """As docker-java sends it, with a body that an authorization plugin of the engine would not see."""
    ruled.create_network("ours", "--subnet", "10.79.0.0/24", "-o", "sticky=container")
    body = json.dumps({"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"NetworkMode": "ours"}}).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, body[at : at + 1]) for at in range(len(body))) + b"0\r\n\r\n"
    head = b"POST /containers/create?name=chunked HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
    said = raw(ruled, "docker", head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert said.startswith(b"HTTP/1.1 201 ")
    config = ruled.engine.inspect("chunked")["NetworkSettings"]["Networks"]["ours"]["IPAMConfig"]
    assert config["IPv4Address"].startswith("10.79.0.")
    ruled.docker("rm", "chunked")
    ruled.docker("network", "rm", "ours")
