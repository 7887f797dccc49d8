"""The codecs of libnetwork's remote protocols: both directions agree, and nothing wrong gets through."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, NotFound, Unavailable
from mooring.wire import remote_api as api

# What an engine sends, and the value that it stands for. Fields as in libnetwork's drivers/remote/api/api.go.
REQUESTS: list[tuple[str, str, api.Message]] = [
    (
        "NetworkDriver.CreateNetwork",
        '{"NetworkID":"n","Options":{"com.docker.network.generic":{"a":"b"}},'
        '"IPv4Data":[{"AddressSpace":"s","Pool":"10.9.0.0/24","Gateway":"10.9.0.1/24","AuxAddresses":{"x":"10.9.0.5/24"}}],'
        '"IPv6Data":[]}',
        api.NetworkCreation(
            "n",
            {"com.docker.network.generic": {"a": "b"}},
            [api.IpamData("s", "10.9.0.0/24", "10.9.0.1/24", {"x": "10.9.0.5/24"})],
            [],
        ),
    ),
    (
        "NetworkDriver.CreateEndpoint",
        '{"NetworkID":"n","EndpointID":"e","Interface":{"Address":"10.9.0.2/24","AddressIPv6":"","MacAddress":"m"},'
        '"Options":{}}',
        api.EndpointCreation("n", "e", api.EndpointInterface("10.9.0.2/24", "", "m"), {}),
    ),
    (
        "NetworkDriver.Join",
        '{"NetworkID":"n","EndpointID":"e","SandboxKey":"/s","Options":null}',
        api.Joining("n", "e", "/s", None),
    ),
    ("NetworkDriver.Leave", '{"NetworkID":"n","EndpointID":"e"}', api.EndpointReference("n", "e")),
    (
        "IpamDriver.RequestPool",
        '{"AddressSpace":"s","Pool":"","SubPool":"","Options":null,"V6":true}',
        api.PoolQuery("s", "", "", None, True),
    ),
    (
        "IpamDriver.RequestAddress",
        '{"PoolID":"p","Address":"","Options":{"RequestAddressType":"com.docker.network.gateway"}}',
        api.AddressQuery("p", "", {"RequestAddressType": "com.docker.network.gateway"}),
    ),
    ("IpamDriver.ReleaseAddress", '{"PoolID":"p","Address":"10.9.0.2"}', api.AddressReference("p", "10.9.0.2")),
]
REPLIES: list[tuple[str, str, api.Message]] = [
    ("Plugin.Activate", '{"Implements":["NetworkDriver","IpamDriver"]}', api.Activation(list(api.IMPLEMENTS))),
    (
        "NetworkDriver.GetCapabilities",
        '{"Scope":"local","ConnectivityScope":"local","GwAllocChecker":true}',
        api.NetworkCapabilities("local", "local", True),
    ),
    ("NetworkDriver.GwAllocCheck", '{"SkipIPv4":true,"SkipIPv6":false}', api.GatewayChecked(True, False)),
    ("NetworkDriver.CreateNetwork", "{}", api.Empty()),
    ("NetworkDriver.CreateEndpoint", "{}", api.EndpointCreated()),
    (
        "NetworkDriver.CreateEndpoint",
        '{"Interface":{"Address":"10.9.0.2/24","AddressIPv6":"","MacAddress":""}}',
        api.EndpointCreated(api.EndpointInterface("10.9.0.2/24")),
    ),
    (
        "NetworkDriver.Join",
        '{"InterfaceName":{"SrcName":"v","DstName":"","DstPrefix":"eth"},"Gateway":"10.9.0.1","GatewayIPv6":"",'
        '"StaticRoutes":[{"Destination":"10.0.0.0/8","RouteType":0,"NextHop":"10.9.0.9"}],"DisableGatewayService":true}',
        api.Joined(
            api.InterfaceName("v", "", "eth"), "10.9.0.1", "", [api.Route("10.0.0.0/8", api.NEXT_HOP, "10.9.0.9")], True
        ),
    ),
    (
        "IpamDriver.GetCapabilities",
        '{"RequiresMACAddress":true,"RequiresRequestReplay":false}',
        api.IpamCapabilities(True, False),
    ),
    (
        "IpamDriver.GetDefaultAddressSpaces",
        '{"LocalDefaultAddressSpace":"default","GlobalDefaultAddressSpace":"global"}',
        api.AddressSpaces("default", "global"),
    ),
    ("IpamDriver.RequestPool", '{"PoolID":"p","Pool":"10.9.0.0/24","Data":{}}', api.PoolAnswer("p", "10.9.0.0/24", {})),
    ("IpamDriver.RequestAddress", '{"Address":"10.9.0.2/24","Data":{}}', api.AddressAnswer("10.9.0.2/24", {})),
]


@pytest.mark.parametrize(("method", "text", "value"), REQUESTS)
def test_requests_are_the_same_in_both_directions(method: str, text: str, value: api.Message) -> None:
    """Go's text gives the value, and the value Go's text, with its line break."""
    assert api.decode_request(method, text.encode()) == value
    assert api.encode_request(value) == text.encode() + b"\n"


@pytest.mark.parametrize(("method", "text", "value"), REPLIES)
def test_replies_are_the_same_in_both_directions(method: str, text: str, value: api.Message) -> None:
    """What we answer is what a client of ours reads."""
    assert api.encode_reply(value).decode() == text
    assert api.decode_reply(method, 200, text.encode()) == value


def test_unknown_fields_and_null_maps_are_passed_over() -> None:
    """Engines grow fields."""
    request = api.decode_request("IpamDriver.RequestPool", b'{"AddressSpace":"s","New":{"a":[1]},"Options":null}\n')
    assert request == api.PoolQuery("s")


def test_methods_that_ask_nothing_ignore_the_body() -> None:
    """Engines send none, other clients send `{}`."""
    for body in (b"", b"{}", b"what"):
        assert api.decode_request("IpamDriver.GetDefaultAddressSpaces", body) == api.Empty()
    assert api.encode_request(api.Empty()) == b""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"not JSON", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "Expected `object`"),
        (b"5", "Expected `object`"),
        (b"{}", "missing required field `PoolID`"),
        (b'{"PoolID":5}', "Expected `str`, got `int` - at `$.PoolID`"),
        (b'{"PoolID":null}', "Expected `str`, got `null`"),
        (b'{"PoolID":"p","Options":[]}', "$.Options"),
        (b'{"PoolID":"p","Options":{"a":1}}', "$.Options[...]"),
        (b'{"PoolID":"p"} trailing', "trailing"),
        (b"[" * 100_000, "Expected `object`"),
    ],
)
def test_bad_requests_are_told_in_one_line(body: bytes, reason: str) -> None:
    """The line says where it is wrong; dockerd puts the method before it."""
    with pytest.raises(BadRequest) as caught:
        api.decode_request("IpamDriver.RequestAddress", body)
    text = str(caught.value)
    assert text.startswith("request body: ")
    assert reason in text
    assert "\n" not in text
    assert len(text) < 300


def test_deep_nesting_is_a_bad_request() -> None:
    """The stack is not the place where it ends."""
    body = b'{"NetworkID":"n","Options":' + b'{"a":' * 100_000
    with pytest.raises(BadRequest, match="recursion"):
        api.decode_request("NetworkDriver.CreateNetwork", body)


def test_errors_have_both_keys() -> None:
    """One driver of dockerd's reads `Err`, the other `Error`."""
    assert json.loads(api.encode_error("no")) == {"Err": "no", "Error": "no"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (400, b'{"Err":"bad","Error":"bad"}', BadRequest, "bad"),
        (404, b'{"Err":"gone"}', NotFound, "gone"),
        (409, b'{"Error":"taken"}', Conflict, "taken"),
        (507, b'{"Err":"full"}', Exhausted, "full"),
        (500, b"plain text\n", Unavailable, "plain text"),
        (500, b"", Unavailable, "IpamDriver.RequestPool: status 500"),
        (201, b'{"PoolID":"p","Pool":"10.0.0.0/8"}', Unavailable, '{"PoolID":"p","Pool":"10.0.0.0/8"}'),
        (200, b'{"Error":"hidden"}', Unavailable, "hidden"),
        (200, b"", Unavailable, "IpamDriver.RequestPool: reply body: Input data was truncated"),
        (
            200,
            b'{"PoolID":7}',
            Unavailable,
            "IpamDriver.RequestPool: reply body: Expected `str`, got `int` - at `$.PoolID`",
        ),
    ],
)
def test_error_replies_become_faults(status: int, body: bytes, kind: type[Fault], text: str) -> None:
    """The kind follows from the status, the text from whichever key has it; only 200 is success."""
    with pytest.raises(Fault) as caught:
        api.decode_reply("IpamDriver.RequestPool", status, body)
    assert type(caught.value) is kind
    assert str(caught.value) == text


