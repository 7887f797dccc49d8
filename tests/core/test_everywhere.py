"""Networks that every host is to have: what may be asked for, and what counts as the same."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import msgspec
import pytest

from mooring.core.containers import EngineSubnet
from mooring.core.everywhere import NetworkEverywhere, check_alike, checked
from mooring.core.faults import BadRequest, Conflict

SUBNET = EngineSubnet(ip_network("10.40.0.0/24"))
ASKED = NetworkEverywhere(name="app", id="", subnets=(SUBNET,), options={})


def test_it_is_one_of_the_cluster_though_no_option_says_so() -> None:
    """Tunnels say so already."""
    assert checked(ASKED).options == {"scope": "cluster"}
    assert checked(msgspec.structs.replace(ASKED, options={"mode": "vxlan"})).options == {"mode": "vxlan"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "-x"}, "is no name for a network"),
        ({"name": ""}, "is no name for a network"),
        ({"subnets": ()}, "needs a subnet"),
        ({"subnets": (SUBNET, EngineSubnet(ip_network("10.41.0.0/24")))}, "one subnet a family"),
        (
            {"subnets": (EngineSubnet(ip_network("10.40.0.0/24"), gateway=ip_address("10.41.0.1")),)},
            "gateway 10.41.0.1",
        ),
        ({"subnets": (replace(SUBNET, range=ip_network("10.40.0.0/16")),)}, "range 10.40.0.0/16"),
        ({"options": {"scope": "local"}}, "scope=local"),
        ({"options": {"mode": "null"}}, "not for mode null"),
        ({"labels": {"a": "x" * 40000}}, "more than 32768 characters"),
        ({"options": {"nonsense": "1"}}, "unknown network option nonsense"),
    ],
)
def test_what_no_host_could_make_is_refused_at_once(changes: dict[str, object], text: str) -> None:
    """Before any host is asked."""
    with pytest.raises(BadRequest, match=text):
        checked(msgspec.structs.replace(ASKED, **changes))


def test_another_network_of_the_name_is_refused_with_what_it_has() -> None:
    """The one that was asked for is no other."""
    found = checked(ASKED).for_engine("mooring")
    check_alike(found, checked(ASKED), ("mooring",))
    for other, text in (
        (replace(found, driver="bridge"), "driver bridge"),
        (replace(found, subnets=()), "subnet none"),
        (replace(found, internal=True), "internal"),
        (replace(found, options={}), "scope none"),
    ):
        with pytest.raises(Conflict, match=f"a network app is there already, with {text}"):
            check_alike(other, checked(ASKED), ("mooring",))


def test_another_gateway_is_another_network_where_both_are_known() -> None:
    """An engine does not tell those that it was not told."""
    asked = msgspec.structs.replace(ASKED, subnets=(replace(SUBNET, gateway=ip_address("10.40.0.254")),))
    for found, other in ((ASKED, asked), (asked, ASKED), (asked, asked)):
        check_alike(found.for_engine("mooring"), other, ["mooring"])
    theirs = msgspec.structs.replace(ASKED, subnets=(replace(SUBNET, gateway=ip_address("10.40.0.1")),))
    with pytest.raises(Conflict, match=r"with gateway 10\.40\.0\.1"):
        check_alike(theirs.for_engine("mooring"), asked, ["mooring"])
