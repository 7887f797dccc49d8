"""Published ports as the tools see them: through the proxy ours are told as those of Docker's own networks are."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host
from tests.e2e.lab.connections import SocketConnection
from tests.e2e.lab.fixed import DUAL
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import run

PROJECT = f"""
services:
  web: {{image: {IMAGE}, command: stay, ports: ["8080:80", "8053:53/udp"], networks: [own]}}
networks:
  own: {{driver: mooring, ipam: {{driver: mooring, config: [{{subnet: 10.79.0.0/24}}]}}}}
"""


def listed(host: Host, name: str = "web", version: str = "") -> list[tuple[Any, ...]]:
    """What a list through the proxy says of the container's ports, in order."""
    rows = host.proxy.api("GET", f"{version}/containers/json?all=1")
    row = next(row for row in rows if f"/{name}" in row["Names"])
    ports = [(p["PrivatePort"], p["Type"], p.get("IP", ""), p.get("PublicPort", 0)) for p in row["Ports"] or ()]
    return sorted(ports)


def inspected(host: Host, name: str = "web", version: str = "") -> Any:
    """What an inspection through the proxy says of them."""
    return host.proxy.api("GET", f"{version}/containers/{name}/json")["NetworkSettings"]["Ports"]


def test_the_docker_command_tells_published_ports(host: Host) -> None:
    """`docker ps`, `docker port` and `docker inspect`: both families, an address, a range, UDP, what is exposed; none
    while the container is stopped, and the same again after a start, a pause and a restart of mooring."""
    host.create_network("one", *DUAL)
    ports = ("8080:80", "127.0.0.1:8081:81", "9000-9001:90-91/udp", f"[{host.ipv6}]:8082:82")
    options = [word for port in ports for word in ("-p", port)]
    host.proxy.docker("run", "-d", "--name", "web", "--network", "one", *options, "--expose", "443", IMAGE, "stay")
    shown = [
        (80, "tcp", "0.0.0.0", 8080), (80, "tcp", "::", 8080),
        (81, "tcp", "127.0.0.1", 8081),
        (82, "tcp", host.ipv6, 8082),
        (90, "udp", "0.0.0.0", 9000), (90, "udp", "::", 9000),
        (91, "udp", "0.0.0.0", 9001), (91, "udp", "::", 9001),
        (443, "tcp", "", 0),
    ]  # fmt: skip
    assert listed(host) == shown
    assert inspected(host) == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "81/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8081"}],
        "82/tcp": [{"HostIp": host.ipv6, "HostPort": "8082"}],
        "90/udp": [{"HostIp": "0.0.0.0", "HostPort": "9000"}, {"HostIp": "::", "HostPort": "9000"}],
        "91/udp": [{"HostIp": "0.0.0.0", "HostPort": "9001"}, {"HostIp": "::", "HostPort": "9001"}],
        "443/tcp": None,
    }
    told = host.proxy.docker("ps", "--format", "{{.Ports}}").output
    for text in ("443/tcp", "0.0.0.0:8080->80/tcp", "127.0.0.1:8081->81/tcp", "0.0.0.0:9001->91/udp"):
        assert text in told
    assert "0.0.0.0:8080" in host.proxy.docker("port", "web", "80/tcp").output
    assert "80/tcp -> 0.0.0.0:8080" in host.proxy.docker("port", "web").output
    host.daemon.stop()
    host.daemon.start()
    host.proxy.docker("pause", "web")
    assert listed(host) == shown
    host.proxy.docker("unpause", "web")
    host.proxy.docker("stop", "-t", "0", "web")
    assert (listed(host), inspected(host)) == ([], {})
    host.proxy.docker("start", "web")
    assert listed(host) == shown


