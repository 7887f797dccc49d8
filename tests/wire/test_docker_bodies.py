"""Docker's bodies: read as Go reads them, patched without loss."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.docker_requests import MOST_NETWORKS, ContainerSpec, EndpointConfig
from mooring.wire.docker_bodies import (
    AddressGrant,
    ConnectSpec,
    DisconnectSpec,
    connect_spec,
    connect_with_grant,
    container_spec,
    created_id,
    disconnect_spec,
    pruned_ids,
    with_grants,
    with_nameservers,
    with_warnings,
)

GRANT = AddressGrant("10.0.0.9", "fd00::9", "02:00:00:00:00:09")


@pytest.mark.parametrize(
    ("body", "spec"),
    [
        (b"{}", ContainerSpec({}, "", ())),
        (b'{"HostConfig":{"NetworkMode":"web"}}', ContainerSpec({}, "web", (EndpointConfig("web"),))),
        (b'{"hostconfig":{"NETWORKMODE":"web"}}', ContainerSpec({}, "web", (EndpointConfig("web"),))),
        (b'{"HostConfig":null,"Labels":null,"NetworkingConfig":null}', ContainerSpec({}, "", ())),
        (b'{"Labels":{"a":"b","c":null}}', ContainerSpec({"a": "b", "c": ""}, "", ())),
        (b'{"HostConfig":{"NetworkMode":"bridge"}}', ContainerSpec({}, "bridge", ())),
        (b'{"HostConfig":{"NetworkMode":"container:x"}}', ContainerSpec({}, "container:x", ())),
        (
            b'{"MacAddress":"02:AA","HostConfig":{"NetworkMode":"web"},"NetworkingConfig":{"EndpointsConfig":{"back":null,'
            b'"web":{"IPAMConfig":{"IPv4Address":"10.0.0.1","ipv6address":"fd00::1"},"MacAddress":"02:BB"}}}}',
            ContainerSpec(
                {}, "web", (EndpointConfig("web", "10.0.0.1", "fd00::1", "02:BB"), EndpointConfig("back")), "02:AA"
            ),
        ),
    ],
)  # fmt: skip
def test_a_create_is_read_as_the_engine_reads_it(body: bytes, spec: ContainerSpec) -> None:
    """Keys in any case, null for anything, the mode's network first."""
    assert container_spec(body) == spec


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null x", b"[]", b'"x"', b"{", b'{"Labels":{"a":1}}', b'{"Labels":[]}', b'{"HostConfig":"x"}',
        b'{"HostConfig":{"NetworkMode":3}}', b'{"NetworkingConfig":{"EndpointsConfig":{"a":"b"}}}', b"\xff\xfe",
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_has_another_shape_is_nothing_that_we_read(body: bytes) -> None:
    """The engine says what is wrong with it."""
    assert container_spec(body) is None
    assert created_id(body) == ""
    assert pruned_ids(body) == ()


def test_numbers_and_unknown_fields_keep_their_text() -> None:
    """Large integers, long floats, escapes, the order of keys."""
    body = (
        b'{"Z":123456789012345678901234567890,"A":[1.0,1e400,0.10,-0],"HostConfig":{"NetworkMode":"web","Memory":9007199254740993,'
        b'"New":{"x":null}},"Text":"\\u003c\\ud83d\\ude00"}'
    )
    patched = with_grants(body, {"web": GRANT}, (1, 44))
    assert patched.startswith(body[:-1])
    assert json.loads(patched[len(body[:-1]) :].lstrip(b",").join([b"{", b""]))["NetworkingConfig"] == {
        "EndpointsConfig": {
            "web": {
                "IPAMConfig": {"IPv4Address": "10.0.0.9", "IPv6Address": "fd00::9"},
                "MacAddress": "02:00:00:00:00:09",
            }
        }
    }


def test_the_mac_goes_where_the_version_has_room_for_it() -> None:
    """From 1.44 on to the endpoint; before to the top, for the mode's network only."""
    body = b'{"HostConfig":{"NetworkMode":"web"}}'
    old = json.loads(with_grants(body, {"web": GRANT, "back": GRANT}, (1, 43)))
    assert old["MacAddress"] == GRANT.mac
    assert all("MacAddress" not in each for each in old["NetworkingConfig"]["EndpointsConfig"].values())
    new = json.loads(with_grants(body, {"web": GRANT, "back": GRANT}, (1, 44)))
    assert "MacAddress" not in new
    assert all(each["MacAddress"] == GRANT.mac for each in new["NetworkingConfig"]["EndpointsConfig"].values())
    only_back = json.loads(with_grants(body, {"back": GRANT}, (1, 41)))
    assert "MacAddress" not in only_back


def test_a_mac_for_the_whole_container_is_never_another_than_the_endpoints() -> None:
    """From 1.44 on dockerd compares the two texts and refuses what differs, be it in case."""
    body = b'{"MacAddress":"02:AA:00:00:00:01","HostConfig":{"NetworkMode":"web"}}'
    grant = AddressGrant("10.0.0.9", mac="02:aa:00:00:00:01")
    patched = json.loads(with_grants(body, {"web": grant}, (1, 44)))
    assert patched["MacAddress"] == patched["NetworkingConfig"]["EndpointsConfig"]["web"]["MacAddress"] == grant.mac


def test_a_network_is_written_otherwise_where_it_must_be() -> None:
    """As the mode and among the endpoints, each with what it had, and nothing else differs."""
    host = '{"A":"abc","HostConfig":{"NetworkMode":"%s", "X":["abc"]},"NetworkingConfig":{"EndpointsConfig":'
    body = (host % "abc" + '{"abc" : {"Aliases":["abc"]},"de":{}}}}').encode()
    wanted = (host % "web" + '{"web" : {"Aliases":["abc"]},"back":{}}}}').encode()
    names = {"abc": "web", "de": "back"}
    assert with_grants(body, {"web": AddressGrant()}, (1, 44), names) == wanted
    patched = json.loads(with_grants(body, {"web": replace(GRANT, main=True), "back": GRANT}, (1, 41), names))
    assert patched["NetworkingConfig"]["EndpointsConfig"]["web"]["Aliases"] == ["abc"]
    assert patched["MacAddress"] == GRANT.mac
    alone = json.loads(with_grants(b'{"HostConfig":{"NetworkMode":"abc"}}', {"web": GRANT}, (1, 44), names))
    assert alone["HostConfig"]["NetworkMode"] == "web"
    assert [*alone["NetworkingConfig"]["EndpointsConfig"]] == ["web"]
    both = (host % "abc" + '{"abc":{},"web":{}}}}').encode()
    assert (
        with_grants(both, {"web": AddressGrant()}, (1, 44), names) == (host % "web" + '{"abc":{},"web":{}}}}').encode()
    )


# What each body made of a container was seen on dockerd 20.10.
FIRST = '"NetworkingConfig":{"EndpointsConfig":{"web":{"Aliases":["x"],"IPAMConfig":{"IPv4Address":"10.0.0.1"}}}}'
BACK = '{"EndpointsConfig":{"back":{}}}'
WEB = '{"EndpointsConfig":{"web":{"IPAMConfig":{"IPv6Address":"fd00::1"}}}}'


@pytest.mark.parametrize(
    ("body", "endpoints"),
    [
        (f'{{{FIRST},"NetworkingConfig":{{}}}}', [EndpointConfig("web", "10.0.0.1")]),
        (f'{{{FIRST},"networkingconfig":{BACK}}}', [EndpointConfig("web", "10.0.0.1"), EndpointConfig("back")]),
        (f'{{{FIRST},"NetworkingConfig":{WEB}}}', [EndpointConfig("web", "", "fd00::1")]),
        (f'{{{FIRST},"NetworkingConfig":null}}', []),
        (f'{{{FIRST},"NetworkingConfig":{{"EndpointsConfig":null}}}}', []),
        (f'{{{FIRST},"NetworkingConfig":null,"NetworkingConfig":{WEB}}}', [EndpointConfig("web", "", "fd00::1")]),
        ('{"HostConfig":{"NetworkMode":"a"},"HostConfig":{"Memory":1}}', [EndpointConfig("a")]),
        ('{"HostConfig":{"NetworkMode":"a","networkmode":null}}', [EndpointConfig("a")]),
        ('{"HostConfig":{"NetworkMode":"a"},"HostConfig":null}', []),
        ('{"Ho\\u017ftConfig":{"Networ\\u212aMode":"we\\u0062"}}', [EndpointConfig("web")]),
        ('{"Ho\u00dftConfig":{"NetworkMode":"web"}}', []),
        ('{"HostConfig":{"NetworkMode":"nat"}}', [EndpointConfig("nat")]),
    ],
)  # fmt: skip
def test_a_field_that_comes_twice_is_read_twice(body: str, endpoints: list[EndpointConfig]) -> None:
    """Objects are merged, a network that comes twice is the last one, null empties."""
    spec = container_spec(body.encode())
    assert spec is not None
    assert list(spec.endpoints) == endpoints


def test_labels_are_read_as_a_map() -> None:
    """Of two the last, null is the empty text, half a surrogate pair and bytes that are no text are a sign for that."""
    body = b'{"Labels":{"a":"x","a":null,"A":"y"},"labels":{"b":"\\ud800","c":"\\ud83d\\ude00","d":"\xff","e\\n":""}}'
    spec = container_spec(body)
    assert spec is not None
    assert spec.labels == {"a": "", "A": "y", "b": "\ufffd", "c": "\U0001f600", "d": "\ufffd", "e\n": ""}


@pytest.mark.parametrize("name", ["web", 'a"b', "\u00e9", "a/b c", "\\"])
def test_only_what_is_granted_differs(name: str) -> None:
    """Spaces, escapes, the order of keys and keys that come twice stay; what is put in is put beside them."""
    quoted = json.dumps(name)
    numbers = '[1.0, 1e400, 0.10, -0, "\\u003c\\ud800\\"}{" ], "A":12345678901234567890123'
    head = f'{{ "A" : {numbers} ,"NetworkingConfig":{{"X":1, "X":2,'
    body = f'{head}"EndpointsConfig":{{ {quoted}: {{"Aliases":["x"] }} , "b":null}} }} }} '.encode()
    put = '"IPAMConfig":{"IPv4Address":"10.0.0.9","IPv6Address":"fd00::9"},"MacAddress":"02:00:00:00:00:09"'
    wanted = f'{head}"EndpointsConfig":{{ {quoted}: {{"Aliases":["x"] ,{put}}} , "b":null}} }} }} '.encode()
    assert with_grants(body, {name: GRANT}, (1, 44)) == wanted
    assert with_grants(body, {name: AddressGrant(), "absent": AddressGrant()}, (1, 44)) == body
    assert with_grants(body, {"b": AddressGrant("10.0.0.9")}, (1, 44)) == body.replace(
        b'"b":null', b'"b":{"IPAMConfig":{"IPv4Address":"10.0.0.9"}}'
    )


def test_a_large_body_is_no_trouble() -> None:
    """As many networks as are looked at, deep nesting in what is not ours, and nearly a megabyte of text."""
    deep = b"[" * 900 + b"]" * 900
    networks = b",".join(b'"n%d":{}' % number for number in range(MOST_NETWORKS))
    body = b'{"X":%b,"Y":"%b","NetworkingConfig":{"EndpointsConfig":{%b}}}' % (deep, b'\\"' * 400_000, networks)
    spec = container_spec(body)
    assert spec is not None
    assert len(spec.endpoints) == MOST_NETWORKS
    assert container_spec(with_grants(body, {"n7": GRANT}, (1, 41))) != spec


def test_more_networks_than_are_looked_at_are_counted_only() -> None:
    """The labels and the mode are still read: they tell whether anything is asked for."""
    networks = b",".join(b'"n%d":{}' % number for number in range(MOST_NETWORKS + 1))
    body = b'{"Labels":{"fixed-ip":""},"NetworkingConfig":{"EndpointsConfig":{%b}}}' % networks
    assert container_spec(body) == ContainerSpec({"fixed-ip": ""}, "", (), "", MOST_NETWORKS + 1)


def test_several_grants_are_put_in_at_once() -> None:
    """Wherever the endpoints are, in whatever order they were granted."""
    body = b'{"NetworkingConfig":{"EndpointsConfig":{"a":{},"b":null,"c":{"X":1}}}}'
    grants = {"c": AddressGrant("10.0.0.3"), "a": AddressGrant("10.0.0.1")}
    assert with_grants(body, grants, (1, 44)) == body.replace(
        b'"a":{}', b'"a":{"IPAMConfig":{"IPv4Address":"10.0.0.1"}}'
    ).replace(b'"c":{"X":1}', b'"c":{"X":1,"IPAMConfig":{"IPv4Address":"10.0.0.3"}}')


def test_what_is_not_granted_stays() -> None:
    """An empty text in a grant leaves the field alone, also one in another case of letters."""
    body = b'{"EndpointConfig":{"IPAMCONFIG":{"ipv4address":"10.0.0.1"},"Aliases":["a"]},"Container":"db"}'
    patched = json.loads(connect_with_grant(body, AddressGrant(ipv6="fd00::1"), (1, 41)))
    assert patched["EndpointConfig"] == {
        "IPAMCONFIG": {"ipv4address": "10.0.0.1", "IPv6Address": "fd00::1"},
        "Aliases": ["a"],
    }


def test_connects_and_disconnects_are_read() -> None:
    """The container, and what it asks for."""
    assert connect_spec(b'{"Container":"db"}') == ConnectSpec("db", EndpointConfig(""))
    body = b'{"container":"db","EndpointConfig":{"IPAMConfig":{"IPv4Address":"10.0.0.1"}}}'
    assert connect_spec(body) == ConnectSpec("db", EndpointConfig("", "10.0.0.1"))
    assert disconnect_spec(b'{"Container":"db","Force":true}') == DisconnectSpec("db", True)
    assert disconnect_spec(b'{"Container":"db"}') == DisconnectSpec("db", False)
    assert disconnect_spec(b'{"Container":"db","force":true,"Force":null}') == DisconnectSpec("db", True)
    assert disconnect_spec(b'{"Container":"db","Force":1}') is None
    assert connect_spec(b'{"Container":"db","EndpointConfig":[]}') is None


def test_replies_are_read() -> None:
    """The id of what was made, and the ids of what was pruned."""
    assert created_id(b'{"Id":"abc","Warnings":[]}\n') == "abc"
    assert pruned_ids(b'{"ContainersDeleted":["a","b"],"SpaceReclaimed":12}') == ("a", "b")
    assert pruned_ids(b'{"ContainersDeleted":null,"SpaceReclaimed":0}') == ()
    assert pruned_ids(b'{"ContainersDeleted":["a",3]}') == ()
    assert created_id(b'{"Id":7}') == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
OURS = frozenset({"networkingconfig", "hostconfig", "macaddress", "labels"})
MEMBERS = st.dictionaries(
    st.text(max_size=8).filter(lambda key: key.casefold() not in OURS),
    JSON,
    max_size=5,
)  # fmt: skip


@given(MEMBERS, MEMBERS, st.sampled_from([(1, 24), (1, 41), (1, 44)]))
def test_a_patch_changes_nothing_but_what_it_is_about(
    top: dict[str, Any], host: dict[str, Any], version: tuple[int, int]
) -> None:
    """Whatever else the body has comes back as it was."""
    host = {key: value for key, value in host.items() if key.casefold() != "networkmode"}
    document = {**top, "HostConfig": {**host, "NetworkMode": "web"}}
    patched = json.loads(with_grants(json.dumps(document).encode(), {"web": GRANT}, version))
    assert patched.pop("NetworkingConfig")["EndpointsConfig"]["web"]["IPAMConfig"]["IPv4Address"] == "10.0.0.9"
    patched.pop("MacAddress", None)
    assert patched == document


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"NetworkingConfig":[]}', b'{"HostConfig":[]}'])
def test_what_cannot_be_patched_comes_back_as_it_is(body: bytes) -> None:
    """Byte for byte."""
    assert with_grants(body, {"web": GRANT}, (1, 44)) == body


