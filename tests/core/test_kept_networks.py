"""What a network leaves, and how long that lasts."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import msgspec

from mooring.core import kept_networks
from mooring.core.kept_networks import KeptNetwork, kept_address_of, left_by, living
from mooring.core.leases import Active, Lease, State
from mooring.core.networks import Network, NetworkOptions
from mooring.core.pools import Pool

NET4, NET6 = ip_network("10.0.0.0/24"), ip_network("fd00::/64")


def lease(address: str, key: str = "key:db", **more: object) -> Lease:
    """A fixed lease."""
    fields = {"state": State.FIXED, "key": key, "mac": "02:00:00:00:00:01", "name": "db"} | more
    return Lease(space="default", address=ip_address(address), pool="p", since=1.0, **fields)  # type: ignore[arg-type]


def left(known: KeptNetwork | None, subnet: str, *leases: Lease) -> KeptNetwork | None:
    """The kept network at the time 100, with a hold time of 60."""
    network = Network("n1", NetworkOptions(), False, (), (), 0.0, name="web")
    pool = Pool(id="p", space="default", subnet=ip_network(subnet), created=0.0)
    return left_by(known, network, pool, leases, 100.0, 60.0)


def test_what_is_held_waits_from_now_on_and_what_waits_goes_on() -> None:
    """The lease's own hold time is before the host's; what is over stays nowhere."""
    held = kept_address_of(lease("10.0.0.2", holders=frozenset({"c"})), 100.0, 60.0)
    own = kept_address_of(lease("10.0.0.2", active=Active("e", "h", "b"), hold=5.0, until=101.0), 100.0, 60.0)
    waits = kept_address_of(lease("10.0.0.2", until=130.0), 100.0, 60.0)
    assert [each.until for each in (held, own, waits) if each is not None] == [160.0, 105.0, 130.0]
    assert kept_address_of(lease("10.0.0.2", until=99.0), 100.0, 60.0) is None


def test_what_has_no_key_or_is_a_containers_own_is_not_left() -> None:
    """A container's own address goes when the container does, and that may be unheard by then."""
    assert kept_address_of(lease("10.0.0.2", state=State.DYNAMIC, key=""), 100.0, 60.0) is None
    assert kept_address_of(lease("10.0.0.2", key="container:intent:i1"), 100.0, 60.0) is None
    assert kept_address_of(lease("10.0.0.2", key="container:c1", holders=frozenset({"c1"})), 100.0, 60.0) is None
    assert left(None, "10.0.0.0/24", lease("10.0.0.1", state=State.GATEWAY, key="")) is None


def test_subnets_leave_one_after_the_other() -> None:
    """Each adds to what is there, and coming twice changes nothing."""
    first = left(None, "10.0.0.0/24", lease("10.0.0.2"))
    both = left(first, "fd00::/64", lease("fd00::2"))
    assert both is not None
    assert both.subnets == (NET4, NET6)
    assert [str(each.address) for each in both.kept_addresses] == ["10.0.0.2", "fd00::2"]
    assert left(both, "fd00::/64", lease("fd00::2")) == both
    assert left(both, "10.1.0.0/24") is both


def test_memory_is_bounded() -> None:
    """The newest are kept."""
    assert kept_networks.MOST_ADDRESSES >= 1024
    many = [lease(str(ip_address("10.0.0.0") + n), f"key:{n}", until=110.0 + n) for n in range(5000)]
    kept_network = left(None, "10.0.0.0/16", *many)
    assert kept_network is not None
    assert len(kept_network.kept_addresses) == kept_networks.MOST_ADDRESSES
    assert min(each.until for each in kept_network.kept_addresses) == 110.0 + 5000 - kept_networks.MOST_ADDRESSES


def test_it_shrinks_and_ends() -> None:
    """A subnet without anything in it is nobody's; the end of the last address is that of the kept network."""
    kept_network = left(
        left(None, "10.0.0.0/24", lease("10.0.0.2", until=120.0)), "fd00::/64", lease("fd00::2", until=150.0)
    )
    assert kept_network is not None
    assert kept_network.until == 150.0
    later = living(kept_network, 130.0)
    assert later is not None
    assert later.subnets == (NET6,)
    assert living(kept_network, 150.0) is None


def test_what_is_kept_says_of_which_network_and_for_whom() -> None:
    """All that the next network of the name needs."""
    kept = left(None, "10.0.0.0/24", lease("10.0.0.2", hold=5.0))
    assert kept is not None
    assert (kept.id, kept.name, kept.space, kept.since) == ("n1", "web", "default", 100.0)
    (address,) = kept.kept_addresses
    assert (address.key, address.mac, address.name, address.hold) == ("key:db", "02:00:00:00:00:01", "db", 5.0)
    later = left(msgspec.structs.replace(kept, since=1.0), "fd00::/64", lease("fd00::2"))
    assert later is not None
    assert later.since == 1.0


def test_what_ends_at_this_moment_is_not_kept() -> None:
    """Nor what was never fixed, whatever key it has."""
    assert kept_address_of(lease("10.0.0.2", until=100.0), 100.0, 60.0) is None
    assert kept_address_of(lease("10.0.0.2", state=State.DYNAMIC), 100.0, 60.0) is None
