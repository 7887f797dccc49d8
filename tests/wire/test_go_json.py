"""JSON as Go reads it: held to a model that parses everything, on texts with keys that come twice and in any case."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.wire.go_json import LARGEST, MAPS, Unread, read, with_value

Tree = dict[str, "Tree"] | str | None
Text = list[tuple[str, "Text"]] | str | int | None

NAMES = ("EndpointsConfig", "endpointsCONFIG", "IPAMConfig", "ipamconfig", "Name", "NAME", "web", "WEB")


def texts() -> st.SearchStrategy[Text]:
    """Objects as lists of members, so that a name may come twice."""
    return st.recursive(
        st.none() | st.sampled_from(["a", "b"]) | st.just(7),
        lambda inner: st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=4),
        max_leaves=12,
    )


OBJECTS = st.lists(st.tuples(st.sampled_from(NAMES), texts()), max_size=5)


def written(text: Text, spaces: str) -> str:
    """As JSON."""
    if isinstance(text, list):
        return (
            "{" + ",".join(f"{spaces}{json.dumps(name)}{spaces}:{written(value, spaces)}" for name, value in text) + "}"
        )
    return f"{spaces}{json.dumps(text)}{spaces}"


def put(tree: dict[str, Tree], members: Sequence[tuple[str, Text]], exact: bool) -> None:
    """Decode the members into the structure or map, as Go does. Names of structures are kept in small letters."""
    for name, value in members:
        key = name if exact else name.lower()
        if isinstance(value, list):
            is_map = not exact and key in {each.lower() for each in MAPS}
            before = tree.get(key)
            inside: dict[str, Tree] = before if isinstance(before, dict) and not exact else {}
            put(inside, value, is_map)
            tree[key] = inside
        elif value is None:
            if exact or isinstance(tree.get(key), dict):
                tree[key] = None
        else:
            tree[key] = str(value)


def model(text: Text) -> dict[str, Tree]:
    """What Go has in the end."""
    tree: dict[str, Tree] = {}
    assert isinstance(text, list)
    put(tree, text, exact=False)
    return tree


def members_of(source: bytes) -> Text:
    """The text as a list of members."""

    def listed(value: object) -> Text:
        if isinstance(value, list):
            return [(str(name), listed(inner)) for name, inner in value]
        assert value is None or isinstance(value, str | int)
        return value

    return listed(json.loads(source, object_pairs_hook=list))


def sound(text: Text) -> bool:
    """Each name has always an object, or always something else, as in what is meant for Go's structures."""
    kinds: dict[str, set[bool]] = {}

    def look(value: Text) -> None:
        if isinstance(value, list):
            for name, inner in value:
                if inner is not None:
                    kinds.setdefault(name.lower(), set()).add(isinstance(inner, list))
                look(inner)

    look(text)
    return all(len(seen) == 1 for seen in kinds.values())


@given(OBJECTS.filter(sound), st.sampled_from(["", " ", "\n\t "]))
def test_fields_are_what_go_has_in_them(text: Text, spaces: str) -> None:
    """Texts, networks and their configurations; objects are merged and nulls count."""
    top, wanted = read(written(text, spaces).encode()), model(text)
    name = wanted.get("name")
    if not isinstance(name, dict):
        numbers = [value for key, value in text if key.lower() == "name"] if isinstance(text, list) else []
        if 7 in numbers or any(isinstance(number, list) for number in numbers):
            with pytest.raises(Unread):
                top.text("Name")
        else:
            assert top.text("Name") == (name or "")
    endpoints = wanted.get("endpointsconfig")
    if isinstance(endpoints, dict):
        found = top.members("EndpointsConfig")
        assert set(found.names()) == set(endpoints)
        if not all(isinstance(inner, dict) for inner in endpoints.values()):
            return  # what is no object is not read, or is nothing
        for network, inner in endpoints.items():
            if isinstance(inner, dict) and not isinstance(inner.get("ipamconfig"), str):
                config = inner.get("ipamconfig")
                # What is null is there in the text, and nothing to Go.
                assert found.entries()[network].members("IPAMConfig").found or not config


PATHS = st.sampled_from(
    [
        ("Name",),
        ("IPAMConfig", "Name"),
        ("EndpointsConfig", "web"),
        ("IPAMConfig", "EndpointsConfig", "new"),
        ("New", "x"),
    ]
)


@given(OBJECTS.filter(sound), PATHS, st.sampled_from(["", " "]))
def test_a_change_is_what_go_finds_and_nothing_else(text: Text, path: tuple[str, ...], spaces: str) -> None:
    """After it the value is at the path; everything else is what it was."""
    source = written(text, spaces).encode()
    try:
        changed = with_value(source, path, b'"put"')
    except Unread:
        return
    wanted = model(text)
    here = wanted
    for name in path[:-1]:
        inner = here.get(name.lower())
        if not isinstance(inner, dict):
            inner = here[name.lower()] = {}
        here = inner
    exact = len(path) > 1 and path[-2] in MAPS
    here[path[-1] if exact else path[-1].lower()] = "put"
    assert model(members_of(changed)) == wanted


@pytest.mark.parametrize(
    "source",
    [
        b"", b" ", b"{", b"[]", b'"x"', b"7", b"nul", b"{} x", b'{"a":1,}', b'{"a":01}', b'{"a":NaN}',
        b'{"a":"\\ud800",}', b'{"\\ud800":NaN}', b"[" * 100_000, b'{"a":' * 100_000, b"\xef\xbb\xbf{}", b'{"a" 1}',
        b"{'a':1}", b'{"a":"\n"}', b'{"a":"' + b"x" * LARGEST + b'"}',
    ],
)  # fmt: skip
def test_what_is_no_object_is_unread(source: bytes) -> None:
    """Whatever it is instead."""
    with pytest.raises(Unread):
        read(source)


def test_null_is_an_object_without_members() -> None:
    """And becomes one when something is put into it."""
    assert read(b" null\n").found == ()
    assert with_value(b" null\n", ("a", "b"), b"1") == b' {"a":{"b":1}}\n'
    assert with_value(b'{"a":null,"b":{ }}', ("a", "c"), b"1") == b'{"a":{"c":1},"b":{ }}'
    assert with_value(b'{"a":null,"b":{ }}', ("b", "c"), b"1") == b'{"a":null,"b":{ "c":1}}'


def test_a_null_that_empties_stays() -> None:
    """An object in its place would bring back what it emptied."""
    assert with_value(b'{"a":{"x":1},"a":null}', ("a", "y"), b"2") == b'{"a":{"x":1},"a":null,"a":{"y":2}}'
    assert with_value(b'{"a":{"x":1},"A":null,"a":null}', ("a", "y"), b"2") == (
        b'{"a":{"x":1},"A":null,"a":null,"a":{"y":2}}'
    )
    assert with_value(b'{"a":null,"a":null}', ("a", "y"), b"2") == b'{"a":null,"a":{"y":2}}'


@given(st.binary(max_size=100))
def test_no_bytes_make_it_fail(source: bytes) -> None:
    """It has an answer, or Unread."""
    with suppress(Unread):
        read(source).texts()
    with suppress(Unread):
        with_value(source, ("a", "b"), b"1")
