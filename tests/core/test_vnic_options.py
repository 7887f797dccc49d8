"""Which options a network of VNICs has; the refusals by name are in test_options."""

from __future__ import annotations

import pytest

from mooring.core.faults import BadRequest
from mooring.core.networks import Mode, NetworkOptions
from mooring.core.options import PARSERS
from mooring.core.vnic_options import WORDS, check_handoff, is_vnic_bridge

BRIDGE = "mb-0123456789ab"


@pytest.mark.parametrize("word", sorted(PARSERS))
def test_a_word_is_the_launchers_or_ours(word: str) -> None:
    """Nothing is ignored."""
    options = NetworkOptions(mode=Mode.HANDOFF, bridge=BRIDGE)
    if word in WORDS:
        check_handoff(options, {word: word})
    else:
        with pytest.raises(BadRequest, match=f"option {word} has no effect in mode handoff"):
            check_handoff(options, {word: word})


@pytest.mark.parametrize(
    "name", ["mb-", "mb-0123456789a", "mb-0123456789aB", "mr-0123456789ab", "", "mb-0123456789abc"]
)
def test_other_names_are_no_bridges_of_vnics(name: str) -> None:
    """Twelve hexadecimal digits follow."""
    assert is_vnic_bridge(BRIDGE)
    assert not is_vnic_bridge(name)
