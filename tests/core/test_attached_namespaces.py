"""What is known of an attached namespace without a record, and what it is told to have."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from mooring.core.attached_namespaces import (
    described,
    endpoint_of,
    facts_of,
    is_namespaces,
    namespace_name,
    sandbox_key,
)
from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint
from mooring.core.namespace_views import NamespaceView
from mooring.core.sandboxes import NamespaceAddress, NamespaceFact, NamespaceLink, NamespaceRoute


def test_the_endpoint_follows_from_network_and_namespace() -> None:
    """So attaching twice is once; no id of an engine's looks so, and the interface's name shows it."""
    one = endpoint_of("a" * 64, "boot:7")
    assert one == endpoint_of("a" * 64, "boot:7")
    assert len({one, endpoint_of("b" * 64, "boot:7"), endpoint_of("a" * 64, "boot:8")}) == 3
    assert is_namespaces(one)
    assert host_end(one).startswith("mv-ns-")
    assert len(host_end(one)) <= 15
    assert not is_namespaces("0123456789ab" * 5)
    assert sandbox_key("boot:7") == "namespace:boot:7"


def test_one_that_only_the_kernel_remembers_is_called_by_its_id() -> None:
    """A lost store has lost its name."""
    known = Endpoint(endpoint_of("a" * 64, "boot:7"), "a" * 64, None, None, "", 1.0, name="lab-1")
    assert namespace_name(known) == "namespace lab-1"
    assert namespace_name(replace(known, name="")) == f"namespace {known.id[:12]}"


def test_what_is_to_be_inside_goes_over_the_wire_and_back() -> None:
    """Interfaces with their addresses, and routes with and without a next hop."""
    facts: set[NamespaceFact] = {
        NamespaceLink("net/ns-1", "eth0", "mp-ns-1", "02:00:00:00:00:01", True, False),
        NamespaceLink("net/ns-2", "eth1", "mp-ns-2", "02:00:00:00:00:02", False, False),
        NamespaceAddress("eth0", ip_interface("10.32.0.2/24")),
        NamespaceAddress("eth0", ip_interface("fd00::2/64")),
        NamespaceAddress("eth1", ip_interface("10.33.0.2/24")),
        NamespaceRoute(ip_network("0.0.0.0/0"), ip_address("10.32.0.1"), "eth0"),
        NamespaceRoute(ip_network("10.9.0.0/16"), None, "eth1"),
    }
    interfaces, routes = described(facts)
    view = NamespaceView("lab-1", "net", "web", "ns-1", [], True, interfaces, routes)
    assert facts_of(view) == facts
    assert {link.source for link in facts_of(view) if isinstance(link, NamespaceLink)} == {"mp-ns-1", "mp-ns-2"}