def test_ports_are_told_as_of_the_engines_own_network(host: Host) -> None:
    """The same options in a network of ours and in one of the engine's: the same keys, and the same forms; an ephemeral
    port is told; a container of both networks has each port once."""
    host.engine.docker("network", "create", "own")
    host.create_network("one", "--subnet", "10.77.0.0/24")
    options = ("--expose", "443", "-p", "80", "-p", "127.0.0.1::81/udp")
    for name, network in (("theirs", "own"), ("ours", "one")):
        host.proxy.docker("run", "-d", "--name", name, "--network", network, *options, IMAGE, "stay")
    theirs, ours = inspected(host, "theirs"), inspected(host, "ours")
    assert {key: value and set(value[0]) for key, value in theirs.items()} == {
        key: value and set(value[0]) for key, value in ours.items()
    }
    port = int(ours["80/tcp"][0]["HostPort"])
    assert (80, "tcp", "0.0.0.0", port) in listed(host, "ours")
    assert listed(host, "theirs") == sorted(
        (int(key.split("/")[0]), key.split("/")[1], bound["HostIp"], int(bound["HostPort"]))
        for key, bindings in theirs.items()
        for bound in bindings or [{"HostIp": "", "HostPort": "0"}]
    )
    host.proxy.docker("network", "connect", "own", "ours")
    both = listed(host, "ours")
    assert len(both) == len(set(both))


def test_every_version_of_the_api_tells_them(host: Host) -> None:
    """Lists and inspections from the oldest version that the engine speaks to its newest, by name, id and its start."""
    host.create_network("one", "--subnet", "10.77.0.0/24")
    ident = host.proxy.docker("run", "-d", "--name", "web", "--network", "one", "-p", "8080:80", IMAGE, "stay").output
    version = host.proxy.api("GET", "/version")
    oldest, newest = (int(version[key].split(".")[1]) for key in ("MinAPIVersion", "ApiVersion"))
    for minor in range(oldest, newest + 1):
        assert listed(host, version=f"/v1.{minor}") == [(80, "tcp", "0.0.0.0", 8080)], minor
        assert inspected(host, version=f"/v1.{minor}") == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}, minor
    for reference in (ident.split()[-1], ident.split()[-1][:12]):
        assert inspected(host, reference)["80/tcp"]


def test_ports_that_an_image_exposes_are_told(host: Host) -> None:
    """`-P`, as for service registries; a client of HTTP/1.0 sees the same; a second network of ours adds none; what is
    in an internal network shows what it does in an internal one of Docker's own."""
    host.create_network("one", "--subnet", "10.77.0.0/24")
    host.create_network("two", "--subnet", "10.78.0.0/24")
    host.create_network("inner", "--internal", "--subnet", "10.79.0.0/24")
    host.proxy.docker("run", "-d", "--name", "web", "--network", "one", "--expose", "80", "--expose", "53/udp", "-P",
                      IMAGE, "stay")  # fmt: skip
    host.proxy.docker("run", "-d", "--name", "dark", "--network", "inner", "--expose", "80", IMAGE, "stay")
    told = listed(host)
    assert [(port, kind, address) for port, kind, address, _ in told] == [
        (53, "udp", "0.0.0.0"),
        (80, "tcp", "0.0.0.0"),
    ]
    assert all(host_port >= 1024 for *_, host_port in told)
    host.proxy.docker("network", "connect", "two", "web")
    assert listed(host) == told
    host.engine.docker("network", "create", "--internal", "theirs")
    host.proxy.docker("run", "-d", "--name", "native", "--network", "theirs", "--expose", "80", IMAGE, "stay")
    assert (listed(host, "dark"), inspected(host, "dark")) == (listed(host, "native"), inspected(host, "native"))
    reply = old_client(str(host.proxy.socket), "/containers/web/json")
    assert json.loads(reply)["NetworkSettings"]["Ports"] == inspected(host)


