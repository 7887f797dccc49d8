"""Published ports as values."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.port_bindings import PortBinding, PortRequest, Protocol, gateway_families


@pytest.mark.parametrize(
    ("host", "target", "text"),
    [
        (None, "10.0.0.2", "0.0.0.0:8080->10.0.0.2:80/tcp"),
        ("192.0.2.1", "10.0.0.2", "192.0.2.1:8080->10.0.0.2:80/tcp"),
        (None, "fd00::2", "[::]:8080->[fd00::2]:80/tcp"),
        ("2001:db8::1", "fd00::2", "[2001:db8::1]:8080->[fd00::2]:80/tcp"),
    ],
)
def test_a_publication_reads_like_docker_ps(host: str | None, target: str, text: str) -> None:
    """Brackets around IPv6, the family's wildcard where no host address was given."""
    place = ip_address(host) if host else None
    assert str(PortBinding(Protocol.TCP, place, 8080, ip_address(target), 80)) == text


def test_protocol_numbers_are_those_of_ip() -> None:
    """IANA protocol numbers, which is what Docker sends; the label is what people and nftables write."""
    assert [(protocol.value, protocol.label) for protocol in Protocol] == [(6, "tcp"), (17, "udp"), (132, "sctp")]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (PortRequest(Protocol.TCP, 80), "80/tcp"),
        (PortRequest(Protocol.UDP, 53, first=53, last=53), "53:53/udp"),
        (PortRequest(Protocol.TCP, 80, ip_address("127.0.0.1")), "127.0.0.1::80/tcp"),
        (PortRequest(Protocol.TCP, 80, ip_address("fd00::1"), 8000, 8010), "[fd00::1]:8000-8010:80/tcp"),
    ],
)
def test_a_request_prints_in_dockers_form(request_: PortRequest, text: str) -> None:
    """As `docker run -p` has it."""
    assert str(request_) == text


FOUR, SIX, BOTH = frozenset({4}), frozenset({6}), frozenset({4, 6})


@pytest.mark.parametrize(
    ("own", "served", "elsewhere", "families"),
    [
        (FOUR, [], False, FOUR),
        (SIX, [BOTH], True, SIX),
        (BOTH, [], False, BOTH),
        (BOTH, [SIX], False, BOTH),
        (BOTH, [FOUR], False, SIX),
        (BOTH, [SIX, BOTH], False, SIX),
        (BOTH, [], True, FOUR),
        (BOTH, [SIX], True, FOUR),
        (BOTH, [FOUR], True, SIX),
        (BOTH, [BOTH], True, FOUR),
    ],
)
def test_each_family_is_published_by_one_endpoint_of_a_sandbox(
    own: frozenset[int], served: list[frozenset[int]], elsewhere: bool, families: frozenset[int]
) -> None:
    """By the gateway of the family, as far as the engine tells which that is."""
    assert gateway_families(own, served, elsewhere) == families
