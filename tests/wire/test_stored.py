"""Keys and stored records: what is written is read back, what is newer or damaged is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.faults import BadRequest, Unavailable
from mooring.core.leases import Lease, State
from mooring.core.networks import Address
from mooring.core.pools import Pool
from mooring.wire import stored
from mooring.wire.forms import elements, pools
from tests.wire.records import ADDRESS, IDENT, RECORDS


def lease(space: str = "default", mac: str = "", name: str = "") -> Lease:
    """A dynamic lease."""
    address = IPv4Address("10.0.0.1")
    return Lease(space=space, address=address, pool="p", state=State.DYNAMIC, since=1.0, mac=mac, name=name)


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record: stored.Record) -> None:
    """Key and value together give the same record again, whatever text it has."""
    key = stored.key_of(record)
    assert stored.decode(key, stored.encode(record)) == record


@given(RECORDS)
def test_equal_records_have_equal_bytes(record: stored.Record) -> None:
    """What was read and is written again does not change, also where a set has no order."""
    value = stored.encode(record)
    assert stored.encode(stored.decode(stored.key_of(record), value)) == value


@given(st.lists(RECORDS, unique_by=lambda record: (type(record), stored.key_of(record))))
def test_each_kind_is_found_under_one_prefix(records: list[stored.Record]) -> None:
    """Every key is plain ASCII and begins with exactly one of the prefixes."""
    for record in records:
        key = stored.key_of(record)
        assert key.isascii()
        assert sum(key.startswith(prefix) for prefix in stored.PREFIXES) == 1


@given(IDENT, IDENT, IDENT, IDENT)
def test_different_names_have_different_keys(one: str, two: str, three: str, four: str) -> None:
    """No text in a name, slashes and per cent signs included, makes two things share a key."""
    assert (stored.endpoint_key(one, two) == stored.endpoint_key(three, four)) == ((one, two) == (three, four))
    assert (stored.pool_key(one) == stored.pool_key(two)) == (one == two)
    address = IPv4Address(1)
    assert (stored.lease_key(one, address) == stored.lease_key(two, address)) == (one == two)


@given(ADDRESS, ADDRESS)
def test_leases_sort_as_their_addresses_do(one: Address, two: Address) -> None:
    """Within a space and family, the order of keys is the order of addresses."""
    if one.version == two.version:
        smaller = int(one) < int(two)
        assert (stored.lease_key("s", one) < stored.lease_key("s", two)) == smaller


def test_keys_are_as_documented() -> None:
    """The layout of the keyspace does not change by accident."""
    assert stored.PREFIXES == (
        "engine/", "deny/", "dns/", "estate/", "subnet-pool/", "vnic/", "mark/", "shared/", "left/", "block/", "claim/",
        "cluster-network/", "pool/", "network/", "port/", "sandbox/", "holder/", "intent/", "move/", "endpoint/",
        "lease/",
    )  # fmt: skip
    subnet, address = IPv4Network("10.32.0.0/16"), IPv4Address("10.32.0.5")
    assert stored.shared_key("a/b", subnet) == "shared/a%2Fb/0a200000p16"
    assert stored.host_block_key("a/b", subnet, 17) == "block/a%2Fb/0a200000p16/11"
    assert stored.host_claim_key("a/b", subnet, address) == "claim/a%2Fb/0a200000p16/0a200005"
    assert stored.host_network_key("n/1") == "cluster-network/n%2F1"
    assert stored.engine_key("ABCD:EFGH") == "engine/ABCD:EFGH"
    assert stored.pool_key("8f3a") == "pool/8f3a"
    assert stored.subnet_pool_key("lab") == "subnet-pool/lab"
    assert stored.network_key("n/1") == "network/n%2F1"
    assert stored.network_port_key("p1") == "port/p1"
    assert stored.sandbox_key("s/1") == "sandbox/s%2F1"
    assert stored.holder_key("c1") == "holder/c1"
    assert stored.intent_key("i1") == "intent/i1"
    assert stored.move_key("c/1", "n1") == "move/c%2F1/n1"
    assert (
        stored.vnic_key("a/b", IPv4Network("10.8.0.0/16"), IPv4Address("10.8.0.5")) == "vnic/a%2Fb/0a080000p16/0a080005"
    )
    assert stored.deny_key(IPv4Network("10.8.0.0/16")) == "deny/4/0a080000p16"
    assert stored.endpoint_key("n", "e") == "endpoint/n/e"
    assert stored.lease_key("a b/ü", IPv4Address("10.0.0.1")) == "lease/a%20b%2F%C3%BC/4/0a000001"
    assert stored.lease_key("s", IPv6Address("fd00::1")) == "lease/s/6/fd000000000000000000000000000001"


def test_a_lease_is_written_as_documented() -> None:
    """What has its default is left out, and the version comes first."""
    assert stored.encode(lease(mac="02:00:00:00:00:01")).startswith(
        b'{"v":1,"pool":"p","state":"dynamic","since":1.0,"mac":"02:00:00:00:00:01"'
    )


@pytest.mark.parametrize("call", [stored.encode, stored.key_of])
def test_what_is_not_text_is_refused(call: object) -> None:
    """A lone surrogate cannot be stored, in keys or values."""
    assert callable(call)
    with pytest.raises(BadRequest, match="Unicode"):
        call(lease(space="\ud800", name="\ud800"))


@pytest.mark.parametrize(
    ("kind", "latest"),
    [
        ("pool/a", 1),
        ("subnet-pool/a", 1),
        ("network/a", 6),
        ("holder/a", 2),
        ("intent/a", 1),
        ("sandbox/a", 1),
        ("endpoint/a/b", 3),
        ("lease/a/4/0a000001", 1),
    ],
)
def test_a_newer_record_is_refused(kind: str, latest: int) -> None:
    """The fault names the record, both versions, and what to do."""
    with pytest.raises(Unavailable) as caught:
        stored.decode(kind, b'{"v":%d,"whatever":[1]}' % (latest + 1))
    assert str(caught.value).startswith(
        f"record {kind} has version {latest + 1}, this Mooring reads up to {latest}; install the newer"
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"v":"x"}',
        b'{"v":0}',
        b'{"v":1}',
        b'{"v":1,"pool":"p","state":"nonsense","since":1.0}',
        b'{"v":1,"pool":"p","state":"dynamic","since":"x"}',
        b'{"v":1,"pool":"p","state":"dynamic","since":1.0,"surprise":1}',
        b'{"v":1,"pool":"p","state":"dynamic","since":1.0',
    ],
)
def test_a_damaged_value_is_refused(value: bytes) -> None:
    """A field more or less, a wrong type or no JSON at all: a fault of one line that names the record."""
    with pytest.raises(Unavailable, match="record lease/s/4/0a000001 cannot be read") as caught:
        stored.decode("lease/s/4/0a000001", value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "lease", "lease/s/4/xyz", "lease/s/4/fffffffff", "lease//", "lease/s", "else/x"])
def test_a_damaged_key_is_refused(key: str) -> None:
    """A key that names nothing is a fault, not a crash."""
    with pytest.raises(Unavailable):
        stored.decode(key, stored.encode(lease()))


@pytest.mark.parametrize("subnet", ["10.0.0.1/8", "", "x"])
def test_a_subnet_that_is_none_is_refused(subnet: str) -> None:
    """Text that is no subnet is damage."""
    with pytest.raises(Unavailable, match="cannot be read"):
        stored.decode("pool/a", msgspec.json.encode({"v": 1, "space": "s", "subnet": subnet}))


class PoolV2(elements.Stored, tag=2):
    """What a second version of a stored pool might look like."""

    where: str

    def record(self, key: str) -> Pool:
        """A pool of today."""
        return pools.PoolV1(space=self.where, subnet="10.0.0.0/8").record(key)


def test_every_past_version_is_read() -> None:
    """A reader with two versions reads both into today's record, and refuses the third."""
    reader = stored.Reader[Pool]([pools.PoolV1, PoolV2])
    old = reader.read("pool/a", b'{"v":1,"space":"s","subnet":"10.0.0.0/8"}')
    assert reader.read("pool/a", b'{"v":2,"where":"s"}') == old
    with pytest.raises(Unavailable, match="version 3, this Mooring reads up to 2"):
        reader.read("pool/a", b'{"v":3}')