def old_client(socket_path: str, path: str) -> bytes:
    """The body that a client of HTTP/1.0 gets which closes its direction at once."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(socket_path)
        client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        client.shutdown(socket.SHUT_WR)
        reply = b""
        while piece := client.recv(65536):
            reply += piece
    return reply.partition(b"\r\n\r\n")[2]


@pytest.mark.needs("compose")
def test_compose_tells_them(host: Host) -> None:
    """`docker compose ps` and `docker compose port`."""
    file = host.folder / "compose.yaml"
    file.write_text(PROJECT)

    def compose(*argv: str) -> str:
        command = [*host.release.compose, "-p", "demo", "-f", str(file), *argv]
        return run(command, environment=host.proxy.environment, timeout=180).output

    compose("up", "-d")
    try:
        assert "0.0.0.0:8080->80/tcp" in compose("ps")
        assert compose("port", "web", "80").strip().endswith(":8080")
        assert compose("port", "--protocol", "udp", "web", "53").strip().endswith(":8053")
    finally:
        compose("down", "-t", "0")


def test_a_search_for_a_port_finds_them(host: Host) -> None:
    """`docker ps --filter publish=` and `expose=` as the engine has them, beside its own containers; with other
    filters, a limit and a size; what would find nothing of ours is the engine's reply to the byte, and so are its
    refusals."""
    host.engine.docker("network", "create", "own")
    host.create_network("one", "--subnet", "10.77.0.0/24")
    for name, network, *options in (
        ("theirs", "own", "-p", "8090:80"),
        ("ours", "one", "-p", "8080:80", "-p", "8085:53/udp"),
        ("exposed", "one", "--expose", "443"),
        ("silent", "one"),
    ):
        host.proxy.docker("run", "-d", "--name", name, "--network", network, *options, IMAGE, "stay")

    def found(*argv: str) -> list[str]:
        return host.proxy.docker("ps", "--format", "{{.Names}}", *argv).output.split()

    def by(*filters: str) -> list[str]:
        return found(*(word for each in filters for word in ("--filter", each)))

    assert by("publish=8080") == by("publish=8080/tcp") == by("publish=8000-8080") == ["ours"]
    assert by("publish=8080/udp") == by("publish=80") == by("publish=8081-8084") == []
    assert by("publish=8085/udp") == ["ours"]
    assert by("publish=8000-8100") == by("expose=80") == ["ours", "theirs"]
    assert by("expose=443") == by("publish=0") == ["exposed"]
    assert by("expose=443", "publish=8080") == ["exposed", "ours"]
    assert by("publish=8000-8100", "name=theirs") == ["theirs"]
    assert by("publish=8000-8100", "network=one") == by("publish=8000-8100", "since=theirs") == ["ours"]
    assert found("-n", "1", "--filter", "expose=80") == found("-l", "--filter", "expose=80") == ["ours"]
    assert found("-n", "5", "--filter", "expose=80") == ["ours", "theirs"]
    assert "(virtual" in host.proxy.docker("ps", "-s", "--filter", "publish=8080", "--format", "{{.Size}}").output
    rows = host.proxy.api("GET", "/containers/json?filters=" + quote('{"publish":["8080"]}'))
    assert [row["Names"] for row in rows] == [["/ours"]]
    usage = host.proxy.api("GET", "/system/df")["Containers"]
    assert {row["Names"][0]: len(row["Ports"]) for row in usage}["/ours"] == 2
    for text in (
        '{"publish":{"8090":true}}',
        '{"publish":{"x":true}}',
        '{"publish":{"1:2":true}}',
        '{"publish":{',
        "1",
    ):
        path = f"/containers/json?filters={quote(text)}"
        assert raw(str(host.proxy.socket), path) == raw(str(host.engine.socket), path)
    host.proxy.docker("stop", "-t", "0", "ours")
    assert by("publish=8080") == found("-a", "--filter", "publish=8080") == []


def raw(socket: str, path: str) -> bytes:
    """The body of the reply."""
    connection = SocketConnection(socket, 30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def traefik(host: Host) -> dict[str, int]:
    """Its Docker provider (pkg/provider/docker/pdocker.go, API 1.24): the version, a list of all, and each one by
    itself; the port that it takes is the first of those that are told. By container."""
    api = host.proxy.api
    assert api("GET", "/v1.24/version")["ApiVersion"]
    found = [api("GET", f"/v1.24/containers/{row['Id']}/json") for row in api("GET", "/v1.24/containers/json?all=1")]
    ports = {each["Name"]: sorted(int(key.split("/")[0]) for key in each["NetworkSettings"]["Ports"]) for each in found}
    return {name[1:]: told[0] for name, told in ports.items() if told}


def docker_gen(host: Host) -> dict[str, str]:
    """nginx-proxy's (internal/generator/generator.go): info, a list of what runs, the networks, and each one by itself,
    without a version; the host's port of the first one that has any. By container."""
    api = host.proxy.api
    assert api("GET", "/info")["ID"]
    networks = {network["Name"] for network in api("GET", "/networks")}
    told: dict[str, str] = {}
    for row in api("GET", "/containers/json?all=0&size=0"):
        one = api("GET", f"/containers/{row['Id']}/json")
        assert set(one["NetworkSettings"]["Networks"]) <= networks
        bound = [bindings[0]["HostPort"] for bindings in one["NetworkSettings"]["Ports"].values() if bindings]
        told |= {one["Name"][1:]: bound[0]} if bound else {}
    return told


