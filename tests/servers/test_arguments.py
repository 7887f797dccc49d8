"""What dockerd sends as values, one field at a time; whole calls are in test_plugin.py."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface

import pytest

from mooring.core.endpoints import Attachment
from mooring.core.faults import BadRequest
from mooring.core.requests import EndpointGrant, EndpointRequest
from mooring.servers.plugin import arguments
from mooring.wire import remote_api as api

V4, V6, MAC = IPv4Interface("10.9.0.2/24"), IPv6Interface("fd09::2/64"), "02:00:00:00:00:01"


@pytest.mark.parametrize("text", ["a", "n" * 64, "w3vwdunsky8k7eyjvp4uyd3ck", "a.b_c-d"])
def test_ids_of_engines_and_of_swarms_are_ids(text: str) -> None:
    """Hexadecimal or not, up to 128 characters."""
    assert arguments.identifier("NetworkID", text) == text


@pytest.mark.parametrize("text", ["", ".", "..", "-a", "a/b", "a b", "a\n", "ä", "a" * 129])
def test_what_could_be_a_path_or_an_option_is_no_id(text: str) -> None:
    """Ids end up in names of interfaces and of records."""
    with pytest.raises(BadRequest, match="NetworkID"):
        arguments.identifier("NetworkID", text)


@pytest.mark.parametrize("text", ["p-1", "LocalDefault/10.9.0.0/24", "P2-fd09::/64-"])
def test_pool_ids_of_other_drivers_are_taken(text: str) -> None:
    """Their release may come to us."""
    assert arguments.pool_id(text) == text


@pytest.mark.parametrize(
    ("parse", "text"),
    [(arguments.pool_id, ""), (arguments.pool_id, "a b"), (arguments.pool_id, "a\x1b"), (arguments.sandbox, "/a\n")],
)
def test_control_characters_are_in_no_id_and_no_path(parse: Callable[[str], str], text: str) -> None:
    """Nor is an empty PoolID one."""
    with pytest.raises(BadRequest):
        parse(text)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (EndpointRequest("n", "e", None, None, ""), api.EndpointInterface(str(V4), str(V6), MAC)),
        (EndpointRequest("n", "e", V4, None, ""), api.EndpointInterface("", str(V6), MAC)),
        (EndpointRequest("n", "e", V4, V6, ""), api.EndpointInterface("", "", MAC)),
        (EndpointRequest("n", "e", None, V6, MAC), api.EndpointInterface(str(V4), "", "")),
        (EndpointRequest("n", "e", V4, V6, MAC), None),
    ],
)
def test_the_reply_never_has_what_the_request_had(
    request_: EndpointRequest, expected: api.EndpointInterface | None
) -> None:
    """The engine fails the start for it, even for the identical value."""
    assert arguments.endpoint_created(request_, EndpointGrant(V4, V6, MAC)) == api.EndpointCreated(expected)


def test_an_attachment_without_an_interface_is_an_empty_name() -> None:
    """Then dockerd adds none; with no gateway of ours the sandbox may still want one of Docker's."""
    reply = arguments.joined(Attachment("", "eth", None, None, gateway_service=True))
    assert reply == api.Joined(api.InterfaceName("", "", "eth"), "", "", [], False)


@pytest.mark.parametrize("name", ["web", "/web", "svc.1.w3vwdunsky8k7eyjvp4uyd3ck"])
def test_names_of_containers_lose_their_slash(name: str) -> None:
    """As the engine writes them."""
    query = api.AddressQuery("p-1", "", {api.NAME_KEY: name})
    assert arguments.address_request(query).name == name.removeprefix("/")
