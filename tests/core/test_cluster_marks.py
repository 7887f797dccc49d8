"""Words for restores."""

from __future__ import annotations

import pytest

from mooring.core.cluster_marks import next_restore, restore_number


@pytest.mark.parametrize(
    ("there", "here", "word"), [("", "", "1-t"), ("", "3-a", "4-t"), ("5-b", "3-a", "6-t"), ("odd", "2-a", "3-t")]
)
def test_each_restore_has_a_higher_number_than_all_that_are_known(there: str, here: str, word: str) -> None:
    """Also where the store has gone back beyond an earlier one."""
    assert next_restore(there, here, "t") == word
    assert restore_number(word) > max(restore_number(there), restore_number(here))
