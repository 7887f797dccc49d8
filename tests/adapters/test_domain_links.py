"""What is seen of links from within a domain."""

from __future__ import annotations

import os
from contextlib import closing
from ipaddress import ip_address

import pytest

from mooring.adapters.linux.domain_links import DomainLinks
from mooring.adapters.linux.links import Links
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns


def test_an_end_on_the_host_is_in_nobodys_sandbox(namespace: Namespace) -> None:
    """One in a third namespace is; without a line the host has no name in there."""
    domain, sandbox = Namespace.new(), Namespace.new()
    try:
        with domain.inside(), closing(DomainLinks(namespace.fd)) as links:
            assert links.home() is None
            for name, there in (("one", namespace), ("two", sandbox)):
                sh(f"ip link add {name} type veth peer name p{name} netns /proc/{os.getpid()}/fd/{there.fd}")
            one, two = links.find("one"), links.find("two")
            assert one is not None
            assert two is not None
            assert one.beyond is None
            assert two.beyond is not None
            assert links.home() is not None
    finally:
        domain.close()
        sandbox.close()


def test_a_line_and_the_way_out(namespace: Namespace) -> None:
    """The near end bears the mark, the far one is in the domain; the default route is seen as it was made."""
    domain = Namespace.new()
    try:
        with closing(Links()) as host:
            host.add_line("mt-5", "mooring:domain:5", "uplink", domain.fd)
            host.raise_link("mt-5")
            near = host.find("mt-5")
        assert near is not None
        assert near.ours
        assert near.alias == "mooring:domain:5"
        with domain.inside(), closing(DomainLinks(namespace.fd)) as links:
            links.raise_link("uplink")
            far = links.find("uplink")
            assert far is not None
            assert (far.up, far.mtu, near.other) == (True, 65535, far.index)
            sh("ip address add 169.254.64.11/31 dev uplink")
            assert links.routers() == set()
            for _ in range(2):
                links.set_default_route(far.index, ip_address("169.254.64.10"))
            assert links.routers() == {(far.index, ip_address("169.254.64.10"))}
    finally:
        domain.close()