def portainer(host: Host) -> dict[str, list[int]]:
    """Its snapshot (api/docker/snapshot.go): ping, info, and everything that there is. By container."""
    for path in ("/_ping", "/info", "/images/json", "/volumes", "/networks", "/version", "/system/df"):
        assert raw(str(host.proxy.socket), path)
    rows = host.proxy.api("GET", "/containers/json?all=1")
    return {row["Names"][0][1:]: [port["PublicPort"] for port in row["Ports"] if "PublicPort" in port] for row in rows}


def test_who_watches_the_engine_sees_ports_with_the_event(host: Host) -> None:
    """Call by call as their sources have it; a container's ports are there when its start is told, and gone with its
    end."""
    host.create_network("one", "--subnet", "10.77.0.0/24")
    connection = SocketConnection(str(host.proxy.socket), 60)
    connection.request("GET", "/v1.24/events?filters=" + quote('{"type":{"container":true}}'))
    events = connection.getresponse()

    def hear(action: str) -> None:
        while json.loads(events.readline())["Action"] != action:
            pass

    try:
        create = ("-d", "--name", "web", "--network", "one", "-p", "8080:80", "--expose", "443", IMAGE, "stay")
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(host.proxy.docker, "run", *create)
            hear("start")
            assert (traefik(host), docker_gen(host), portainer(host)) == ({"web": 80}, {"web": "8080"}, {"web": [8080]})
            running.result()
        host.proxy.docker("stop", "-t", "0", "web")
        hear("die")
        assert (traefik(host), docker_gen(host), portainer(host)) == ({}, {}, {"web": []})
    finally:
        connection.close()


LISTENERS = """
[[proxy]]
listen = "unix:///run/mooring/docker.sock"
[[proxy]]
listen = "unix:///run/mooring/plain.sock"
show_ports = false
"""


def test_a_listener_may_leave_replies_alone(make_host: MakeHost) -> None:
    """With `show_ports = false` every byte is the engine's; with it only the ports differ; other containers, a refusal
    and a list without a container of ours are the engine's in any case."""
    host = make_host()
    host.daemon.stop()
    (host.folder / "mooring.toml").write_text(LISTENERS)
    host.daemon.environment["MOORING_CONFIG"] = str(host.folder / "mooring.toml")
    host.daemon.start()
    host.create_network("one", "--subnet", "10.77.0.0/24")
    host.proxy.docker("run", "-d", "--name", "web", "--network", "one", "-p", "8080:80", IMAGE, "stay")
    host.proxy.docker("run", "-d", "--name", "own", "-p", "8081:80", IMAGE, "stay")
    proxied, plain = (str(host.folder / f"run/mooring/{name}.sock") for name in ("docker", "plain"))
    for path in ('/containers/json?filters={"name":["own"]}', "/containers/own/json", "/containers/none/json"):
        path = path.replace('"', "%22")
        assert raw(proxied, path) == raw(str(host.engine.socket), path) == raw(plain, path)
    assert raw(plain, "/containers/web/json") == raw(str(host.engine.socket), "/containers/web/json")
    before, after = (json.loads(raw(at, "/containers/web/json")) for at in (plain, proxied))
    assert before["NetworkSettings"]["Ports"] in ({}, None)
    after["NetworkSettings"]["Ports"] = before["NetworkSettings"]["Ports"]
    assert before == after
