"""What a member's errors mean for the one who asked; connections are tested on real etcds (tests/contracts)."""

from __future__ import annotations

import pytest

from mooring.adapters.etcd.member import Outcome, Refused, meaning_of, unreachable
from mooring.core.faults import Compacted

ALL = "failed to connect to all addresses; last error:"
NOTHING, REFUSED, UNKNOWN = Outcome.NOTHING_DONE, Outcome.REFUSED, Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("code", "details", "outcome"),
    [
        ("UNAVAILABLE", "etcdserver: no leader", NOTHING),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", NOTHING),
        ("UNAUTHENTICATED", "etcdserver: invalid auth token", NOTHING),
        ("INVALID_ARGUMENT", "etcdserver: request is too large", REFUSED),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", REFUSED),
        ("PERMISSION_DENIED", "etcdserver: permission denied", REFUSED),
        ("INVALID_ARGUMENT", "etcdserver: authentication failed, invalid user ID or password", REFUSED),
        ("UNAVAILABLE", "etcdserver: request timed out, possibly due to previous leader failure", UNKNOWN),
        ("UNAVAILABLE", "etcdserver: leader changed", UNKNOWN),
        ("UNAVAILABLE", "Socket closed", UNKNOWN),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", UNKNOWN),
        ("UNKNOWN", "raft proposal dropped", UNKNOWN),
        ("INTERNAL", "", UNKNOWN),
    ],
)
def test_only_what_a_member_says_before_it_proposes_leaves_a_write_undone(
    code: str, details: str, outcome: Outcome
) -> None:
    """Everything else may have happened, but for what no member would do."""
    fault = meaning_of("https://e:2379", code, details)
    assert isinstance(fault, Refused)
    assert fault.outcome is outcome
    assert "https://e:2379" in str(fault)


def test_what_an_account_may_not_is_told_with_the_right_that_it_needs() -> None:
    """Of a role that has parts of the prefix only, etcd says no more than that."""
    fault = meaning_of("https://e:2379", "PERMISSION_DENIED", "etcdserver: permission denied")
    assert "readwrite on all of the cluster's prefix" in fault.hint


def test_a_compacted_revision_is_a_fault_of_its_own() -> None:
    """A scan that took too long begins again."""
    said = "etcdserver: mvcc: required revision has been compacted"
    assert isinstance(meaning_of("https://e:2379", "OUT_OF_RANGE", said), Compacted)


def test_a_token_that_is_not_known_any_more_is_asked_for_again() -> None:
    """As after a restart of the member, and after a change of accounts."""
    for details, token in [
        ("etcdserver: invalid auth token", True),
        ("etcdserver: revision of auth store is old", True),
        ("etcdserver: permission denied", False),
    ]:
        fault = meaning_of("https://e:2379", "UNAUTHENTICATED", details)
        assert isinstance(fault, Refused)
        assert fault.token == token


@pytest.mark.parametrize(
    ("details", "words"),
    [
        (
            f"{ALL} UNKNOWN: ipv4:127.0.0.2:1: Failed to connect to remote host: Connection refused",
            "Failed to connect to remote host: Connection refused",
        ),
        (
            f"{ALL} UNAVAILABLE: ipv6:%5B::1%5D:1: Unwrap failed (TSI_DATA_CORRUPTED)",
            "Unwrap failed (TSI_DATA_CORRUPTED); are authority, certificate and key those of this etcd, and has "
            "none ended?",
        ),
        ("errors resolving e:1: Domain name not found", "errors resolving e:1: Domain name not found"),
        ("", "no reason given"),
    ],
)
def test_why_there_is_no_connection_is_told_shortly(details: str, words: str) -> None:
    """Of gRPC's words those that say it; where it is about TLS, the settings for it."""
    assert str(unreachable("https://e:1", details)) == f"etcd at https://e:1 cannot be reached: {words}"


@pytest.mark.parametrize(
    ("endpoint", "details", "text"),
    [
        ("https://e:1", f"{ALL} UNKNOWN: ipv4:1.2.3.4:1: tcp handshaker shutdown", "it does not answer"),
        (
            "https://e:1",
            f"{ALL} UNKNOWN: Failed to create security handshaker.",
            "handshaker; are authority, certificate and key",
        ),
        (
            "http://e:1",
            f"{ALL} UNKNOWN: ipv4:1.2.3.4:1: Socket closed",
            "Socket closed; if it wants TLS, write https://",
        ),
    ],
)
def test_what_a_stranger_gets_wrong_is_told_in_his_words(endpoint: str, details: str, text: str) -> None:
    """A member that is off, an authority that is none, and TLS left out."""
    assert text in str(unreachable(endpoint, details))


@pytest.mark.parametrize("details", ["Stream removed (Socket closed)", "failed to connect to all addresses"])
def test_a_connection_that_ended_is_a_member_that_cannot_be_reached(details: str) -> None:
    """Whatever gRPC calls it, which depends on when it ended: an operator reads one thing."""
    fault = meaning_of("https://e:2379", "UNAVAILABLE", details)
    assert str(fault) == f"etcd at https://e:2379 cannot be reached: {details}"
    assert isinstance(fault, Refused)
    assert fault.outcome is Outcome.UNKNOWN
