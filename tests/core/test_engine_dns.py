"""`dns` in the engine's configuration file: changed in place, and put back as it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.core.engine_dns import (
    names_our_server,
    nameservers_in,
    value_in,
    with_our_server,
    with_value,
    without_our_server,
    written,
)
from mooring.core.faults import BadRequest

OURS = "169.254.53.53"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "dns": ["a"]\n}\n'),
        (" {} \n", '{\n  "dns": ["a"]\n}\n'),
        ('{\n    "debug": true\n}\n', '{\n    "debug": true,\n    "dns": ["a"]\n}\n'),
        ('{"debug":true}', '{"debug":true, "dns": ["a"]}'),
        ('{\n\t"a": "}",\n\t"b": {"dns": 1}\n}', '{\n\t"a": "}",\n\t"b": {"dns": 1},\n\t"dns": ["a"]\n}'),
        ('{"a": 1, "b": [2] }', '{"a": 1, "b": [2], "dns": ["a"] }'),
        ('{\n "dns" :\n [ "b" ],\n "c": 1\n}', '{\n "dns" :\n ["a"],\n "c": 1\n}'),
    ],
)
def test_everything_else_of_the_file_stays_as_it_is(before: str, after: str) -> None:
    """Order, indents, and what looks alike in another place."""
    assert with_value(before, '["a"]') == after
    old = value_in(before)
    again = with_value(after, old)
    assert again == before or (old is None and not before.strip(" \n{}") and json.loads(again) == {})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"dns": [], "b": 1}', '{"b": 1}'),
        ('{"a": 1,\n "dns": [],\n "b": 1}', '{"a": 1,\n "b": 1}'),
        ('{ "dns": [] }', "{}"),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
def test_it_can_be_taken_out(before: str, after: str) -> None:
    """From every place."""
    assert with_value(before, None) == after


_TEXTS = st.text(max_size=4)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=40)
@given(st.dictionaries(_TEXTS.filter(lambda each: each != "dns"), _VALUES, max_size=4),
       st.sampled_from([None, 1, 4]), st.booleans())  # fmt: skip
def test_there_and_back_is_where_it_began(content: dict[str, object], indent: int | None, escaped: bool) -> None:
    """Whatever is in the file, however it is written."""
    text = json.dumps(content, indent=indent, ensure_ascii=escaped)
    changed = with_value(text, written([OURS]))
    assert json.loads(changed) == {**content, "dns": [OURS]}
    assert list(json.loads(changed))[:-1] == list(content)
    assert with_value(changed, None) == text or (not content and json.loads(with_value(changed, None)) == {})


def test_our_server_is_the_first_and_there_once() -> None:
    """Wherever it was."""
    assert with_our_server(["10.0.0.2", OURS, "10.0.0.2"]) == (OURS, "10.0.0.2")
    assert without_our_server([OURS, "10.0.0.2", "fd6d:6f6f:7269:6e67:ffff::53"]) == ("10.0.0.2",)
    assert names_our_server(f'{{"dns": ["1.1.1.1", "{OURS}"]}}')
    assert not names_our_server('{"dns": ["1.1.1.1"]}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is not JSON"),
        ("[]", "it is no JSON object"),
        ('{"dns": "1.1.1.1"}', '"dns" is no list of addresses'),
        ('{"dns": [1]}', '"dns" is no list of addresses'),
    ],
)
def test_what_dockerd_would_not_take_is_told(text: str, said: str) -> None:
    """In one line; and it names nobody's server."""
    with pytest.raises(BadRequest, match=said):
        nameservers_in(text)
    assert not names_our_server(text)


def test_a_key_that_is_there_twice_is_not_chosen_from() -> None:
    """dockerd takes the last, and a person means who knows which."""
    with pytest.raises(BadRequest, match="twice"):
        with_value('{"dns": [], "dns": []}', '["a"]')
