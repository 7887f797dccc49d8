"""Words for restores."""

from __future__ import annotations

import pytest

from mooring.core.cluster_marks import is_over, next_restore, restore_number


@pytest.mark.parametrize(
    ("there", "here", "word"), [("", "", "1-t"), ("", "3-a", "4-t"), ("5-b", "3-a", "6-t"), ("odd", "2-a", "3-t")]
)
def test_each_restore_has_a_higher_number_than_all_that_are_known(there: str, here: str, word: str) -> None:
    """Also where the store has gone back beyond an earlier one."""
    assert next_restore(there, here, "t") == word
    assert restore_number(word) > max(restore_number(there), restore_number(here))


@pytest.mark.parametrize(
    ("key", "over"),
    [("restores/3-a/h1", True), ("restores/2-b/h1", True), ("restores/3-b/h1", False), ("restores/4-c/h1", False)],
)
def test_what_is_said_of_a_restore_is_over_with_it_or_a_later_one(key: str, over: bool) -> None:
    """What is said of one that somebody else has found out just now counts."""
    assert is_over(key, "3-a") is over
