"""Requests read as the arguments of a route's handler.

Rules: what is not known is refused with what is; a refusal is one line and names the parameter or the field; an empty
parameter is one that was not given.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec

from mooring.core.addresses import parse_address
from mooring.core.faults import BadRequest
from mooring.core.filters import MOST
from mooring.core.networks import Address
from mooring.servers.api.routes import Route


def arguments(route: Route, places: dict[str, str], query: str, body: bytes) -> dict[str, Any]:
    """What the route's handler is called with.

    places: of the path, percent-decoded; query: as on the wire, without the question mark. Raises BadRequest.
    """
    given: dict[str, Any] = {
        name: parse_address(places[name]) if kind == Address else places[name] for name, kind in route.places.items()
    }
    parameters = _parameters(query, route.query)
    if route.query is not None:
        for each in msgspec.structs.fields(route.query):
            if each.required and each.name not in parameters:
                raise BadRequest(f"parameter {each.encode_name} must be given")
        given["query"] = route.query(**parameters)
    if route.body is not None:
        given["body"] = _body(route, body)
    elif body:
        raise BadRequest(f"a {route.method} request has no body here")
    return given


def _parameters(text: str, form: type[msgspec.Struct] | None) -> dict[str, Any]:
    known = _fields(form) if form is not None else {}
    given: dict[str, Any] = {}  # by field
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=40)
    except ValueError:
        raise BadRequest("the query is not of the form name=value&name=value") from None
    for name, value in pairs:
        if name not in known:
            hint = "known are " + ", ".join(known) if known else "this path takes none"
            raise BadRequest(f"parameter {name[:40]!r} is not known", hint=hint)
        field, kind = known[name]
        if field in given:
            raise BadRequest(f"parameter {name} is given twice")
        given[field] = _value(name, value, kind)
    return {name: value for name, value in given.items() if value is not None}


def _value(name: str, value: str, kind: Any) -> Any:
    """The parameter's value, None for one that was not given. Raises BadRequest."""
    if not value:
        return None
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        raise BadRequest(f"parameter {name} is {value[:40]!r}", hint=_hint(kind)) from None


def _hint(kind: Any) -> str:
    """What a value of the type looks like."""
    one = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if isinstance(one, type) and issubclass(one, Enum):
        return "known are " + ", ".join(str(each.value) for each in one)
    return {bool: "use 1 or 0", int: f"use a number from 1 to {MOST}"}.get(one, "use another value")


@cache
def _fields(form: type[msgspec.Struct]) -> dict[str, tuple[str, Any]]:
    """Parameters as they are written, with their fields and types, those that all lists have last."""
    hints = get_type_hints(form, include_extras=True)
    written = dict(zip(form.__struct_encode_fields__, form.__struct_fields__, strict=True))
    own = [each for each in written if each not in ("limit", "after")]
    return {name: (written[name], _given(hints[written[name]])) for name in [*own, "limit", "after"] if name in written}


def _given(kind: Any) -> Any:
    """The type of a parameter that was given: in a query nothing is None, and `null` is a mode of networks."""
    kinds = [each for each in get_args(kind) if each is not type(None)]
    return Union[tuple(kinds)] if get_origin(kind) in (Union, UnionType) else kind  # noqa: UP007  made at run time


def _body(route: Route, body: bytes) -> Any:
    assert route.body is not None
    required = any(each.required for each in msgspec.structs.fields(route.body))
    try:
        return msgspec.json.decode(body if body or required else b"{}", type=route.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        example = msgspec.json.format(msgspec.json.encode(route.example), indent=0).decode() if route.example else ""
        what = route.path.rpartition("/")[2]
        raise BadRequest(f"{what}: {error}", hint=f"the body is {example}" if example else "") from None
