"""The API's description, made of its routes: OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0).

Rule: nothing is written twice: paths, parameters, bodies and replies are those of the handlers' annotations, texts are
their docstrings.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import cleandoc
from typing import Any, get_type_hints

import msgspec

from mooring import __version__
from mooring.core.networks import Address
from mooring.servers.api.routes import Route, route
from mooring.wire.api import MEDIA_TYPE, Problem

_REFERENCES = "#/components/schemas/{name}"
_ADDRESS = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
_LINK = {"description": 'the next page, as rel="next" (RFC 8288); none behind the last', "schema": {"type": "string"}}


class Description:
    """The resource that describes all others and itself."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = list(routes)
        self._document: dict[str, Any] | None = None

    def add(self, route: Route) -> None:
        """One more route is described."""
        self._routes.append(route)

    @route("GET", "/v1/openapi.json")
    async def openapi(self) -> dict[str, Any]:
        """This document."""
        if self._document is None:
            self._document = document(self._routes)
        return self._document


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI document of the routes."""
    replies: list[Any] = [list[each.row] if each.row is not None else each.reply for each in routes]  # type: ignore[name-defined]
    bodies = [each.body for each in routes if each.body is not None]
    schemas, components = msgspec.json.schema_components([*replies, *bodies, Problem], ref_template=_REFERENCES)
    shown = dict(zip((str(each) for each in (*replies, *bodies)), schemas, strict=False))
    for component in components.values():
        component["description"] = cleandoc(component.get("description", ""))
    paths: dict[str, Any] = {}
    for each, reply in zip(routes, replies, strict=True):
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, shown[str(reply)], shown)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mooring",
            "version": __version__,
            "summary": "Networks and addresses of a Docker host",
            "description": "HTTP/1.1 on a unix socket, /run/mooring/api.sock: "
            "`curl --unix-socket /run/mooring/api.sock http://mooring/v1/status`. Times are seconds since the epoch. "
            "Within v1 replies may gain fields; they never lose one or change its meaning.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://mooring", "description": "any host name will do: the socket is the address"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                "Problem": {
                    "description": "a refusal (RFC 9457), in one line",
                    "content": {MEDIA_TYPE: {"schema": schemas[-1]}},
                }
            },
        },
    }


def _operation(each: Route, reply: Any, shown: dict[str, Any]) -> dict[str, Any]:
    summary, _, _ = each.text.replace("\n", " ").partition(". ")
    success: dict[str, Any] = {"description": "what was asked for"}
    if each.reply is not type(None):
        success["content"] = {"text/plain" if each.reply is str else "application/json": {"schema": reply}}
    if each.row is not None:
        success["headers"] = {"Link": _LINK}
    operation: dict[str, Any] = {
        "operationId": each.name,
        "tags": [each.tag],
        "summary": summary.rstrip("."),
        "description": each.text,
        "parameters": [*_places(each), *_parameters(each)],
        "responses": {
            "200" if "content" in success else "204": success,
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if each.body is not None:
        content: dict[str, Any] = {"schema": shown[str(each.body)]}
        if each.example:
            content["example"] = each.example
        required = any(field.required for field in msgspec.structs.fields(each.body))
        operation["requestBody"] = {"required": required, "content": {"application/json": content}}
    return operation


def _places(each: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _ADDRESS if kind == Address else {"type": "string"}}
        for name, kind in each.places.items()
    ]


def _parameters(each: Route) -> list[dict[str, Any]]:
    if each.query is None:
        return []
    found = []
    hints = get_type_hints(each.query, include_extras=True)
    for field in msgspec.structs.fields(each.query):
        kind, name = hints[field.name], field.encode_name
        schema = _without_null(msgspec.json.schema(kind))
        parameter = {"name": name, "in": "query", "required": field.required, "schema": schema}
        if text := schema.pop("description", ""):
            parameter["description"] = text
        found.append(parameter)
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What a parameter may be: in a query nothing is null, what is None is not given."""
    said = {key: schema[key] for key in ("description",) if key in schema}
    kinds = [each for each in schema.get("anyOf", [schema]) if each != {"type": "null"}]
    kind = kinds[0] if len(kinds) == 1 else schema
    if "$ref" in kind:
        said = {key: kind[key] for key in ("description",) if key in kind} | said
        kind = schema["$defs"][kind["$ref"].rpartition("/")[2]]
    return {key: value for key, value in (kind | said).items() if key != "$defs"}