def test_a_null_reply_is_an_empty_one() -> None:
    """As Go's decoder has it."""
    assert api.decode_reply("NetworkDriver.Join", 200, b"null\n") == api.Joined()


@pytest.mark.parametrize(
    ("method", "body", "value"),
    [
        (
            "IpamDriver.RequestPool",
            b'{"poolid":"p","POOL":"10.9.0.0/24","Data":{"Pool":"x"}}',
            api.PoolAnswer("p", "10.9.0.0/24", {"Pool": "x"}),
        ),
        (
            "NetworkDriver.Join",
            b'{"interfacename":{"srcname":"v","DstPrefix":null},"gateway":null,"staticroutes":[{"destination":"d","x":1}]}',
            api.Joined(api.InterfaceName("v"), static_routes=[api.Route("d")]),
        ),
        (
            "NetworkDriver.CreateEndpoint",
            b'{"Interface":{"addressipv6":"a"}}',
            api.EndpointCreated(api.EndpointInterface("", "a")),
        ),
        ("NetworkDriver.EndpointOperInfo", b'{"value":{"value":null}}', api.EndpointInfo({"value": None})),
    ],
)
def test_replies_are_read_as_go_reads_them(method: str, body: bytes, value: api.Message) -> None:
    """Names in any case, null for anything; what is a plugin's own stays as it is."""
    assert api.decode_reply(method, 200, body) == value


def test_a_subnet_without_a_gateway_does_not_speak_of_one() -> None:
    """libnetwork's own reader would take an empty text for an address."""
    request = api.NetworkCreation("n", {}, [api.IpamData("s", "10.9.0.0/24")], [])
    assert json.loads(api.encode_request(request))["IPv4Data"] == [{"AddressSpace": "s", "Pool": "10.9.0.0/24"}]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.sampled_from(sorted(api.METHODS)))
def test_arbitrary_bytes_give_a_value_or_a_bad_request(body: bytes, method: str) -> None:
    """Nothing else is raised."""
    text = ""
    try:
        api.decode_request(method, body)
    except BadRequest as fault:
        text = str(fault)
    assert "\n" not in text
