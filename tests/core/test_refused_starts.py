"""Who is started because the engine could not start him for want of us."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from mooring.core.containers import Container
from mooring.core.networks import Address
from mooring.core.refused_starts import (
    NO_DAEMON,
    NOT_SERVING,
    awaited,
    follows,
    no_such_address,
    no_such_interface,
    was_refused,
)

SAID = "failed to set up container networking: IpamDriver.RequestAddress: the cluster has to be asked"
REFUSED = Container("c" * 64, "web", running=False, created=0.0, restarts=True, failure=SAID)
SIDECAR = replace(
    REFUSED, id="d" * 64, mode="container:" + "c" * 64, failure="cannot join network of a non running container"
)


def test_who_was_refused_is_meant() -> None:
    """With the words of the refusal within those of the engine."""
    assert was_refused(REFUSED, ["something else", "the cluster has to be asked"])


@pytest.mark.parametrize(
    "other",
    [
        replace(REFUSED, running=True),
        replace(REFUSED, restarts=False),
        replace(REFUSED, failure=""),
        replace(REFUSED, failure="exec: no such file"),
    ],
    ids=["he runs", "without a restart policy", "without a failure", "for another reason"],
)
def test_nobody_else_is(other: Container) -> None:
    """What lives, what is not to run, and what failed of something else."""
    assert not was_refused(other, ["the cluster has to be asked"])


@pytest.mark.parametrize(
    ("refusal", "lacked"),
    [
        (str(no_such_address("host port 53/udp", ip_address("10.8.0.1"))), ip_address("10.8.0.1")),
        (str(no_such_address("host port 53/udp", ip_address("2001:db8::1"))), ip_address("2001:db8::1")),
        (str(no_such_interface("tap7", "VNIC 10.1.0.7 of tenant red")), "tap7"),
        ("host port 53/udp cannot be published at me: the host has no such address", None),
        ("host port 53/udp is already in use on 10.8.0.1", None),
    ],
)
def test_what_the_host_lacked_is_in_the_words(refusal: str, lacked: Address | str | None) -> None:
    """So it is known without the daemon that said them, and who failed of it is meant."""
    failed = replace(
        REFUSED, failure=f"driver failed programming external connectivity on endpoint web (e1): {refusal}"
    )
    assert awaited(failed.failure) == lacked
    assert was_refused(failed, ()) is (lacked is not None)


def test_who_has_the_network_of_another_follows_him() -> None:
    """Named by id or name; and nobody else."""
    assert follows(SIDECAR, REFUSED)
    assert follows(replace(SIDECAR, mode="container:web"), REFUSED)
    assert not follows(replace(SIDECAR, mode="container:other"), REFUSED)
    assert not follows(replace(SIDECAR, mode="web"), REFUSED)
    assert not follows(replace(SIDECAR, failure="exec: no such file"), REFUSED)
    assert not follows(replace(SIDECAR, restarts=False), REFUSED)


def test_the_units_refuse_with_the_words_that_are_looked_for() -> None:
    """What answers where there is no daemon."""
    assert NO_DAEMON in Path("packaging/systemd/mooring-away@.service").read_text()
    assert NO_DAEMON not in NOT_SERVING
