"""Entries are found by each of their names and addresses, and by none that they had before."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.host_names import Entry
from mooring.services.containers.name_index import NameIndex


def entry(names: str, *addresses: str) -> Entry:
    """In the network `web`."""
    return Entry(tuple(names.split()), tuple(map(ip_address, addresses)), "web")


def test_an_entry_that_is_put_again_has_its_new_names_alone() -> None:
    """Others of the same name stay; what changes nothing says so, and is not counted."""
    index, first, other = NameIndex(), entry("db main", "10.0.0.2"), entry("db", "10.0.0.3", "fd00::3")
    assert index.put("e1", "w1", first)
    assert index.put("e2", "w1", other)
    assert set(index.named("w1", "db")) == {first, other}
    changes = index.changes
    assert not index.put("e1", "w1", first)
    assert index.changes == changes
    moved = entry("db", "10.0.0.4")
    assert index.put("e1", "w2", moved)
    assert index.changes > changes
    assert (list(index.named("w1", "main")), list(index.named("w1", "db"))) == ([], [other])
    assert list(index.at(ip_address("10.0.0.2"))) == []
    assert list(index.at(ip_address("10.0.0.4"))) == [("w2", moved)]
    assert index.rows() == [("e2", "w1", other), ("e1", "w2", moved)]


def test_an_entry_that_is_taken_is_found_nowhere() -> None:
    """Once; and who is not there is taken by nobody."""
    index = NameIndex()
    index.put("e1", "w1", entry("db", "10.0.0.2"))
    assert index.take("e1")
    assert not index.take("e1")
    assert index.get("e1") is None
    assert (list(index.named("w1", "db")), list(index.at(ip_address("10.0.0.2"))), index.rows()) == ([], [], [])


def test_a_network_is_found_by_the_last_name_that_it_had() -> None:
    """Two may have the same one; one without a name is called by its id."""
    index = NameIndex()
    assert index.call("w1" * 32, "web")
    assert not index.call("w1" * 32, "web")
    assert index.call("w2" * 32, "web")
    assert set(index.networks_named("web")) == {"w1" * 32, "w2" * 32}
    assert index.call("w1" * 32, "shop")
    index.forget_network("w2" * 32)
    assert list(index.networks_named("web")) == []
    assert index.is_called("w1" * 32)
    assert not index.is_called("w2" * 32)
    assert (index.network_name("w1" * 32), index.network_name("w2" * 32)) == ("shop", "w2w2w2w2w2w2")
