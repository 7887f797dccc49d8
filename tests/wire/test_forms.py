"""The stored forms: complete, and readable for ever."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

import msgspec
import pytest

from mooring.core.address_claims import AddressClaim, HostClaim, Phase
from mooring.core.blocks import HostBlock, SharedSubnet
from mooring.core.containers import Holder
from mooring.core.deny_entries import DenyEntry
from mooring.core.dns_records import DnsRecord
from mooring.core.endpoints import Attachment, Endpoint, Event, Service
from mooring.core.endpoints import State as EndpointState
from mooring.core.engines import KnownEngine
from mooring.core.intents import Intent, Purpose
from mooring.core.kept_networks import KeptAddress, KeptNetwork
from mooring.core.leases import Active, Lease, State
from mooring.core.moves import Move
from mooring.core.networks import (
    GatewayMode,
    Mode,
    Network,
    NetworkOptions,
    Origin,
    Pending,
    Segment,
    StaticRoute,
    Sticky,
)
from mooring.core.pools import Pool, SubnetPool
from mooring.core.port_bindings import PortBinding, PortRequest, Protocol
from mooring.core.sandboxes import Kind, Sandbox
from mooring.core.vnics import Vnic
from mooring.wire import stored
from mooring.wire.forms import (
    claims,
    deny_entries,
    dns_records,
    elements,
    endpoints,
    holders,
    kept_networks,
    leases,
    moves,
    networks,
    pools,
    sandboxes,
    shared_addresses,
    vnics,
)

# Written by past releases; these lines are never changed, only added to.
SHARED, CARVED = IPv4Network("10.32.0.0/16"), IPv4Address("10.32.1.17")
BLOCK = HostBlock(
    space="red", subnet=SHARED, index=17, generation=3, carved=frozenset({CARVED}), leaving=True, boot="b1"
)
CLAIM = AddressClaim(
    space="red", subnet=SHARED, address=IPv4Address("10.32.0.5"), sequence="s1", host="A",
    key="key:db", mac="02:00:00:00:00:05", holders=frozenset({"A/c1", "B/c2"}), boot="b1", generation=2, moves=True,
    since=5.5,
)  # fmt: skip
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
        b'"whom":"me","note":"for now"}',
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
                port_security=False,
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
            published=(PortBinding(Protocol.UDP, None, 53, IPv4Address("10.32.0.5"), 5353),),
            options={"a": "b"},
        ),
    ),
    (
        "network/n2",
        b'{"v":2,"options":{"mode":"null"},"internal":true,"ipv4":[],"ipv6":[],"created":5.5,"driver":"some/plugin",'
        b'"origin":"library","name":"web","labels":{"a":"b"},"attachable":true,"ipam":"other","pending":"delete"}',
        Network(
            id="n2",
            options=NetworkOptions(mode=Mode.NULL, port_security=False),
            internal=True,
            ipv4=(),
            ipv6=(),
            created=5.5,
            driver="some/plugin",
            origin=Origin.LIBRARY,
            name="web",
            labels={"a": "b"},
            attachable=True,
            ipam="other",
            pending=Pending.DELETE,
        ),
    ),
    (
        "endpoint/n2/e2",
        b'{"v":2,"mac":"02:00:00:00:00:01","created":5.5,"state":"created","name":"db","aliases":["a1","a2"],'
        b'"links":{"web":"w"},"services":[{"name":"http","protocol":6,"port":80}],"priority":-5,"interface":"eth1",'
        b'"attachment":{"link":"mp-e2","prefix":"eth","gateway4":"10.32.0.1","gateway6":"fd00::1",'
        b'"routes":[{"destination":"10.9.0.0/16"}],"gateway_service":true},"pending":"attach"}',
        Endpoint(
            id="e2",
            network="n2",
            ipv4=None,
            ipv6=None,
            mac="02:00:00:00:00:01",
            created=5.5,
            name="db",
            aliases=("a1", "a2"),
            links={"web": "w"},
            services=(Service("http", Protocol.TCP, 80),),
            priority=-5,
            interface="eth1",
            attachment=Attachment(
                link="mp-e2",
                prefix="eth",
                gateway4=IPv4Address("10.32.0.1"),
                gateway6=IPv6Address("fd00::1"),
                routes=(StaticRoute(IPv4Network("10.9.0.0/16"), None),),
                gateway_service=True,
            ),
            pending=Event.ATTACH,
        ),
    ),
    (
        "sandbox/s1",
        b'{"v":1,"name":"c1","kind":"external","path":"/run/netns/x","created":5.5,"hostname":"h","domain":"example",'
        b'"dns":["192.0.2.1","fd00::53"],"search":["example"],"dns_options":["ndots:2"],"hosts":[["gw","192.0.2.9"]],'
        b'"hosts_path":"/h","resolv_conf_path":"/r","resolver":false,"exposed":[[17,53]],'
        b'"ports":[{"protocol":6,"port":80,"first":8080,"last":8081}],"labels":{"a":"b"},"deleting":true}',
        Sandbox(
            id="s1",
            name="c1",
            kind=Kind.EXTERNAL,
            path="/run/netns/x",
            created=5.5,
            hostname="h",
            domain="example",
            dns=(IPv4Address("192.0.2.1"), IPv6Address("fd00::53")),
            search=("example",),
            dns_options=("ndots:2",),
            hosts=(("gw", IPv4Address("192.0.2.9")),),
            hosts_path="/h",
            resolv_conf_path="/r",
            resolver=False,
            exposed=((Protocol.UDP, 53),),
            ports=(PortRequest(Protocol.TCP, 80, None, 8080, 8081),),
            labels={"a": "b"},
            deleting=True,
        ),
    ),
    (
        "network/n3",
        b'{"v":3,"options":{"mode":"null","sticky":"name"},"internal":true,"ipv4":[],"ipv6":[],"created":1.5,'
        b'"driver":"null"}',
        Network(
            id="n3",
            options=NetworkOptions(mode=Mode.NULL, sticky=Sticky.NAME, port_security=False),
            internal=True,
            ipv4=(),
            ipv6=(),
            created=1.5,
            driver="null",
        ),
    ),
    (
        "holder/c1",
        b'{"v":1,"engine":"ABCD:EFGH","name":"web","since":5.5}',
        Holder(id="c1", engine="ABCD:EFGH", name="web", since=5.5),
    ),
    (
        "holder/c1",
        b'{"v":2,"engine":"abc","name":"web","since":5.5,"oldest":[1,41],"newest":[1,51]}',
        Holder(id="c1", engine="abc", name="web", since=5.5, oldest=(1, 41), newest=(1, 51)),
    ),
    (
        "engine/abc",
        b'{"v":2,"since":5.5,"networks":["n1"],"version":[1,51]}',
        KnownEngine("abc", 5.5, frozenset({"n1"}), (1, 51)),
    ),
    (
        "intent/i1",
        b'{"v":1,"purpose":"connect","engine":"ABCD:EFGH","created":5.5,"container":"c1","name":"web","network":"n1"}',
        Intent(
            id="i1", purpose=Purpose.CONNECT, engine="ABCD:EFGH", created=5.5, container="c1", name="web", network="n1"
        ),
    ),
    (
        "move/c1/n1",
        b'{"v":1,"place":"{}","since":5.5,"addresses":["10.0.0.2"]}',
        Move(container="c1", network="n1", place="{}", addresses=("10.0.0.2",), since=5.5),
    ),
    (
        "subnet-pool/lab",
        b'{"v":1,"space":"default","prefixes":["10.64.0.0/22","10.70.0.0/24"],"length":26,"longest":30,"position":5,'
        b'"note":"tests","since":5.5}',
        SubnetPool(
            "lab",
            "default",
            (IPv4Network("10.64.0.0/22"), IPv4Network("10.70.0.0/24")),
            26,
            1,
            30,
            5,
            "tests",
            5.5,
            declared=False,
        ),
    ),
    (
        "deny/4/0a080000p16",
        b'{"v":1,"created":5.5,"note":"the VPN"}',
        DenyEntry(subnet=IPv4Network("10.8.0.0/16"), note="the VPN", created=5.5),
    ),
    (
        "dns/n1/nas.lan",
        b'{"v":1,"addresses":["192.0.2.9","2001:db8::9"],"created":5.5,"note":"the NAS","until":7.5}',
        DnsRecord(
            name="nas.lan",
            addresses=(IPv4Address("192.0.2.9"), IPv6Address("2001:db8::9")),
            network="n1",
            note="the NAS",
            created=5.5,
            until=7.5,
        ),
    ),
    (
        "vnic/red/0a080000p16/0a080005",
        b'{"v":1,"mac":"02:00:00:00:00:01","mtu":1400,"created":5.5,"gateway":"10.8.0.1","routes":[{"v":"RouteV1",'
        b'"destination":"10.9.0.0/16","via":"10.8.0.9"}],"instance":"i-1","adopted":"eth7"}',
        Vnic(
            "red",
            IPv4Network("10.8.0.0/16"),
            IPv4Address("10.8.0.5"),
            "02:00:00:00:00:01",
            1400,
            5.5,
            IPv4Address("10.8.0.1"),
            (StaticRoute(IPv4Network("10.9.0.0/16"), IPv4Address("10.8.0.9")),),
            "i-1",
            "eth7",
        ),
    ),
    ("shared/red/0a200000p16", b'{"v":1,"since":5.5}', SharedSubnet(space="red", subnet=SHARED, since=5.5)),
    ("block/red/0a200000p16/11", b'{"v":1,"generation":3,"carved":["10.32.1.17"],"leaving":true,"boot":"b1"}', BLOCK),
    (
        "claim/red/0a200000p16/0a200005",
        b'{"v":1,"claim":{"v":"ClaimV1","sequence":"s1","host":"A","key":"key:db","mac":"02:00:00:00:00:05","holders":'
        b'["A/c1","B/c2"],"boot":"b1","generation":2,"moves":true,"since":5.5},"phase":"held","idle":true}',
        HostClaim(claim=CLAIM, phase=Phase.HELD, idle=True),
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
        (Pool, pools.PoolV1, {"id"}),
        (SubnetPool, pools.SubnetPoolV1, {"name", "declared"}),  # what is stored is not declared
        (KnownEngine, pools.EngineV3, {"id"}),
        (Lease, leases.LeaseV1, {"space", "address"}),
        (Active, leases.ActiveV1, set()),
        (Network, networks.NetworkV6, {"id"}),
        (NetworkOptions, networks.OptionsV5, set()),
        (Holder, holders.HolderV2, {"id"}),
        (Intent, holders.IntentV1, {"id"}),
        (KeptNetwork, kept_networks.KeptNetworkV1, {"id"}),
        (KeptAddress, kept_networks.KeptAddressV1, set()),
        (Move, moves.MoveV1, {"container", "network"}),
        (DenyEntry, deny_entries.DenyEntryV1, {"subnet", "origin"}),  # what is stored is an operator's
        (DnsRecord, dns_records.DnsRecordV1, {"name", "network"}),
        (Vnic, vnics.VnicV1, {"tenant", "subnet", "address"}),
        (SharedSubnet, shared_addresses.SharedSubnetV1, {"space", "subnet"}),
        (HostBlock, shared_addresses.HostBlockV1, {"space", "subnet", "index"}),
        (HostClaim, shared_addresses.HostClaimV1, set()),
        (AddressClaim, claims.ClaimV1, {"space", "subnet", "address"}),
        (StaticRoute, elements.RouteV1, set()),
        (Segment, networks.SegmentV2, set()),
        (Endpoint, endpoints.EndpointV3, {"id", "network"}),
        (Attachment, endpoints.AttachmentV1, set()),
        (Service, endpoints.ServiceV1, set()),
        (Sandbox, sandboxes.SandboxV1, {"id"}),
        (PortRequest, elements.PortRequestV1, set()),
        (PortBinding, endpoints.PortBindingV1, set()),
    ],
)
def test_no_field_is_forgotten(kind: type, form: type, in_key: set[str]) -> None:
    """Every field of a record is in its newest form or in its key; a new field needs a new version of the form."""
    assert names(kind) == names(form) | in_key


@pytest.mark.parametrize(("mode", "driver"), [("bridge", "bridge"), ("null", "null")])
def test_a_network_of_the_first_form_is_an_engines_and_its_mode_is_its_driver(mode: str, driver: str) -> None:
    """Networks from before there were drivers and a library were all made for an engine, by the drivers built in."""
    value = b'{"v":1,"options":{"mode":"%s"},"internal":false,"ipv4":[],"ipv6":[],"created":1.0}' % mode.encode()
    network = stored.decode("network/n", value)
    assert isinstance(network, Network)
    assert (network.driver, network.origin, network.pending) == (driver, Origin.ENGINE, None)
    assert network.options.sticky is Sticky.OFF
    assert b'"v":4' in stored.encode(network)
