"""The resolver's table, made by our own netlink and read by Debian's nft."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable

import pytest

from mooring.adapters.dns import query_redirect
from mooring.adapters.dns.query_redirect import lead_queries, leave_queries, table_number
from mooring.adapters.netlink.sockets import Message
from mooring.core.faults import Conflict, Unavailable
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns


def shown() -> list[str]:
    """The table's lines, as nft shows them."""
    return [line.strip() for line in sh("nft --numeric-priority list table ip mooring_resolver").splitlines()]


def test_the_table_is_what_nft_would_have_made(namespace: Namespace) -> None:
    """Written anew, it is the later one, also if the earlier goes only then; tables of others are not touched."""
    assert table_number() == 0
    sh("nft add table ip theirs")
    earlier = lead_queries("127.0.0.11", 53, 1000, 2000)
    later = lead_queries("127.0.0.11", 53, 4001, 4002, anew=True)
    leave_queries(earlier)
    assert table_number() == later != earlier
    assert shown() == [
        "table ip mooring_resolver {",
        "chain output {",
        "type nat hook output priority -100; policy accept;",
        "ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:4001",
        "ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:4002",
        "}",
        "}",
    ]
    for _ in range(2):
        leave_queries(later)
    assert sh("nft list tables") == "table ip theirs\n"


def test_a_table_of_before_is_led_elsewhere(namespace: Namespace) -> None:
    """It keeps its number, since only its rules are replaced, which waits for nobody."""
    earlier = lead_queries("127.0.0.11", 53, 1000, 2000, owner="one")
    assert lead_queries("127.0.0.11", 53, 4001, 4002, owner="one") == earlier == table_number()
    assert [line.rpartition(":")[2] for line in shown() if "dnat" in line] == ["4001", "4002"]


def test_what_waits_for_the_kernel_is_handed_over(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is closed when the caller likes, the rules count before; nothing is tried that has to be undone."""
    waiting: list[Callable[[], None]] = []
    refused: list[bool] = []
    real = query_redirect._Resolver.carry_out_unless

    def watched(batches: query_redirect._Resolver, number: int, *messages: Message) -> bool:
        refused.append(not real(batches, number, *messages))
        return not refused[-1]

    monkeypatch.setattr(query_redirect._Resolver, "carry_out_unless", watched)
    for ports in ((1000, 2000), (4001, 4002)):
        lead_queries("127.0.0.11", 53, *ports, late=waiting.append)
    assert [line.rpartition(":")[2] for line in shown() if "dnat" in line] == ["4001", "4002"]
    assert (len(waiting), refused) == (2, [False, False])
    for work in waiting:
        work()


@pytest.mark.parametrize("anew", [False, True])
def test_a_table_of_another_owner_is_left_alone(namespace: Namespace, anew: bool) -> None:
    """The fault says what to do; when it is gone the next owner may have one."""
    number = lead_queries("127.0.0.11", 53, 4001, 4002, owner="one")
    before = shown()
    for owner in ("", "two"):
        with pytest.raises(Conflict, match="another owner's resolver"):
            lead_queries("127.0.0.11", 53, 4003, 4004, owner=owner, anew=anew)
    assert (shown(), table_number()) == (before, number)
    leave_queries(number)
    assert lead_queries("127.0.0.11", 53, 4003, 4004, owner="two") == table_number()


def test_a_process_with_many_files_may_do_it_too(namespace: Namespace) -> None:
    """More than select(2) can wait for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("this process may not open 2000 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        lead_queries("127.0.0.11", 53, 4001, 4002)
        assert len(shown()) == 7
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_refusal_is_a_fault_and_changes_nothing(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole transaction, whichever message it was."""
    lead_queries("127.0.0.11", 53, 4001, 4002)
    before = shown()
    monkeypatch.setattr(query_redirect, "_META_L4PROTO", 250)
    with pytest.raises(Unavailable, match="mooring_resolver cannot be changed"):
        lead_queries("127.0.0.11", 53, 4003, 4004)
    assert shown() == before
