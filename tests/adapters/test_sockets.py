"""Netlink's encoding, and what its socket makes of refusals."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.netlink.sockets import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    Netlink,
    NetlinkError,
    as_text,
    as_u32,
    attribute,
    attributes,
    nest,
    text,
    u8,
    u32,
)

_NEWLINK, _GETLINK, _DELLINK = 16, 18, 17
_IFINFO = bytes(16)


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=100), max_size=8))
def test_attributes_are_read_as_they_were_written(found: dict[int, bytes]) -> None:
    """Whatever their lengths, which are padded to four bytes."""
    data = b"".join(attribute(kind, value) for kind, value in found.items())
    assert len(data) % 4 == 0
    assert attributes(data) == found


@given(st.binary(max_size=200))
def test_garbage_gives_no_exception(data: bytes) -> None:
    """What is cut short or nonsense is left out."""
    attributes(data)


def test_nested_attributes_and_values() -> None:
    """Text is zero-terminated, numbers are in host order, a nest's kind is found without its flag."""
    data = nest(7, text(1, "eth0"), u32(2, 77), u8(3, 1))
    inner = attributes(attributes(data)[7])
    assert (as_text(inner[1]), as_u32(inner[2]), inner[3]) == ("eth0", 77, b"\1")
    assert (as_text(None), as_u32(None)) == ("", 0)


@pytest.fixture
def netlink(namespace: object) -> Iterator[Netlink]:
    """A socket in a namespace of its own."""
    made = Netlink()
    yield made
    made.close()


@pytest.mark.netns
def test_a_refusal_has_the_kernels_number_and_words(netlink: Netlink) -> None:
    """The error number, and the extended text where the kernel gives one."""
    with pytest.raises(NetlinkError) as refused:
        netlink.request(Message(_DELLINK, 0, _IFINFO + text(3, "nowhere")))
    assert refused.value.errno == errno.ENODEV
    with pytest.raises(NetlinkError, match="failed policy validation"):
        netlink.request(Message(_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, _IFINFO + text(3, "a-name-of-more-than-15-bytes")))


@pytest.mark.netns
def test_the_first_refusal_of_several_is_told(netlink: Netlink) -> None:
    """Requests that go together are all carried out, and the socket is in step afterwards."""
    bridge = Message(_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, _IFINFO + text(3, "b0") + nest(18, text(1, "bridge")))
    gone = Message(_DELLINK, 0, _IFINFO + text(3, "nowhere"))
    with pytest.raises(NetlinkError) as refused:
        netlink.request(gone, bridge, bridge)
    assert refused.value.errno == errno.ENODEV
    assert as_text(attributes(netlink.ask(Message(_GETLINK, 0, _IFINFO + text(3, "b0")))[1][16:])[3]) == "b0"


@pytest.mark.netns
def test_a_dump_gives_every_answer(netlink: Netlink) -> None:
    """Also when the answers fill several datagrams."""
    for number in range(40):
        payload = _IFINFO + text(3, f"b{number}") + nest(18, text(1, "bridge"))
        netlink.request(Message(_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload))
    names = {as_text(attributes(payload[16:])[3]) for _, payload in netlink.dump(Message(_GETLINK, 0, _IFINFO))}
    assert {f"b{number}" for number in range(40)} <= names


def test_of_a_dump_only_what_is_wanted_is_kept(netlink: Netlink) -> None:
    """Each answer is asked about once, as it comes in."""
    asked: list[bytes] = []

    def is_wanted(payload: bytes) -> bool:
        asked.append(payload)
        return text(3, "lo") in payload

    add = [
        Message(_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, _IFINFO + text(3, f"b{n}") + nest(18, text(1, "bridge")))
        for n in range(3)
    ]
    netlink.request(*add)
    found = netlink.dump(Message(_GETLINK, 0, _IFINFO), is_wanted)
    assert [as_text(attributes(payload[16:])[3]) for _, payload in found] == ["lo"]
    assert len(asked) >= 4


def test_of_many_each_has_its_own_outcome(netlink: Netlink) -> None:
    """However many they are, whichever are refused, and the socket is of use afterwards."""

    def made(number: int) -> Message:
        link = _IFINFO + text(3, f"br{number}") + nest(18, text(1, "bridge"))
        return Message(_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link)

    gone = [Message(_DELLINK, 0, _IFINFO + text(3, f"nothing{number}")) for number in range(250)]
    outcome = netlink.request_each([made(1), *gone, made(1), made(2)])
    assert [error.errno if error is not None else 0 for error in outcome] == [0, *[errno.ENODEV] * 250, errno.EEXIST, 0]
    assert netlink.request_each([]) == []
    netlink.request(Message(_DELLINK, 0, _IFINFO + text(3, "br2")))
