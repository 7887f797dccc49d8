"""For whom a reservation is."""

from __future__ import annotations

import pytest

from mooring.core.faults import BadRequest
from mooring.core.whom import HOST, container_of, for_container, id_given, is_one, means, whom_in_words

DB = "d" * 64


@pytest.mark.parametrize(
    ("whom", "meant"),
    [
        ("db", True),
        ("d*", True),
        ("team=a", True),
        ("team!=b,tier=x", False),
        (DB, True),
        (for_container(DB), True),
        (for_container("e" * 64), False),
        (DB[:12], False),
        (HOST, False),
        ("", False),
    ],
)
def test_a_container_is_meant_by_name_pattern_labels_or_full_id(whom: str, meant: bool) -> None:
    """The beginning of an id is that of many."""
    assert means(whom, "/db", {"team": "a"}, DB) is meant


def test_who_is_not_known_is_not_meant() -> None:
    """An engine that tells neither name nor id proves nothing."""
    assert not means(for_container(DB), "", {}, "")
    assert not means("*", "", {}, "")


@pytest.mark.parametrize(
    ("whom", "one", "words"),
    [
        ("db", True, "db"),
        (for_container(DB), True, "container dddddddddddd"),
        (HOST, True, "this host"),
        ("", False, "no container"),
        ("web-*", False, "web-*"),
        ("web-[12]", False, "web-[12]"),
        ("a=b", False, "a=b"),
    ],
)
def test_one_id_is_told_from_many(whom: str, one: bool, words: str) -> None:
    """Patterns and labels are nobody's id."""
    assert (is_one(whom), whom_in_words(whom)) == (one, words)


def test_the_container_is_found_again() -> None:
    """By its full id, and only where it is said."""
    assert (container_of(for_container(DB)), container_of("db")) == (DB, "")


@pytest.mark.parametrize("text", ["lab-1", "_", DB, "weave:expose", "a.b_c:d", "0" * 128])
def test_an_id_may_be_what_others_use(text: str) -> None:
    """Containers' ids and names, pods, Weave's own."""
    assert id_given(text) == text


@pytest.mark.parametrize("text", ["", "a b", "web-*", "a=b", "é", "-x", "0" * 129, "a/b", for_container(DB), HOST])
def test_what_means_something_else_is_no_id(text: str) -> None:
    """A pattern would be a reservation for many; our own words are ours."""
    with pytest.raises(BadRequest, match="cannot be an ID"):
        id_given(text)
