"""What forms have in common: text and back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.networks import Address
from mooring.wire.forms import elements
from tests.wire.records import ADDRESS, V4_INTERFACE, V6_INTERFACE


@given(st.none() | ADDRESS)
def test_an_address_or_none_is_text_and_back(address: Address | None) -> None:
    """Nothing is lost, and no address has the text that stands for none."""
    text = elements.text_of(address)
    assert elements.address_of(text) == address
    assert (text == "") == (address is None)


@given(V4_INTERFACE | V6_INTERFACE)
def test_an_interface_is_text_and_back(interface: object) -> None:
    """The prefix length is kept, a full one too."""
    assert elements.interface_of(elements.text_of(interface)) == interface


@pytest.mark.parametrize(
    "read", [elements.address_of, elements.v4_of, elements.v6_of, elements.interface_of], ids=lambda each: each.__name__
)
def test_what_is_no_address_is_a_value_error(read: Callable[[str], object]) -> None:
    """So that the reader of a record can tell damage from None."""
    assert read("") is None
    with pytest.raises(ValueError, match="x"):
        read("x")


def test_the_last_part_of_a_key_is_the_id() -> None:
    """Also when the id has a slash or what is not ASCII."""
    assert elements.id_of("endpoint/n/a%2Fb%C3%BC") == "a/bü"
