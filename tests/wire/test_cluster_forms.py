"""Values that hosts share: what one writes another reads, and what a newer one writes is refused."""

from __future__ import annotations

import pytest
from hypothesis import given

from mooring.core.faults import Unavailable
from mooring.wire import cluster_forms as forms
from tests.wire.records import SHARED_VALUES

CLAIM = (
    b'{"v":"ClaimV1","sequence":"s1","host":"A","key":"key:db","mac":"02:00:00:00:00:05","holders":["A/c1"],"boot":"b1",'
    b'"generation":2,"moves":true,"since":5.5}'
)
WRITTEN = [
    ("addr/red/0a200000p16/0a200005", b'{"v":1,"claim":' + CLAIM + b"}"),
    (
        "block/red/0a200000p16/0000000000000011",
        b'{"v":1,"host":"A","boot":"b1","generation":3,"settled":["10.32.1.17"],"carved":{"10.32.1.18":'
        + CLAIM
        + b"}}",
    ),
    ("key/red/0a200000p16/key:db", b'{"v":1,"address":"10.32.0.5","sequence":"s1"}'),
    ("want/red/0a200000p16/0a200005", b'{"v":1,"claim":' + CLAIM + b',"refusal":"it is in use","holder":"web"}'),
    (
        "ep/A/n1/e1",
        b'{"v":1,"mac":"02:00:00:00:00:05","addresses":["10.32.0.5","fd00::5"],"underlay":"192.0.2.1","container":"c1","n'
        b'ames":["db"],"services":[{"v":"ServiceV1","name":"","protocol":6,"port":80}],"healthy":false}',
    ),
    ("ep/A/n1/-", b'{"v":1,"mac":"02:00:00:00:00:06","addresses":["10.32.0.6"],"underlay":"192.0.2.1"}'),
    (
        "ep/A/n1/e2",
        b'{"v":1,"mac":"02:00:00:00:00:07","addresses":["10.32.0.7"],"underlay":"192.0.2.1","ports":[{"v":"IngressV1","pr'
        b'otocol":6,"port":8080,"target":"10.32.0.7","target_port":80,"host":"192.0.2.9"}]}',
    ),
    (
        "net/red/0a200000p16",
        b'{"v":1,"network":{"v":"ClusterNetworkV1","id":"i1","more":["fd00::/64"],"gateways":["10.32.0.1/16"],"options"'
        b':{"mode":"vxlan"},"vni":5000,"ending":true,"closed":true,"since":5.5}}',
    ),
    ("net/red/0a200000p16/A%2F1", b'{"v":1,"network":"i1","name":"app"}'),
    ("net/red/0a200000p16/B", b'{"v":1,"network":"i1","published":"d1"}'),
    (
        "everywhere/app",
        b'{"v":1,"id":"i1","subnets":[{"v":"AskedSubnetV1","subnet":"10.40.0.0/24","gateway":"10.40.0.1"}],"options":{"s'
        b'cope":"cluster"},"round":2,"ending":true,"by":"web1","asked":5.5}',
    ),
    ("everywhere/app/A", b'{"v":1,"network":"i1","round":2,"outcome":"refused","why":"it is in use"}'),
    ("vni/00001388", b'{"v":1,"network":"i1","space":"red","subnet":"10.32.0.0/16"}'),
]


@given(SHARED_VALUES)
def test_a_value_is_read_as_it_was_written(value: forms.Value) -> None:
    """Key and value together give the same again, whatever text it has."""
    assert forms.decode(forms.key_of(value), forms.encode(value)) == value


@pytest.mark.parametrize(("key", "value"), WRITTEN, ids=[key for key, _ in WRITTEN])
def test_what_was_written_is_read_and_would_be_written_so_again(key: str, value: bytes) -> None:
    """The forms have not changed: hosts of an older Mooring read what this one writes."""
    record = forms.decode(key, value)
    assert forms.key_of(record) == key
    assert forms.encode(record) == value


@pytest.mark.parametrize("value", [b'{"v":2,"address":"10.32.0.5"}', b'{"v":1,"address":"x","sequence":""}', b"{"])
def test_what_a_newer_one_wrote_or_is_damaged_is_refused(value: bytes) -> None:
    """Never guessed at."""
    with pytest.raises(Unavailable, match="key/red/0a200000p16/key:db"):
        forms.decode("key/red/0a200000p16/key:db", value)


@pytest.mark.parametrize("key", ["ep/A", "ep/A/n1/e1/x", "ep/A/n1/e1"])
def test_an_endpoint_elsewhere_that_makes_no_sense_is_refused(key: str) -> None:
    """Whoever wrote it, the kernel is not asked."""
    with pytest.raises(Unavailable, match=key):
        forms.decode(key, b'{"v":1,"mac":"x","addresses":[],"underlay":"192.0.2.1"}')


@pytest.mark.parametrize(
    ("addresses", "port", "target", "host"),
    [
        ("fd00::5", 8080, "fd00::5", "192.0.2.9"),
        ("fd00::5%x", 8080, "fd00::5", ""),
        ("fd00::5", 8080, "fd00::5%x", ""),
        ("fd00::5", 8080, "fd00::5", "fd00::9%x"),
        ("fd00::5", 0, "fd00::5", ""),
        ("fd00::5", 65536, "fd00::5", ""),
    ],
)
def test_what_a_host_advertises_that_no_kernel_could_be_told_is_refused(
    addresses: str, port: int, target: str, host: str
) -> None:
    """A port of one family that leads to the other, addresses with a zone, and what is no port: it would be in the way
    of all else that the kernel is told."""
    led = f'{{"v":"IngressV1","protocol":6,"port":{port},"target":"{target}","target_port":80,"host":"{host}"}}'
    value = f'{{"v":1,"mac":"02:00:00:00:00:05","addresses":["{addresses}"],"underlay":"192.0.2.1","ports":[{led}]}}'
    with pytest.raises(Unavailable, match="ep/A/n1/e1"):
        forms.decode("ep/A/n1/e1", value.encode())
