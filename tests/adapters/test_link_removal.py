"""Links on their way out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.adapters.linux.link_removal import Discards
from mooring.adapters.linux.links import Links
from mooring.adapters.netlink.ownership import Owner
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns


@pytest.fixture
def links(namespace: Namespace) -> Iterator[Links]:
    """Three links of ours, one foreign, in a namespace of its own."""
    sh(*(f"ip link add b{number} type bridge" for number in range(4)))
    sh(*(f"ip link set b{number} alias mooring:x" for number in range(3)))
    made = Links()
    yield made
    made.close()


def test_only_ours_among_the_names_go(links: Links) -> None:
    """Foreign and unknown names are passed over; what is pending is doomed until it is gone."""
    discards = Discards()
    discards.add(["b0", "b1", "b3", "unknown"])
    assert discards.doomed() == {"b0", "b1", "b3", "unknown"}
    discards.flush(links)
    assert discards.doomed() == frozenset()
    assert [links.find(f"b{number}") is None for number in range(4)] == [True, True, False, False]


def test_each_owner_deletes_his_own_only(links: Links) -> None:
    """The same names in another owner's hands are passed over."""
    theirs = Links(Owner("web"))
    sh("ip link set b3 alias mooring.web:x")
    for whose, left in ((theirs, [True, False]), (links, [False, False])):
        discards = Discards()
        discards.add(["b0", "b3"])
        discards.flush(whose)
        assert [links.find(name) is not None for name in ("b0", "b3")] == left
    theirs.close()


def test_settling_a_name_deletes_what_is_pending(links: Links) -> None:
    """Who wants the name does not wait for the next flush; a name that is not doomed costs nothing."""
    discards = Discards()
    discards.add(["b0"])
    discards.finish("b2", links)
    assert links.find("b0") is not None
    discards.finish("b0", links)
    assert links.find("b0") is None


def test_settling_a_name_waits_for_a_deletion_under_way(links: Links) -> None:
    """Another thread deletes; when settle returns, the name is free."""
    discards = Discards()
    discards.add(["b0", "b1", "b2"])
    other = Links()
    with ThreadPoolExecutor(1) as pool:
        flush = pool.submit(discards.flush, other)
        for name in ("b0", "b1", "b2"):
            discards.finish(name, links)
            assert links.find(name) is None
        flush.result()
    other.close()
