"""The endpoints of an engine's network, as GET /networks/{id} tells them."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec

from mooring.adapters.docker.engine_answers import ContainerAnswer, ContainerRow, NetworkAnswer
from mooring.core.containers import EngineEndpoint

NETWORK = b"""{"Id": "aaa", "Name": "web", "Driver": "mooring", "EnableIPv6": true, "Containers": {
  "c1": {"Name": "db", "EndpointID": "e1", "MacAddress": "02:42:0a:20:00:02", "IPv4Address": "10.32.0.2/24",
         "IPv6Address": "fd00::2/64"},
  "ep-e2": {"Name": "gone", "EndpointID": "e2", "IPv4Address": "10.32.0.3/24", "IPv6Address": ""},
  "ep-e3": null}}"""


def test_an_endpoint_without_a_sandbox_has_no_container() -> None:
    """Docker lists it under `ep-` and its id (moby daemon/network.go); addresses come without a prefix length."""
    assert msgspec.json.decode(NETWORK, type=NetworkAnswer).value().endpoints == (
        EngineEndpoint("e1", "c1", "db", ip_address("10.32.0.2"), ip_address("fd00::2")),  # type: ignore[arg-type]
        EngineEndpoint("e2", "", "gone", ip_address("10.32.0.3"), None),  # type: ignore[arg-type]
        EngineEndpoint("e3", "", ""),
    )


def test_a_network_of_the_list_has_none() -> None:
    """GET /networks leaves them out, or says null."""
    for text in (b'{"Id": "aaa"}', b'{"Id": "aaa", "Containers": null}', b'{"Id": "aaa", "Containers": {}}'):
        assert msgspec.json.decode(text, type=NetworkAnswer).value().endpoints == ()


def test_an_inspection_tells_aliases_and_a_list_does_not() -> None:
    """With the names of engines from 25 on, each once; a list of an engine that tells nothing is no word about them."""
    place = '"NetworkSettings": {"Networks": {"web": {"Aliases": ["main", "db"], "DNSNames": ["db", "0123456789ab"]}}}'
    (told,) = msgspec.json.decode(f'{{"Id": "c1", {place}}}', type=ContainerAnswer).value({}).endpoints
    assert told.aliases == ("main", "db", "0123456789ab")
    (listed,) = msgspec.json.decode(f'{{"Id": "c1", {place}}}', type=ContainerRow).value({}).endpoints
    assert listed.aliases is None
