"""What a sandbox may be and may join."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.core.faults import BadRequest, Conflict
from mooring.core.requests import SandboxSpec
from mooring.core.sandboxes import Kind
from mooring.services.sandboxes.sandbox_rules import blank, described, must_fit, place_of, requested
from tests.contracts.test_drivers import NETWORK

OWN = blank("a" * 64, SandboxSpec(), 0.0)
THE_HOST = blank("b" * 64, SandboxSpec(kind=Kind.HOST), 0.0)


def test_what_never_changes() -> None:
    """A name of its own when none is wished for; a path only where somebody else made the namespace."""
    assert (OWN.name, OWN.kind, OWN.path) == ("a" * 12, Kind.OWN, "")
    assert blank("c", SandboxSpec("box", Kind.EXTERNAL, "/ns/x"), 0.0).path == "/ns/x"
    with pytest.raises(BadRequest, match="only an external sandbox has a path"):
        blank("c", SandboxSpec(path="/ns/x"), 0.0)


def test_files_are_in_the_folder_unless_they_are_placed() -> None:
    """Each path by itself."""
    made = requested(OWN, SandboxSpec(hosts_path="/srv/hosts"), "/run/x")
    assert (made.hosts_path, made.resolv_conf_path) == ("/srv/hosts", f"/run/x/{OWN.id}/resolv.conf")


def test_places_are_told_apart() -> None:
    """There is one host; a namespace is its path, and a sandbox without one is its own."""
    external = replace(OWN, kind=Kind.EXTERNAL, path="/ns/x")
    assert [place_of(each) for each in (THE_HOST, external, OWN)] == ["the host", "/ns/x", f"sandbox:{OWN.id}"]
    assert described(external) == "the namespace /ns/x"


@pytest.mark.parametrize(
    ("kind", "driver", "fits"),
    [
        (Kind.OWN, "bridge", True),
        (Kind.OWN, "null", True),
        (Kind.OWN, "weave", True),
        (Kind.OWN, "host", False),
        (Kind.EXTERNAL, "host", False),
        (Kind.HOST, "host", True),
        (Kind.HOST, "null", True),
        (Kind.HOST, "weave", True),  # known when the driver has answered
        (Kind.HOST, "bridge", False),
    ],
)
def test_which_network_fits_which_sandbox(kind: Kind, driver: str, fits: bool) -> None:
    """An interface has no place in the host's own namespace, and the host's network none elsewhere."""
    sandbox, network = replace(OWN, kind=kind), replace(NETWORK, driver=driver)
    if fits:
        must_fit(sandbox, network)
    else:
        with pytest.raises(Conflict):
            must_fit(sandbox, network)
