"""The stored forms: complete, and readable for ever."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

import msgspec
import pytest

from mooring.core.endpoints import Endpoint
from mooring.core.endpoints import State as EndpointState
from mooring.core.engines import KnownEngine
from mooring.core.leases import Active, Lease, State
from mooring.core.networks import GatewayMode, Network, NetworkOptions, Segment, StaticRoute
from mooring.core.pools import Pool
from mooring.core.publications import PortRequest, Protocol, Publication
from mooring.wire import forms, stored

# Written by the first release; these lines are never changed, only added to.
PAST: list[tuple[str, bytes, stored.Record]] = [
    ("engine/ABCD:EFGH", b'{"v":1,"since":5.5,"networks":["n1"]}', KnownEngine("ABCD:EFGH", 5.5, frozenset({"n1"}))),
    (
        "pool/8f3a",
        b'{"v":1,"space":"default","subnet":"10.32.0.0/24","range":"10.32.0.128/25","source":"default",'
        b'"options":{"a":"b"},"created":5.5,"gateway":"10.32.0.1","network":"n1"}',
        Pool(
            id="8f3a",
            space="default",
            subnet=IPv4Network("10.32.0.0/24"),
            range=IPv4Network("10.32.0.128/25"),
            source="default",
            options={"a": "b"},
            created=5.5,
            gateway=IPv4Address("10.32.0.1"),
            network="n1",
        ),
    ),
    (
        "lease/default/4/0a200005",
        b'{"v":1,"pool":"8f3a","state":"fixed","since":5.5,"owner":"name:web","mac":"02:00:00:00:00:01","name":"web",'
        b'"key":"web","holders":["c1","c2"],"active":{"endpoint":"e","host":"h","boot":"b"},"hold":60.0,"until":99.0,'
        b'"whom":"me","note":"for now","seen":"02:00:00:00:00:02"}',
        Lease(
            space="default",
            address=IPv4Address("10.32.0.5"),
            pool="8f3a",
            state=State.FIXED,
            since=5.5,
            owner="name:web",
            mac="02:00:00:00:00:01",
            name="web",
            key="web",
            holders=frozenset({"c1", "c2"}),
            active=Active("e", "h", "b"),
            hold=60.0,
            until=99.0,
            whom="me",
            note="for now",
            seen="02:00:00:00:00:02",
        ),
    ),
    (
        "network/n1",
        b'{"v":1,"options":{"mode":"bridge","bridge":"br0","mtu":1400,"icc":false,"gateway_mode6":"routed",'
        b'"source4":"192.0.2.1","binding":"127.0.0.1","routes":[{"destination":"10.0.0.0/8","via":"10.32.0.9"}]},'
        b'"internal":false,"ipv4":[{"subnet":"10.32.0.0/24","gateway":"10.32.0.1/24","space":"default","pool":"8f3a",'
        b'"auxiliary":{"router":"10.32.0.9"}}],"ipv6":[{"subnet":"fd00::/64","gateway":"","space":"default","pool":""}],'
        b'"created":5.5,"raw":{"mtu":"1400"}}',
        Network(
            id="n1",
            options=NetworkOptions(
                bridge="br0",
                mtu=1400,
                icc=False,
                gateway_mode6=GatewayMode.ROUTED,
                source4=IPv4Address("192.0.2.1"),
                binding=IPv4Address("127.0.0.1"),
                routes=(StaticRoute(IPv4Network("10.0.0.0/8"), IPv4Address("10.32.0.9")),),
            ),
            internal=False,
            ipv4=(
                Segment(
                    IPv4Network("10.32.0.0/24"),
                    IPv4Interface("10.32.0.1/24"),
                    "default",
                    "8f3a",
                    {"router": IPv4Address("10.32.0.9")},
                ),
            ),
            ipv6=(Segment(IPv6Network("fd00::/64"), None, "default", ""),),
            created=5.5,
            raw={"mtu": "1400"},
        ),
    ),
    (
        "endpoint/n1/e1",
        b'{"v":1,"mac":"02:00:00:00:00:01","created":5.5,"state":"attached","ipv4":"10.32.0.5/24","ipv6":"fd00::5/64",'
        b'"sandbox":"/run/docker/netns/x","ports":[{"protocol":6,"port":80,"host":"127.0.0.1","first":8080,"last":8081}],'
        b'"published":[{"protocol":17,"host_port":53,"target":"10.32.0.5","target_port":5353}],"options":{"a":"b"}}',
        Endpoint(
            id="e1",
            network="n1",
            ipv4=IPv4Interface("10.32.0.5/24"),
            ipv6=IPv6Interface("fd00::5/64"),
            mac="02:00:00:00:00:01",
            created=5.5,
            state=EndpointState.ATTACHED,
            sandbox="/run/docker/netns/x",
            ports=(PortRequest(Protocol.TCP, 80, IPv4Address("127.0.0.1"), 8080, 8081),),
            published=(Publication(Protocol.UDP, None, 53, IPv4Address("10.32.0.5"), 5353),),
            options={"a": "b"},
        ),
    ),
]


@pytest.mark.parametrize(("key", "value", "record"), PAST, ids=[f"{key} {value[:6]!r}" for key, value, _ in PAST])
def test_what_a_past_release_wrote_is_read(key: str, value: bytes, record: stored.Record) -> None:
    """Recorded bytes of every version of every kind give the right record."""
    assert stored.key_of(record) == key
    assert stored.decode(key, value) == record


def names(kind: type) -> set[str]:
    """The fields of a dataclass or struct."""
    if issubclass(kind, msgspec.Struct):
        return set(kind.__struct_fields__)
    assert is_dataclass(kind)
    return {each.name for each in fields(kind)}


@pytest.mark.parametrize(
    ("kind", "form", "in_key"),
    [
        (Pool, forms.PoolV1, {"id"}),
        (KnownEngine, forms.EngineV1, {"id"}),
        (Lease, forms.LeaseV1, {"space", "address"}),
        (Active, forms.ActiveV1, set()),
        (Network, forms.NetworkV1, {"id"}),
        (NetworkOptions, forms.OptionsV1, set()),
        (StaticRoute, forms.RouteV1, set()),
        (Segment, forms.SegmentV1, set()),
        (Endpoint, forms.EndpointV1, {"id", "network"}),
        (PortRequest, forms.PortRequestV1, set()),
        (Publication, forms.PublicationV1, set()),
    ],
)
def test_no_field_is_forgotten(kind: type, form: type, in_key: set[str]) -> None:
    """Every field of a record is in its newest form or in its key; a new field needs a new version of the form."""
    assert names(kind) == names(form) | in_key