@given(st.binary(max_size=200))
def test_no_bytes_make_a_reader_fail(body: bytes) -> None:
    """Each of them answers, or has nothing to say."""
    container_spec(body)
    connect_spec(body)
    disconnect_spec(body)
    created_id(body)
    pruned_ids(body)
    with_grants(body, {"web": GRANT}, (1, 44))
    connect_with_grant(body, GRANT, (1, 44))


def test_warnings_come_after_the_engines_own() -> None:
    """What is no reply to a create stays as it is."""
    assert with_warnings(b'{"Id":"a","Warnings":["b"]}', ["c"]) == b'{"Id":"a","Warnings":["b","c"]}\n'
    assert with_warnings(b'{"Id":"a","Warnings":null}', ["c"]) == b'{"Id":"a","Warnings":["c"]}\n'
    assert with_warnings(b"[]", ["c"]) is None


def test_a_create_gets_its_nameservers_and_nothing_else_changes() -> None:
    """Those that it has are read; what cannot be read comes back as it is."""
    body = b'{"Image":"x","HostConfig":{"NetworkMode":"web","dns":["9.9.9.9"]},"Labels":{}}'
    spec = container_spec(body)
    assert spec is not None
    assert spec.nameservers == ("9.9.9.9",)
    after = with_nameservers(body, ["169.254.53.53", "9.9.9.9"])
    assert after == body.replace(b'["9.9.9.9"]', b'["169.254.53.53","9.9.9.9"]')
    assert json.loads(with_nameservers(b'{"HostConfig":{}}', ["::1"])) == {"HostConfig": {"Dns": ["::1"]}}
    assert json.loads(with_nameservers(b"{}", ["::1"])) == {"HostConfig": {"Dns": ["::1"]}}
    assert with_nameservers(b"[]", ["::1"]) == b"[]"
