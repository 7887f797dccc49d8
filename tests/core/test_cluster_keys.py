"""Keys of what hosts agree on: what identifies a value is in its key."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mooring.core import cluster_keys as keys
from mooring.core.blocks import division

V4, V6 = ip_network("10.32.0.0/16"), ip_network("fd00::/64")


@pytest.mark.parametrize("space", ["default", "red/blue", "a b%2F"])
@pytest.mark.parametrize("subnet", [V4, V6])
def test_space_and_subnet_are_read_from_a_key_again(space: str, subnet: object) -> None:
    """Also where the text has what separates the parts."""
    assert keys.placed(keys.address_key(space, subnet, subnet[5])) == (space, subnet, subnet[5].packed.hex())  # type: ignore[arg-type,index]


def test_the_key_of_an_identity_has_the_text_of_the_key() -> None:
    """With its colon, and without a slash."""
    key = keys.identity_key("default", V4, "compose:shop/web/1")
    assert key == "key/default/0a200000p16/compose:shop%2Fweb%2F1"
    assert keys.placed(key)[2] == "compose:shop/web/1"


@pytest.mark.parametrize(("subnet", "inside", "outside"), [
    (V4, "10.32.1.31", "10.32.1.32"),
    (V6, "fd00::1ff", "fd00::200"),
])  # fmt: skip
def test_the_keys_of_a_block_are_all_that_begin_with_its_own_prefix(subnet: object, inside: str, outside: str) -> None:
    """Its last address is in, the next one is not."""
    divided = division(subnet)  # type: ignore[arg-type]
    assert divided is not None
    first = divided.first(divided.index_of(ip_address(inside)))
    prefix = keys.addresses_of_block("default", subnet, first)  # type: ignore[arg-type]
    assert keys.address_key("default", subnet, ip_address(inside)).startswith(prefix)  # type: ignore[arg-type]
    assert not keys.address_key("default", subnet, ip_address(outside)).startswith(prefix)  # type: ignore[arg-type]


def test_keys_of_blocks_sort_as_their_numbers_do() -> None:
    """A scan gives them in order."""
    made = [keys.block_key("default", V6, number) for number in (0, 9, 16, 255, 1 << 55)]
    assert made == sorted(made)


@pytest.mark.parametrize("key", ["addr/default/0a200000p16", "addr/default/xp16/00", "addr/default/0a200001p16/00"])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    """With ValueError, which readers turn into a fault."""
    with pytest.raises(ValueError):
        keys.placed(key)
