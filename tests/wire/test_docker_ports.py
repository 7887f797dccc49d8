"""Ports in the engine's replies about containers: the value is the one that Docker shows, every other byte stays."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from mooring.core.port_bindings import PortBinding, Protocol
from mooring.wire import docker_ports
from mooring.wire.docker_ports import Place, ShownPorts
from mooring.wire.go_json import Unread

NETWORK, ENDPOINT = "n" * 64, "e" * 64


def published(
    host_port: int, port: int, target: str = "10.0.0.2", host: str = "", protocol: str = "TCP"
) -> PortBinding:
    """A port binding, at every address unless a host is given."""
    return PortBinding(Protocol[protocol], ip_address(host) if host else None, host_port, ip_address(target), port)


def row(ports: str = "[]", networks: object = None, more: str = "") -> str:
    """One container of a list, with odd blanks, escapes and numbers that a decoder would write otherwise."""
    endpoint = {"web": {"NetworkID": NETWORK, "EndpointID": ENDPOINT}} if networks is None else networks
    return (
        '{"Id":"c1", "Names":["\\/web"],"Created":1.0e3,"Labels":{"Ports":"[]","a":"\\u0026}"},'
        f'"Ports":{ports},"NetworkSettings":{{"Networks":{json.dumps(endpoint)}}}{more}}}'
    )


def after(body: str, **shown: object) -> str:
    """The list when its first container shows these ports."""
    return docker_ports.with_listed_ports(body.encode(), {0: ShownPorts(**shown)}).decode()  # type: ignore[arg-type]


DUAL = (published(8080, 80), published(8080, 80, "fd00::2"))


def test_a_list_tells_ports_as_docker_does() -> None:
    """Both families, UDP, an address of the host; what is merely exposed has no host's part."""
    text = f"[{row()}]\n"
    told = after(
        text,
        published=(*DUAL, published(53, 53, host="127.0.0.1", protocol="UDP")),
        exposed=((Protocol.TCP, 443), (Protocol.TCP, 80)),
    )
    ports = (
        '[{"PrivatePort":443,"Type":"tcp"},'
        '{"IP":"127.0.0.1","PrivatePort":53,"PublicPort":53,"Type":"udp"},'
        '{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},'
        '{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}]'
    )
    assert told == f"[{row(ports)}]\n"


@pytest.mark.parametrize("ports", ["[]", "null"])
def test_only_the_containers_that_are_named_change(ports: str) -> None:
    """The same text twice: the second alone is changed, and every byte around it stays."""
    body = f"[ {row()} ,\n {row(ports)},{row()}]"
    told = docker_ports.with_listed_ports(body.encode(), {1: ShownPorts((published(81, 80),))}).decode()
    one = '[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":81,"Type":"tcp"}]'
    assert told == f"[ {row()} ,\n {row(one)},{row()}]"


def test_what_the_engine_shows_stays() -> None:
    """Ports of a network of its own, in its own text; what is published is no longer merely exposed, nor told twice."""
    own = '{"IP":"0.0.0.0", "PrivatePort":90,"PublicPort":9090,"Type":"tcp"}'
    same = '{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}'
    merely = '{"PrivatePort":22,"Type":"tcp"}'
    body = f"[{row(f'[{own},{same},{merely}]')}]"
    told = json.loads(after(body, published=(*DUAL, published(2222, 22)), exposed=((Protocol.TCP, 90),)))[0]["Ports"]
    assert own in after(body, published=DUAL)
    assert [(each.get("IP"), each["PrivatePort"], each.get("PublicPort")) for each in told] == [
        ("0.0.0.0", 90, 9090),
        ("0.0.0.0", 80, 8080),
        ("0.0.0.0", 22, 2222),
        ("::", 80, 8080),
    ]


def test_nothing_to_show_changes_nothing() -> None:
    """A container that neither publishes nor exposes has the text that it had, null or not there at all."""
    for body in (f"[{row('null')}]", '[{"NetworkSettings":null}]'):
        assert after(body, published=()) == body
        assert docker_ports.with_listed_ports(body.encode(), {}) == body.encode()


def test_places_are_read_from_every_shape_of_a_list() -> None:
    """Networks without ids, without settings, null; a container that does not run has no endpoint."""
    places = docker_ports.listed_places(
        f"[{row()},{row(networks={'a': {'NetworkID': NETWORK, 'EndpointID': ''}, 'b': None})},{{}},"
        '{"NetworkSettings":null},{"NetworkSettings":{"Networks":null}}]'.encode()
    )
    assert places == ((Place(NETWORK, ENDPOINT),), (), (), (), ())


@pytest.mark.parametrize("body", [b"", b"{}", b'{"message":"no"}', b"[1]", b'[{"NetworkSettings":3}]', b"\xff", b"[{}"])
def test_another_shape_is_unread(body: bytes) -> None:
    """Neither lists nor inspections."""
    with pytest.raises(Unread):
        docker_ports.listed_places(body)
    with pytest.raises(Unread):
        docker_ports.inspected_places(body if body != b"{}" and b"message" not in body else b"[]")


def inspection(ports: str = "{}", exposed: str = '{"80/tcp":{},"443/tcp":{},"8000-8002/tcp":{},"9":{}}') -> str:
    """An inspection; the configuration of the host binds one port more."""
    return (
        f'{{"Id":"c1","Config":{{"Env":["Ports={{}}"],"ExposedPorts":{exposed}}},'
        '"HostConfig":{"PortBindings":{"53/udp":[{"HostIp":"","HostPort":""}]}},'
        f'"NetworkSettings":{{"SandboxKey":"/run/x","Ports":{ports},"Networks":'
        f'{{"web":{{"NetworkID":"{NETWORK}","EndpointID":"{ENDPOINT}"}}}}}}}}\n'
    )


def test_an_inspection_tells_ports_as_docker_does() -> None:
    """Bindings of both families under the port's name; what is merely exposed is null, ranges are left out."""
    shown = ShownPorts((*DUAL, published(5353, 53, protocol="UDP")), exposes=True)
    told = docker_ports.with_inspected_ports(inspection().encode(), shown).decode()
    ports = (
        '{"443/tcp":null,"53/udp":[{"HostIp":"0.0.0.0","HostPort":"5353"}],'
        '"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],"9/tcp":null}'
    )
    assert told == inspection(ports)


@pytest.mark.parametrize("exposed", ["{}", "null"])
def test_an_inspection_keeps_what_the_engine_says(exposed: str) -> None:
    """Its bindings stay in their text; nothing of an internal network is exposed; nothing to show changes nothing."""
    own = '{"80/tcp":[{"HostIp":"0.0.0.0", "HostPort":"8080"}],"81/tcp":null}'
    told = docker_ports.with_inspected_ports(inspection(own, exposed).encode(), ShownPorts(DUAL)).decode()
    both = '{"80/tcp":[{"HostIp":"0.0.0.0", "HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],"81/tcp":null}'
    assert told == inspection(both, exposed)
    plain = inspection("null", exposed)
    assert docker_ports.with_inspected_ports(plain.encode(), ShownPorts()) == plain.encode()


def test_an_old_inspection_names_its_sandbox() -> None:
    """Before API 1.21 there are no networks in it."""
    old = b'{"NetworkSettings":{"SandboxKey":"/var/run/docker/netns/a","Ports":{},"EndpointID":""}}'
    assert docker_ports.inspected_places(old) == (Place("", "", "/var/run/docker/netns/a"),)
    assert docker_ports.inspected_places(b'{"NetworkSettings":{"SandboxKey":""}}') == ()
    assert docker_ports.inspected_places(b"{}") == ()
