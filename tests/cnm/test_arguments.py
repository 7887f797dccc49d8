"""What a program gives the library is read, or refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Interface, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.cnm import arguments
from mooring.cnm.values import Subnet
from mooring.core.endpoints import Service
from mooring.core.faults import BadRequest
from mooring.core.pools import SubnetPool
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import SandboxSpec, SubnetSpec
from mooring.core.sandboxes import Kind, Sandbox
from mooring.ports import Driver, IpamDriver

READERS: dict[str, Callable[[Any], object]] = {
    "text": lambda value: arguments.text("text", value),
    "name": lambda value: arguments.name("name", value),
    "path": lambda value: arguments.path("path", value),
    "switch": lambda value: arguments.switch("switch", value),
    "priority": arguments.priority,
    "seconds": lambda value: arguments.seconds("seconds", value),
    "labels": lambda value: arguments.texts("labels", value),
    "address": lambda value: arguments.address("address", value),
    "addresses": lambda value: arguments.one_of_each("addresses", value, arguments.address),
    "mac": arguments.mac,
    "subnets": lambda value: arguments.subnets(value, ipv4=True, ipv6=True, driver="bridge", ipam="default"),
    "services": lambda value: arguments.every("services", value, arguments.service),
    "exposed": lambda value: arguments.every("exposed", value, arguments.exposed),
    "publish": lambda value: arguments.every("publish", value, arguments.published),
    "extra_hosts": lambda value: arguments.every("extra_hosts", value, arguments.extra_host),
    "pools": lambda value: arguments.every("pools", value, arguments.subnet_pool),
    "drivers": lambda value: arguments.drivers("drivers", value or 0, Driver),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("value", [None, b"bytes", object(), -(2**70), float("nan"), ["\ud800"], {1: 2}, {"a": None}])
def test_a_wrong_type_is_refused_by_the_argument_s_name(reader: str, value: object) -> None:
    """No reader lets a value of another type through, and none fails in another way than by BadRequest."""
    with pytest.raises(BadRequest, match=rf"^{reader.removesuffix('s')}|^subnet|^address"):
        READERS[reader](value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), st.lists))
def test_anything_is_read_or_refused(value: object) -> None:
    """A reader gives a value or a BadRequest, whatever comes."""
    for read in READERS.values():
        with suppress(BadRequest):
            read(value)


@pytest.mark.parametrize("bad", ["", "a/b", "a b", "a\n", "a\0b", "x" * 256, "\ud800", " a"])
def test_names_that_cannot_be_are_refused(bad: str) -> None:
    """A name has 1 to 255 printable characters, none of them a space or a slash."""
    with pytest.raises(BadRequest, match=r"^name "):
        arguments.name("name", bad)


def test_names_that_can_be() -> None:
    """Every script will do, 255 characters too, and "" where no name is needed."""
    for good in ("web", "Größe-1", "x" * 255, "a.b_c"):
        assert arguments.name("name", good) == good
    assert arguments.name("name", "", optional=True) == ""


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("80", PortRequest(Protocol.TCP, 80)),
        ("53/udp", PortRequest(Protocol.UDP, 53)),
        ("8080:80/tcp", PortRequest(Protocol.TCP, 80, None, 8080, 8080)),
        ("8000-8010:80/SCTP", PortRequest(Protocol.SCTP, 80, None, 8000, 8010)),
        ("127.0.0.1:8080:80", PortRequest(Protocol.TCP, 80, ip_address("127.0.0.1"), 8080, 8080)),
        ("127.0.0.1::80", PortRequest(Protocol.TCP, 80, ip_address("127.0.0.1"))),
        ("[::1]:8080:80", PortRequest(Protocol.TCP, 80, ip_address("::1"), 8080, 8080)),
        (":80", PortRequest(Protocol.TCP, 80)),
    ],
)
def test_ports_are_written_as_with_docker(text: str, request_: PortRequest) -> None:
    """Each form of `docker run --publish` for one port is understood; a request is taken as it is."""
    assert arguments.published("publish", text) == request_
    assert arguments.published("publish", request_) is request_


@pytest.mark.parametrize(
    "bad",
    ["", "/", "0", "65536", "x", "80/icmp", "80/", "a:80", "1-2-3:80", "9-8:80", "-:80", "8-:80", "::1:8080:80",
     "127.0.0.1:80", "[::1]:80", "1.2.3:8080:80", ":8080:80", "²:80", "8080:80:", "８０"],
)  # fmt: skip
def test_ports_that_cannot_be_are_refused(bad: str) -> None:
    """What is no port is refused with what was given."""
    with pytest.raises(BadRequest, match=r"^publish"):
        arguments.published("publish", bad)


@pytest.mark.parametrize(
    "bad",
    [PortRequest(Protocol.TCP, 0), PortRequest(Protocol.TCP, 80, None, 9, 8), PortRequest(Protocol.TCP, 80, None, 0, 9),
     PortRequest(6, 80), PortRequest(Protocol.TCP, 80, "127.0.0.1")],  # type: ignore[arg-type]
)  # fmt: skip
def test_port_requests_that_cannot_be_are_refused(bad: PortRequest) -> None:
    """A value is checked as its text would be."""
    with pytest.raises(BadRequest, match=r"^publish"):
        arguments.published("publish", bad)


def test_services_and_extra_hosts() -> None:
    """`name:port/protocol` and `name:address` are read, of IPv6 too."""
    assert arguments.service("services", "http:80/tcp") == Service("http", Protocol.TCP, 80)
    assert arguments.extra_host("extra_hosts", "db:fd00::5") == ("db", ip_address("fd00::5"))
    for bad in ("http", ":80", "http:", "http:80/x"):
        with pytest.raises(BadRequest, match=r"^services"):
            arguments.service("services", bad)
    for bad in ("db", "db:", ":10.0.0.1", "db:10.0.0.1/24", "a b:10.0.0.1"):
        with pytest.raises(BadRequest, match=r"^extra_hosts"):
            arguments.extra_host("extra_hosts", bad)


def wishes(value: object, **changes: Any) -> list[tuple[int, str]]:
    """Version and subnet of each wish."""
    told: dict[str, Any] = {"ipv4": True, "ipv6": False, "driver": "bridge", "ipam": "default"} | changes
    return [(spec.version, str(spec.subnet)) for spec in arguments.subnets(value, **told)]


def test_families_without_a_subnet_are_chosen_when_wanted() -> None:
    """IPv4 unless it is switched off, IPv6 when it is switched on or given; none for what has no addresses."""
    assert wishes(()) == [(4, "None")]
    assert wishes((), ipv6=True) == [(4, "None"), (6, "None")]
    assert wishes(["fd00:1::/64"]) == [(6, "fd00:1::/64"), (4, "None")]
    assert wishes([ip_network("10.9.0.0/24")], ipv6=True) == [(4, "10.9.0.0/24"), (6, "None")]
    assert wishes((), ipv4=False, driver="other") == wishes((), ipam="null", driver="other") == []
    assert wishes((), driver="host") == wishes((), driver="null") == []
    for nothing in ({"ipv4": False}, {"ipam": "null"}):
        with pytest.raises(BadRequest, match=r"^subnets: a bridge needs one"):
            wishes((), **nothing)
    with pytest.raises(BadRequest, match=r"10\.9\.0\.0/24 is IPv4, but ipv4 is False"):
        wishes(["10.9.0.0/24"], ipv4=False)


def test_a_subnet_says_what_is_special_in_it() -> None:
    """Range, gateway and auxiliary addresses are read, and must be in the subnet."""
    whole = Subnet("10.9.0.0/24", range="10.9.0.128/25", gateway="10.9.0.254", auxiliary={"printer": "10.9.0.9"})
    assert arguments.subnets([whole], ipv4=True, ipv6=False, driver="bridge", ipam="default") == (
        SubnetSpec(4, ip_network("10.9.0.0/24"), ip_network("10.9.0.128/25"), ip_address("10.9.0.254"),
                   {"printer": ip_address("10.9.0.9")}),
    )  # fmt: skip
    for bad in (
        Subnet("10.9.0.1/24"),
        Subnet("10.9.0.0/24", gateway="10.8.0.1"),
        Subnet("10.9.0.0/24", gateway="fd00::1"),
        Subnet("10.9.0.0/24", auxiliary={"printer": "10.8.0.1"}),
        Subnet("10.9.0.0/24", range="10.8.0.0/25"),
        Subnet("10.9.0.0/24", auxiliary="printer"),  # type: ignore[arg-type]
        Subnet(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(BadRequest):
            wishes([bad])


def test_an_address_with_a_length_is_an_address() -> None:
    """A value is taken for its address alone; text with a length is refused, and so are two of one family."""
    assert arguments.one_of_each("addresses", ["fd00::2", IPv4Interface("10.0.0.2/24")], arguments.address) == (
        ip_address("10.0.0.2"),
        ip_address("fd00::2"),
    )
    for bad in (["10.0.0.2/24"], ["10.0.0.2", "10.0.0.3"], ["fe80::1%eth0"], "10.0.0.2"):
        with pytest.raises(BadRequest, match=r"^addresses"):
            arguments.one_of_each("addresses", bad, arguments.address)


def test_drivers_are_checked_for_their_methods() -> None:
    """An object with every method is a driver; a class, and what lacks a method, is refused by name."""

    class Own(Driver):
        pass

    own = Own()
    assert arguments.drivers("drivers", {"own": own}, Driver) == {"own": own}
    assert arguments.drivers("drivers", None, Driver) == {}
    with pytest.raises(BadRequest, match="own is no Driver: it is a class"):
        arguments.drivers("drivers", {"own": Own}, Driver)
    with pytest.raises(BadRequest, match="own is no IpamDriver: it lacks requires_mac, default_space"):
        arguments.drivers("ipam_drivers", {"own": own}, IpamDriver)
    assert arguments.subnet_pool("subnet_pools", pool := SubnetPool("a", "b", (ip_network("10.0.0.0/8"),), 24)) is pool


def test_settings_of_a_sandbox() -> None:
    """Each setting ends where it belongs; an unknown one is refused with the nearest."""
    spec = arguments.with_settings(
        SandboxSpec("web"),
        {"hostname": "web", "dns": ["10.0.0.1"], "extra_hosts": ["db:10.0.0.5"], "exposed": ["80"], "publish": ["80"],
         "labels": {"a": "b"}, "resolver": False, "search": ["example.org"], "dns_options": ["ndots:2"]},
    )  # fmt: skip
    assert spec == SandboxSpec(
        "web", hostname="web", dns=(ip_address("10.0.0.1"),), hosts=(("db", ip_address("10.0.0.5")),),
        exposed=((Protocol.TCP, 80),), ports=(PortRequest(Protocol.TCP, 80),), labels={"a": "b"}, resolver=False,
        search=("example.org",), dns_options=("ndots:2",),
    )  # fmt: skip
    with pytest.raises(BadRequest, match=r"unknown setting of a sandbox hostnam.*did you mean hostname"):
        arguments.with_settings(SandboxSpec(), {"hostnam": "x"})
    with pytest.raises(BadRequest, match=r"^hosts_path"):
        arguments.with_settings(SandboxSpec(), {"hosts_path": "relative"})


def test_the_wish_of_a_sandbox_is_the_sandbox() -> None:
    """A wish that is made from a record says all that the record says."""
    record = Sandbox("1" * 64, "web", Kind.EXTERNAL, "/proc/1/ns/net", 1.0, hostname="web", dns_options=("ndots:1",))
    spec = arguments.spec_of(record)
    assert (spec.name, spec.kind, spec.path, spec.hostname) == ("web", Kind.EXTERNAL, record.path, "web")
    assert spec.dns_options == ("ndots:1",)
