"""What is read and changed of a long body says to Go what a short one would, and no byte of the body itself changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.wire import docker_bodies, go_json, long_bodies, network_bodies
from mooring.wire.docker_bodies import AddressGrant, connect_spec, container_spec
from mooring.wire.json_sieve import Wanted
from mooring.wire.long_bodies import CONNECTED, CREATED, NETWORK, Readable, readable
from tests.wire.test_json_sieve import BODIES, NAMES

GRANT = AddressGrant("10.0.0.9", "fd00::9", "02:00:00:00:00:09", True)
PAD = b'"Env":["' + b"x" * go_json.LARGEST + b'"]'


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every body is a long one."""
    monkeypatch.setattr(long_bodies, "LARGEST", 0)
    monkeypatch.setattr(long_bodies, "_STEP", 7)


def changed(body: bytes, wanted: Wanted, change: Callable[[bytes], bytes]) -> bytes:
    """The body after the change."""
    whole = readable(body, wanted)
    assert whole is not None
    return whole.changed(change)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    BODIES, st.sampled_from([None, 1]), st.dictionaries(NAMES, NAMES, max_size=2), st.sampled_from([(1, 41), (1, 44)])
)
def test_a_long_create_says_what_a_short_one_does(
    long: None, body: dict[str, object], indent: int | None, spelled: dict[str, str], version: tuple[int, int]
) -> None:
    """The wish that is read, and the one that the engine reads after the grants, networks written otherwise among
    them; what was there comes first, byte for byte."""
    data = json.dumps(body, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
    short = container_spec(data)
    whole = readable(data, CREATED)
    if short is None or whole is None:
        return
    assert container_spec(whole.text) == short
    grants = {spelled.get(endpoint.network, endpoint.network): GRANT for endpoint in short.endpoints}

    def change(text: bytes) -> bytes:
        return docker_bodies.with_grants(text, grants, version, spelled)

    after = whole.changed(change)
    assert container_spec(after) == container_spec(change(data))
    end = data.rindex(b"}")
    assert after.startswith(data[:end])
    assert after.endswith(data[end:])


def test_connects_and_networks(long: None) -> None:
    """Their structures come again whole, with what nobody here knows."""
    endpoint = b'{"X":[{"a":"}"}],"Container":"db","endpointconfig":{"Aliases":["a","\\"]"],"IPAMConfig":null}} '
    after = changed(endpoint, CONNECTED, lambda text: docker_bodies.connect_with_grant(text, GRANT, (1, 54)))
    spec = connect_spec(after)
    assert spec is not None
    assert (spec.container, spec.endpoint.ipv4, spec.endpoint.mac) == ("db", "10.0.0.9", GRANT.mac)
    assert json.loads(after)["endpointconfig"]["Aliases"] == ["a", '"]']
    net = b'{"Name":"n","Driver":"mooring","IPAM":{"Driver":"mooring","Options":{"a":"b"}},"Options":{"c":"d"},"X":1}'
    after = changed(net, NETWORK, lambda text: network_bodies.with_subnets(text, [ip_network("10.9.0.0/24")]))
    made = network_bodies.network_spec(after)
    assert made is not None
    assert (made.name, made.ipam_options, made.options, made.open) == ("n", {"a": "b"}, {"c": "d"}, ())
    assert json.loads(after)["IPAM"]["Config"] == [{"Subnet": "10.9.0.0/24"}]


def test_a_short_body_is_its_own_text() -> None:
    """And a change that changes nothing leaves a long one as it is."""
    assert readable(b"{", CREATED) == Readable(b"{", b"{", CREATED)
    assert changed(b"{}", CREATED, lambda text: text + b" ") == b"{} "
    body = b"{" + PAD + b',"HostConfig":{"NetworkMode":"a"}}'
    whole = readable(body, CREATED)
    assert whole is not None
    assert whole.text == b'{"HostConfig":{"NetworkMode":"a"}}'
    assert whole.changed(lambda text: text) is body


@pytest.mark.parametrize(
    "body", [b"{" + PAD, b"[" + PAD + b"]", b" " * (go_json.LARGEST + 1), b'{"Labels":{"a":"%b"}}' % PAD[8:-2]]
)
def test_what_is_no_object_or_says_too_much_is_not_read(body: bytes) -> None:
    """Without an end, or with more of what is wanted than a short body has."""
    assert readable(body, CREATED) is None


def test_a_long_create_gets_its_nameservers_as_well() -> None:
    """Behind everything else, where they hold (Go reads a list that comes twice as the last one)."""
    body = b'{"HostConfig":{"NetworkMode":"web","Dns":["9.9.9.9"]},' + PAD + b"}"
    after = changed(body, CREATED, lambda text: docker_bodies.with_nameservers(text, ["169.254.53.53"]))
    assert after.startswith(body[:-1])
    assert b'"Dns":["169.254.53.53"]' in after[len(body) - 1 :]
