"""An endpoint's driver options: kept, left to the engine, or refused by name."""

from __future__ import annotations

import pytest

from mooring.core.endpoint_options import ENDPOINT_IFNAME, ENDPOINT_SYSCTLS, SUBNET, parse_endpoint_options
from mooring.core.faults import BadRequest


def test_endpoint_options_of_the_engine_are_left_to_it() -> None:
    """Lists and the engine's own keys ask nothing; the interface's sysctls are applied by the engine."""
    raw: dict[str, object] = {
        "com.docker.network.endpoint.exposedports": [],
        "com.docker.network.portmap": [],
        "com.docker.network.endpoint.dnsservers": ["1.1.1.1"],
        "com.docker.network.endpoint.macaddress": "AgAAAACq",
        "com.docker.network.driver.private.no_proxy_6to4": False,
        "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1",
    }
    assert parse_endpoint_options(raw) == {ENDPOINT_SYSCTLS: "net.ipv4.conf.IFNAME.log_martians=1"}


@pytest.mark.parametrize("name", ["foo0", "a", "eth0.100", "...", "x" * 15])
def test_the_name_of_an_interface_is_kept(name: str) -> None:
    """Whether the engine honours it is for the driver to say."""
    assert parse_endpoint_options({ENDPOINT_IFNAME: name}) == {ENDPOINT_IFNAME: name}


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 16, "a/b", "a:b", "a b", "a\n", "\u00e9th"])
def test_what_the_kernel_takes_for_no_interface_name_is_refused(name: str) -> None:
    """linux/net/core/dev.c, dev_valid_name."""
    with pytest.raises(BadRequest, match="not the name of an interface"):
        parse_endpoint_options({ENDPOINT_IFNAME: name})


def test_endpoint_options_that_would_be_ignored_are_refused() -> None:
    """An unknown option is heard by nobody."""
    with pytest.raises(BadRequest, match="unknown endpoint option epk"):
        parse_endpoint_options({"epk": "epv"})


@pytest.mark.parametrize("text", ["10.1.0.0", "10.1.0.7/24", "x", ""])
def test_a_subnet_that_is_none_is_refused(text: str) -> None:
    """By the option's name."""
    with pytest.raises(BadRequest, match=SUBNET):
        parse_endpoint_options({SUBNET: text})
