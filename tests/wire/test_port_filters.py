"""Searches for ports are read as the engine reads them, and lists are chosen from without touching a byte."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from mooring.wire.go_json import Unread
from mooring.wire.port_filters import PortPair, PortQuery, Span, chosen, port_query

WEB = (PortPair("tcp", 80, 8080), PortPair("udp", 53, 8053), PortPair("tcp", 443, 0))


def asked(filters: object, **more: str) -> PortQuery | None:
    """What a list with these filters asks for."""
    return port_query({"filters": filters if isinstance(filters, str) else json.dumps(filters), **more})


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("80", Span("tcp", 80, 80)), ("80/", Span("tcp", 80, 80)), ("53/udp", Span("udp", 53, 53)),
        ("8000-8010/tcp", Span("tcp", 8000, 8010)), ("0", Span("tcp", 0, 0)), ("0080", Span("tcp", 80, 80)),
        ("0-65535/sctp", Span("sctp", 0, 65535)), ("80/x", Span("x", 80, 80)),
    ],
)  # fmt: skip
def test_values_are_the_engines(value: str, span: Span) -> None:
    """A port or a range, of TCP unless said otherwise; in the form of new clients and of old ones."""
    for values in ({value: True}, {value: False}, [value]):
        found = asked({"publish": values})
        assert found is not None
        assert found.publish == (span,)


@pytest.mark.parametrize(
    "filters",
    [
        {}, {"name": {"publish": True}}, {"publish": {}}, {"publish": None}, {"publish": {"": True}},
        {"publish": {"80:80": True}}, {"publish": {"65536": True}}, {"publish": {"9-8": True}},
        {"publish": {"tcp/80": True}}, {"publish": {"-1": True}}, {"publish": {"+1": True}}, {"publish": {"80": 1}},
        {"publish": 80}, {"publish": {"80": True}, "expose": {"x": True}}, "[]", "", "{", '{"publish":{"80":true}} x',
        '{"publish":' + "[" * 5000,
    ],
)  # fmt: skip
def test_what_the_engine_refuses_or_knows_itself_is_its_own(filters: object) -> None:
    """So that it says so."""
    assert asked(filters) is None


def test_the_engine_is_asked_for_all_that_may_be_chosen() -> None:
    """Every other filter and parameter stays; a limit is ours to count, and means the stopped ones, too."""
    filters = {"publish": {"80": True}, "expose": ["81/udp"], "label": {"a=b&c": True}}
    found = asked(filters, size="1", all="0")
    assert found is not None
    assert (found.publish, found.expose, found.most) == ((Span("tcp", 80, 80),), (Span("udp", 81, 81),), 0)
    rest = {"size": ["1"], "all": ["0"], "filters": ['{"label":{"a=b&c": true}}']}
    assert parse_qs(found.query) == rest
    for limit in ("", "0", "-1"):
        unlimited = asked(filters, size="1", all="0", limit=limit)
        assert unlimited is not None
        assert (parse_qs(unlimited.query), unlimited.most) == (rest, 0)
    limited = asked(filters, size="1", all="0", limit="3")
    assert limited is not None
    assert (parse_qs(limited.query), limited.most) == (rest | {"all": ["1"]}, 3)
    assert asked(filters, limit="x") is None


def test_one_of_the_two_filters_is_enough() -> None:
    """`publish` is about the host's ports, `expose` about the container's."""
    for filters, fits in (
        ({"publish": ["8080"]}, True), ({"publish": ["80"]}, False), ({"expose": ["80"]}, True),
        ({"publish": ["8053"]}, False), ({"publish": ["8053/udp"]}, True), ({"expose": ["443"]}, True),
        ({"publish": ["443"]}, False), ({"publish": ["1"], "expose": ["53/udp"]}, True), ({"publish": ["0"]}, True),
    ):  # fmt: skip
        found = asked(filters)
        assert found is not None
        assert found.fits(WEB) is fits
        assert not found.fits(())


def test_what_is_chosen_keeps_its_bytes() -> None:
    """In order, up to the limit, and what is behind the list."""
    row = b'{ "Id":"%d", "Ports":[{"PrivatePort":80,"PublicPort":%d,"Type":"tcp"}]}'
    rows = [row % (number, 8080 + number % 2) for number in range(5)]
    body = b"[" + b" , ".join((*rows, b'{"Ports":null}', b"{}")) + b"]\n"
    found, limited = asked({"publish": ["8080"]}), asked({"publish": ["8080"]}, limit="2")
    none = asked({"publish": ["1"]})
    assert found is not None
    assert limited is not None
    assert none is not None
    assert chosen(body, found) == b"[" + b",".join(rows[::2]) + b"]\n"
    assert chosen(body, limited) == b"[" + b",".join(rows[:3:2]) + b"]\n"
    assert chosen(body, none) == chosen(b"[]\n", none) == b"[]\n"
    for other in (b"{}", b"", b"null", b'[{"Ports":1}]', b"[" * 5000):
        with pytest.raises(Unread):
            chosen(other, found)
