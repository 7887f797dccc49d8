"""Bad input at the plugin socket: a one-line error, no service called, and the next client is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mooring.servers.http import Limits
from mooring.servers.plugin.dispatch import fail
from tests.servers.doubles import Answer, Desk, E, N, request_bytes, served

POOL = {"AddressSpace": "default", "Pool": "10.9.0.0/24", "SubPool": "", "Options": {}, "V6": False}
ADDRESS = {"PoolID": "p-1", "Address": "", "Options": {}}
DATA = {"AddressSpace": "default", "Pool": "10.9.0.0/24", "Gateway": "10.9.0.1/24", "AuxAddresses": {}}
NETWORK = {"NetworkID": N, "Options": {"com.docker.network.generic": {}}, "IPv4Data": [DATA], "IPv6Data": []}
INTERFACE = {"Address": "10.9.0.2/24", "AddressIPv6": "", "MacAddress": ""}
ENDPOINT = {"NetworkID": N, "EndpointID": E, "Interface": INTERFACE, "Options": {}}
BOTH = {"NetworkID": N, "EndpointID": E}
PORTS = "com.docker.network.portmap"

WRONG: list[tuple[str, dict[str, Any], str]] = [
    # Subnets and ranges.
    ("IpamDriver.RequestPool", POOL | {"Pool": "10.9.0.1/24"}, "host bits set; the subnet is 10.9.0.0/24"),
    ("IpamDriver.RequestPool", POOL | {"Pool": "10.9.0.0"}, "is not a subnet"),
    ("IpamDriver.RequestPool", POOL | {"Pool": "10.9.0.0/33"}, "is not a subnet"),
    ("IpamDriver.RequestPool", POOL | {"Pool": "10.9.0.0/-1"}, "is not a subnet"),
    ("IpamDriver.RequestPool", POOL | {"Pool": "10.9.0.0/255.255.255.0"}, "is not a subnet"),
    ("IpamDriver.RequestPool", POOL | {"Pool": "010.9.0.0/24"}, "is not a subnet"),
    ("IpamDriver.RequestPool", POOL | {"Pool": "fe80::%eth0/64", "V6": True}, "is not a subnet"),
    ("IpamDriver.RequestPool", POOL | {"Pool": "0.0.0.0/0"}, "is not a pool"),
    ("IpamDriver.RequestPool", POOL | {"Pool": "fd09::/64"}, "IPv6, but an IPv4 pool is asked for"),
    ("IpamDriver.RequestPool", POOL | {"V6": True}, "IPv4, but an IPv6 pool is asked for"),
    ("IpamDriver.RequestPool", POOL | {"Pool": "", "SubPool": "10.9.0.0/25"}, "needs a subnet"),
    ("IpamDriver.RequestPool", POOL | {"Pool": "0.0.0.0/24", "SubPool": "10.9.0.0/25"}, "has no range yet"),
    ("IpamDriver.RequestPool", POOL | {"SubPool": "10.10.0.0/25"}, "is not in the subnet"),
    ("IpamDriver.RequestPool", POOL | {"SubPool": "10.8.0.0/14"}, "is not in the subnet"),
    ("IpamDriver.RequestPool", POOL | {"SubPool": "fd09::/80"}, "is not in the subnet"),
    ("IpamDriver.RequestPool", POOL | {"SubPool": "10.9.0.129/25"}, "host bits set"),
    ("IpamDriver.RequestPool", POOL | {"AddressSpace": "a b"}, "AddressSpace"),
    ("IpamDriver.RequestPool", POOL | {"Options": {"tenat": "x"}}, "did you mean tenant?"),
    ("IpamDriver.RequestPool", POOL | {"Options": {"tenant": "../x"}}, "1 to 63"),
    ("IpamDriver.RequestPool", POOL | {"Options": {"gateway": "10.9.0.1"}}, "none or auto"),
    ("IpamDriver.RequestPool", POOL | {"Options": {"tenant": 5}}, "Expected `str`"),
    ("IpamDriver.RequestPool", POOL | {"V6": "yes"}, "Expected `bool`"),
    ("IpamDriver.RequestPool", POOL | {"Pool": 10}, "Expected `str`"),
    # Addresses.
    ("IpamDriver.RequestAddress", ADDRESS | {"Address": "10.9.0.5/24"}, "is not an IP address"),
    ("IpamDriver.RequestAddress", ADDRESS | {"Address": "10.9.0"}, "is not an IP address"),
    ("IpamDriver.RequestAddress", ADDRESS | {"Address": "fe80::1%eth0"}, "has a zone"),
    ("IpamDriver.RequestAddress", ADDRESS | {"Address": "::ffff:10.9.0.5"}, "IPv4-mapped; write 10.9.0.5"),
    ("IpamDriver.RequestAddress", ADDRESS | {"Address": 5}, "Expected `str`"),
    ("IpamDriver.RequestAddress", ADDRESS | {"PoolID": ""}, "PoolID is empty"),
    ("IpamDriver.RequestAddress", ADDRESS | {"PoolID": "a\nb"}, "PoolID a?b"),
    ("IpamDriver.RequestAddress", ADDRESS | {"PoolID": "x" * 300}, "is not the id of a pool"),
    ("IpamDriver.RequestAddress", ADDRESS | {"Options": {"RequestAddressType": "toll"}}, "is not known"),
    (
        "IpamDriver.RequestAddress",
        ADDRESS | {"Options": {"com.docker.network.endpoint.macaddress": "AgAAAACq"}},
        "is not a MAC address",
    ),
    (
        "IpamDriver.RequestAddress",
        ADDRESS | {"Options": {"com.docker.network.endpoint.macaddress": "ff:ff:ff:ff:ff:ff"}},
        "not the address of one interface",
    ),
    (
        "IpamDriver.RequestAddress",
        ADDRESS | {"Options": {"com.docker.network.endpoint.name": "a\x1b[31m"}},
        "is not a container's name",
    ),
    ("IpamDriver.ReleaseAddress", {"PoolID": "p-1", "Address": ""}, "is not an IP address"),
    ("IpamDriver.ReleaseAddress", {"PoolID": "p-1"}, "missing required field `Address`"),
    ("IpamDriver.ReleasePool", {}, "missing required field `PoolID`"),
    # Networks.
    ("NetworkDriver.CreateNetwork", NETWORK | {"NetworkID": "../../etc"}, "is not an id"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"NetworkID": ""}, "NetworkID is empty"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"NetworkID": "n" * 200}, "is not an id"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"IPv4Data": {}}, "$.IPv4Data"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"IPv4Data": [5]}, "$.IPv4Data[0]"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"IPv4Data": [DATA | {"Pool": ""}]}, "is not a subnet"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"IPv4Data": [DATA | {"Pool": "fd09::/64"}]}, "is not IPv4"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"IPv6Data": [DATA]}, "is not IPv6"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"IPv4Data": [DATA | {"Gateway": "10.9.0.1"}]}, "no prefix length"),
    (
        "NetworkDriver.CreateNetwork",
        NETWORK | {"IPv4Data": [DATA | {"Gateway": "10.8.0.1/24"}]},
        "is not in the subnet",
    ),
    (
        "NetworkDriver.CreateNetwork",
        NETWORK | {"IPv4Data": [DATA | {"AuxAddresses": {"r": "10.8.0.1/24"}}]},
        "10.8.0.1 is not in the subnet",
    ),
    ("NetworkDriver.CreateNetwork", NETWORK | {"IPv4Data": [DATA | {"AuxAddresses": {"r": None}}]}, "Expected `str`"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"Options": {"com.docker.network.generic": "x"}}, "generic"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"Options": {"com.docker.network.internal": 1}}, "internal"),
    ("NetworkDriver.CreateNetwork", NETWORK | {"Options": []}, "$.Options"),
    (
        "NetworkDriver.GwAllocCheck",
        {"Options": {"com.docker.network.generic": {"brigde": "x"}}},
        "did you mean bridge?",
    ),
    ("NetworkDriver.DeleteNetwork", {"NetworkID": "a b"}, "is not an id"),
    # Endpoints.
    ("NetworkDriver.CreateEndpoint", ENDPOINT | {"EndpointID": "e/1"}, "EndpointID e/1 is not an id"),
    ("NetworkDriver.CreateEndpoint", ENDPOINT | {"Interface": INTERFACE | {"Address": "10.9.0.2"}}, "no prefix length"),
    ("NetworkDriver.CreateEndpoint", ENDPOINT | {"Interface": INTERFACE | {"Address": "fd09::2/64"}}, "is not IPv4"),
    (
        "NetworkDriver.CreateEndpoint",
        ENDPOINT | {"Interface": INTERFACE | {"AddressIPv6": "10.9.0.2/24"}},
        "is not IPv6",
    ),
    ("NetworkDriver.CreateEndpoint", ENDPOINT | {"Interface": INTERFACE | {"Address": "10.9.0.2/99"}}, "prefix length"),
    (
        "NetworkDriver.CreateEndpoint",
        ENDPOINT | {"Interface": INTERFACE | {"MacAddress": "aa"}},
        "is not a MAC address",
    ),
    ("NetworkDriver.CreateEndpoint", ENDPOINT | {"Interface": 5}, "$.Interface"),
    ("NetworkDriver.CreateEndpoint", ENDPOINT | {"Options": {"frob": "on"}}, "unknown endpoint option frob"),
    ("NetworkDriver.CreateEndpoint", ENDPOINT | {"Options": {PORTS: [{"Proto": 6}]}}, "missing required field `Port`"),
    (
        "NetworkDriver.CreateEndpoint",
        ENDPOINT | {"Options": {PORTS: [{"Proto": 1, "Port": 1}]}},
        "not tcp, udp or sctp",
    ),
    ("NetworkDriver.Join", BOTH | {"Options": {PORTS: "80"}}, "portmap"),
    ("NetworkDriver.Join", BOTH | {"SandboxKey": "a\x00b"}, "is not a path"),
    ("NetworkDriver.Join", {"NetworkID": N}, "missing required field `EndpointID`"),
    ("NetworkDriver.Leave", {"NetworkID": 5, "EndpointID": E}, "Expected `str`"),
    (
        "NetworkDriver.ProgramExternalConnectivity",
        BOTH | {"Options": {PORTS: [{"Proto": 6, "Port": 99999}]}},
        "is not a port",
    ),
]


def line(answer: Answer) -> str:
    """The one line of a refusal, the same under both keys."""
    reply = json.loads(answer.body)
    assert reply.keys() == {"Err", "Error"}
    assert reply["Err"] == reply["Error"]
    assert reply["Err"].isprintable()
    assert 0 < len(reply["Err"]) <= 1000
    assert "Traceback" not in reply["Err"]
    return str(reply["Err"])


async def test_wrong_values_are_told_and_change_nothing(tmp_path: Path) -> None:
    """All over one connection, so that each leaves it usable."""
    desk = Desk()
    async with served(tmp_path, desk.door, fail=fail) as running:
        client = await running.client()
        for method, body, reason in WRONG:
            answer = await client.post(f"/{method}", json.dumps(body).encode())
            assert reason in line(answer), (method, body)
            assert answer.status == 400, (method, body)
    assert desk.calls == []


@pytest.mark.parametrize(
    "body",
    [
        b"not JSON",
        b"\x00\xff\xfe\x80",
        b"null",
        b"[]",
        b'"text"',
        b"5",
        b"{",
        b'{"NetworkID":',
        b'{"NetworkID":"\xff"}',
        b'{"NetworkID":"\\ud800","EndpointID":"e","PoolID":"p"}',
        b"[" * 100_000,
        b'{"Options":' * 90_000,
        b'{"NetworkID":"n"}{"NetworkID":"n"}',
        b'{"NetworkID":"' + b"n" * 1_000_000 + b'","EndpointID":"e","PoolID":" ","Options":5}',
        b'{"a":' + b"9" * 100_000 + b"}",
    ],
    ids=range(15),
)
async def test_what_is_not_the_json_of_the_method_is_refused(tmp_path: Path, body: bytes) -> None:
    """For every method that takes arguments; those without take anything."""
    desk = Desk()
    async with served(tmp_path, desk.door, fail=fail) as running:
        client = await running.client()
        for method in desk.door.methods:
            if method.split(".")[1] in ("Activate", "GetCapabilities", "GetDefaultAddressSpaces"):
                assert (await client.post(f"/{method}", body)).status == 200
            elif method.split(".")[1] in ("DiscoverNew", "DiscoverDelete", "GwAllocCheck"):
                assert (await client.post(f"/{method}", body)).status in (200, 400)  # they require no field
            elif method.split(".")[1] in ("AllocateNetwork", "FreeNetwork"):
                assert (await client.post(f"/{method}", body)).status in (400, 403)
            elif method == "IpamDriver.RequestPool" and body.startswith((b'{"NetworkID"', b'{"a"')):
                continue  # a pool of default size is what a request asks for that says nothing known
            else:
                answer = await client.post(f"/{method}", body)
                assert answer.status == 400, method
                line(answer)
    assert desk.calls == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\x7fELF" + bytes(range(256)), 400),
        (request_bytes("/IpamDriver.RequestPool", b"{}", "GET"), 405),
        (request_bytes("/IpamDriver.RequestPool", b"{}", "BREW"), 400),
        (request_bytes("/IpamDriver.Request%0aPool", b"{}"), 404),
        (request_bytes("/", b"{}"), 404),
        (request_bytes("/" + "x" * 20_000, b"{}"), 404),
        (request_bytes("/IpamDriver.RequestPool", b" " * ((1 << 20) + 1)), 413),
        (b"POST /IpamDriver.RequestPool HTTP/1.1\r\nContent-Length: 10\r\n\r\n{", 408),
        (b"POST /IpamDriver.Reque", 408),
    ],
    ids=range(10),
)
async def test_what_is_not_a_call_is_refused(tmp_path: Path, data: bytes, status: int) -> None:
    """Garbage, other verbs and paths, too much, and clients that hang in the middle."""
    desk = Desk()
    async with served(tmp_path, desk.door, Limits(request=0.05), fail) as running:
        client = await running.client()
        await client.send(data)
        answer = await client.answer()
        assert answer.status == status
        line(answer)
        assert (await (await running.client()).post("/Plugin.Activate")).status == 200
    assert desk.calls == []
