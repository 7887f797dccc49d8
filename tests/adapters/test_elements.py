"""Elements between core's spelling and the kernel's bytes. What the kernel itself takes is in test_nft_tables.py."""

from __future__ import annotations

import pytest

from mooring.adapters.netlink.batches import listed
from mooring.adapters.netlink.sockets import attribute, attributes, nest
from mooring.adapters.nft.elements import packed, unpacked
from mooring.core.firewall import FIREWALL
from mooring.core.plumbing import Member
from mooring.core.port_security import PORT_SECURITY

CONTAINERS = {**FIREWALL.containers, **PORT_SECURITY.containers}
MEMBERS = [
    Member("bridges", '"fifteen-letters"'),
    Member("groups", '"mr-a"', "0x00000a01"),
    Member("members", '0x00000a01 . "mr-a"'),
    Member("source6", '"mr-a"', "fd00::1"),
    Member("hairpin4", '10.9.0.7 . "mr-a"'),
    Member("hairpin4", '0.0.0.0/0 . "mr-a"'),
    Member("hairpin4", '10.1.0.0/23 . "mr-a"'),
    Member("hairpin6", 'fd00:1::/64 . "mr-a"'),
    Member("wildcard4", "6 . 65535", "10.1.0.2 . 80"),
    Member("published6", "132 . fd00::1 . 443", "fd00:1::2 . 1"),
    Member("sources4", '"mv-e" . 02:00:00:00:00:01 . 10.1.0.2'),
    Member("targets6", '"mv-e" . 02:00:00:00:00:01 . 0xfd000000000000000000000000000001'),
    Member("links6", '"mv-e" . 0x20000000001'),
    Member("tunnel_ports", "4790"),
    Member("tunnels6", "fd00::1 . 4790"),
]


def body(element: bytes) -> bytes:
    """What the kernel would tell: the list's one element."""
    (told,) = listed(element)
    return told


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.container)
def test_every_spelling_of_core_comes_back_the_same(member: Member) -> None:
    """Byte order, joined parts, prefixes."""
    container = CONTAINERS[member.container]
    assert unpacked(member.container, container, body(packed(container, member, with_value=True))) == member


def test_parts_begin_at_multiples_of_four_bytes() -> None:
    """As libnftables lays them out; a key for removal has no value with it."""
    element = body(packed(CONTAINERS["wildcard4"], MEMBERS[8], with_value=False))
    assert element == nest(1, attribute(1, bytes([6, 0, 0, 0, 255, 255, 0, 0])))
    alone = body(packed(CONTAINERS["tunnel_ports"], Member("tunnel_ports", "4790"), with_value=False))
    assert alone == nest(1, attribute(1, bytes([0x12, 0xB6])))


@pytest.mark.parametrize(
    ("container", "element", "value"),
    [
        ("bridges", "mr-a", ""),
        ("bridges", '"sixteen-letters-"', ""),
        ("within", '"mr-a"', ""),
        ("routed4", "6 . 10.1.0.2 . 65536", ""),
        ("routed4", "6 . fd00::1 . 80", ""),
        ("sources4", '"mv-e" . 02:00:00:00:01 . 10.1.0.2', ""),
        ("hairpin4", '10.1.0.1/24 . "mr-a"', ""),
        ("wildcard4", "6 . 80", "x"),
    ],
)
def test_what_the_container_cannot_have_is_refused(container: str, element: str, value: str) -> None:
    """Before anything is sent."""
    with pytest.raises((ValueError, OverflowError)):
        packed(CONTAINERS[container], Member(container, element, value), with_value=True)


def key(data: bytes, kind: int = 1) -> bytes:
    """A nested attribute of an element."""
    return nest(kind, attribute(1, data))


NAME = b"mr-a".ljust(16, b"\0")


@pytest.mark.parametrize(
    ("container", "element"),
    [
        ("bridges", key(b"mr-a")),
        ("bridges", key(b"mr-\0a".ljust(16, b"\0"))),
        ("bridges", key(b'mr"a'.ljust(16, b"\0"))),
        ("bridges", key(b"\xff" * 16)),
        ("bridges", key(bytes(16))),
        ("bridges", b""),
        ("groups", key(NAME) + nest(2, nest(2, attribute(1, bytes(4))))),
        ("groups", key(NAME)),
        ("hairpin4", key(bytes([10, 0, 0, 5]) + NAME) + key(bytes([10, 0, 0, 9]) + NAME, 10)),
        ("hairpin4", key(bytes([10, 0, 0, 9]) + NAME) + key(bytes([10, 0, 0, 5]) + NAME, 10)),
        ("hairpin4", key(bytes([10, 0, 0, 0]) + NAME) + key(bytes([10, 0, 0, 0]) + b"mr-b".ljust(16, b"\0"), 10)),
    ],
)
def test_what_core_never_writes_has_no_spelling(container: str, element: bytes) -> None:
    """Other lengths, names that cannot be said, verdicts, ranges that are no prefix."""
    assert attributes(element) is not None
    with pytest.raises(ValueError, match=r"."):
        unpacked(container, CONTAINERS[container], element)
