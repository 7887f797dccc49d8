"""Records as another Mooring wrote them, to the byte: every form within a form, with the tag that its class had then.

A line is what an encoder put out, never written by hand: for msgspec a tag may be missing: that hides a lost one.
"""

from __future__ import annotations

import pytest

from mooring.wire import stored

WRITTEN = [
    (
        "estate/n1",
        b'{"v":1,"name":"web","space":"default","since":5.5,"subnets":["10.0.0.0/24"],"heirlooms":[{"v":"Heirl'
        b'oomV1","address":"10.0.0.5","key":"key:db","until":9000000000.0,"mac":"02:00:00:00:00:01","name":"db'
        b'","hold":10.0}]}',
    ),
    (
        "endpoint/n1/e1",
        b'{"v":3,"mac":"02:42:0a:00:00:02","created":5.5,"state":"attached","ipv4":"10.0.0.2/24","sandbox":"/k'
        b'","ports":[{"v":"PortRequestV1","protocol":6,"port":80,"first":8080,"last":8080}],"published":[{"v":'
        b'"PublicationV1","protocol":6,"host_port":8080,"target":"10.0.0.2","target_port":80}],"services":[{"v'
        b'":"ServiceV1","name":"web","protocol":6,"port":80}],"attachment":{"v":"AttachmentV1","link":"v1","pr'
        b'efix":"eth","gateway4":"10.0.0.1","routes":[{"v":"RouteV1","destination":"10.9.0.0/16","via":"10.0.0'
        b'.9"}]},"exposed":[{"v":"ExposedV1","protocol":17,"port":53}]}',
    ),
    (
        "network/n1",
        b'{"v":4,"internal":false,"created":5.5,"ipv4":[{"v":"SegmentV2","subnet":"10.0.0.0/24","gateway":"10.'
        b'0.0.1/24","space":"default","pool":"p4","auxiliary":{"p":"10.0.0.9"}}],"ipv6":[],"options":{"v":"Opt'
        b'ionsV3","routes":[{"v":"RouteV1","destination":"10.9.0.0/16"}],"port_security":true},"driver":"bridg'
        b'e"}',
    ),
    (
        "network/n2",
        b'{"v":4,"internal":true,"created":5.5,"ipv4":[],"ipv6":[],"options":{"v":"OptionsV3","dns":true},"dri'
        b'ver":"bridge"}',
    ),
    (
        "network/n3",
        b'{"v":5,"internal":true,"created":5.5,"ipv4":[],"ipv6":[],"options":{"v":"OptionsV4","dns":"healthy"},"dri'
        b'ver":"bridge"}',
    ),
    (
        "network/n4",
        b'{"v":6,"internal":true,"created":5.5,"ipv4":[],"ipv6":[],"options":{"v":"OptionsV5","dns":"on","scope":"'
        b'cluster","overlay":true,"vni":5000,"encrypted":true,"multicast":true,"offload":false},"driver":"bridge"}',
    ),
    (
        "cluster-network/n4",
        b'{"v":1,"space":"default","subnet":"10.30.0.0/24","shared":{"v":"ClusterNetworkV1","id":"i1","more":["fd00:'
        b':/64"],"gateways":["10.30.0.1/24"],"options":{"mode":"vxlan"},"vni":5000,"since":5.5},"own":["10.30.0.9"]}',
    ),
    (
        "vnic/red/0a080000p16/0a080005",
        b'{"v":1,"mac":"02:00:00:00:00:01","mtu":1400,"created":5.5,"gateway":"10.8.0.1","routes":[{"v":"Route'
        b'V1","destination":"10.9.0.0/16","via":"10.8.0.9"}],"instance":"i-1"}',
    ),
    (
        "lease/default/4/0a000005",
        b'{"v":1,"pool":"p4","state":"fixed","since":5.5,"key":"key:db","holders":["c1"],"active":{"v":"Active'
        b'V1","endpoint":"e1","host":"h","boot":"b"},"hold":0.0}',
    ),
    ("dns//db", b'{"v":1,"addresses":["192.0.2.9","2001:db8::9"],"created":5.5,"note":"moved","until":7.5}'),
    (
        "port/p1",
        b'{"v":1,"name":"db","network":"n1","network_name":"web","space":"default","mac":"02:00:00:00:00:05","a'
        b'ddresses":["10.0.0.5","fd00::5"],"created":5.5,"note":"x"}',
    ),
    ("left/red/0a200000p16", b'{"v":1,"since":5.5}'),
    ("mark/h1", b'{"v":1,"count":7,"restore":"1-t"}'),
    (
        "claim/red/0a200000p16/0a200005",
        b'{"v":1,"claim":{"v":"ClaimV1","sequence":"s1","host":"A","key":"key:db","mac":"02:00:00:00:00:05","holders":["'
        b'A/c1"],"boot":"b1","generation":2,"moves":true,"since":5.5},"phase":"held"}',
    ),
]


@pytest.mark.parametrize(("key", "value"), WRITTEN, ids=[key for key, _ in WRITTEN])
def test_what_was_written_is_read_and_would_be_written_so_again(key: str, value: bytes) -> None:
    """Both ways: the forms that are written have not changed."""
    record = stored.decode(key, value)
    assert stored.key_of(record) == key
    assert stored.encode(record) == value


BEFORE = [
    (
        b'{"v":5,"internal":false,"created":5.5,"ipv4":[{"v":"SegmentV2","subnet":"10.0.0.0/24","gateway":"10.'
        b'0.0.1/24","space":"default","pool":"p4","auxiliary":{"p":"10.0.0.9"}}],"ipv6":[],"options":{"v":"Opt'
        b'ionsV4","routes":[{"v":"RouteV1","destination":"10.9.0.0/16"}],"port_security":true},"driver":"bridg'
        b'e"}',
        "network/n1",
    ),
    (
        b'{"v":5,"internal":true,"created":5.5,"ipv4":[],"ipv6":[],"options":{"v":"OptionsV4","dns":"on"},"dri'
        b'ver":"bridge"}',
        "network/n2",
    ),
    (
        b'{"v":3,"internal":false,"ipv4":[{"v":"SegmentV1","subnet":"10.0.0.0/24","gateway":"10.0.0.1/24","spa'
        b'ce":"default","pool":"p4","auxiliary":{"p":"10.0.0.9"}}],"ipv6":[],"created":5.5,"options":{"v":"Opt'
        b'ionsV2","routes":[{"v":"RouteV1","destination":"10.9.0.0/16"}],"port_security":true},"driver":"bridg'
        b'e"}',
        "network/n1",
    ),
]


@pytest.mark.parametrize(("value", "key"), BEFORE, ids=[key for _, key in BEFORE])
def test_what_another_mooring_wrote_is_the_same_record(value: bytes, key: str) -> None:
    """The line that it would be today: an older one's, and that of one which wrote every network as one with health."""
    assert stored.encode(stored.decode(key, value)) == dict(WRITTEN)[key]
