"""The routes as a Starlette application: decode, one call of a handler, encode.

Rules: loaded when the API is first asked (server.py); every refusal is a problem with the status of its kind; what
cannot be right is refused at once, any other question waits until the records are loaded; an answer is made in parts,
so that a long list holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Path
from starlette.routing import Router

from mooring.core.faults import Fault, NotFound
from mooring.core.filters import Page
from mooring.servers.api.decoding import arguments
from mooring.servers.api.door import BeforeCall
from mooring.servers.api.openapi import Description
from mooring.servers.api.routes import Route, routes_of
from mooring.wire.api import MEDIA_TYPE, VERSION, Problem, problem_for, problem_of

# Rows that are encoded at a stretch: about a millisecond.
BATCH = 512


def application(resources: Iterable[object], before_call: BeforeCall) -> Router:
    """What answers for the resources. Where two have a route for the same path and method, the first has it.

    before_call: returns when the route's handler may be called, or raises the fault that is the answer.
    """
    places: dict[str, dict[str, Route]] = defaultdict(dict)
    for resource in resources:
        for route in routes_of(resource):
            places[route.template].setdefault(route.method, route)
    description = Description([route for methods in places.values() for route in methods.values()])
    for route in routes_of(description):
        places[route.template][route.method] = route
        description.add(route)
    known = [f"{route.method} {route.path}" for methods in places.values() for route in methods.values()]
    # What is written out is meant before what a parameter could stand for.
    ordered = sorted(places.items(), key=lambda item: "{" in item[0])
    paths = [Path(template, Place(methods, before_call, known)) for template, methods in ordered]
    return Router(paths, redirect_slashes=False, default=Unknown(known))


class Place:
    """Everything that can be asked of one path, as an ASGI application."""

    def __init__(self, methods: dict[str, Route], before_call: BeforeCall, known: list[str]) -> None:
        self._methods = methods
        self._before_call = before_call
        self._known = known

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The answer; faults become refusals."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Fault as fault:
            response = refusal(problem_of(fault))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if not all(request.path_params.values()):
            raise unknown(request.scope["path"], self._known)
        method = "GET" if request.method == "HEAD" else request.method
        route = self._methods.get(method)
        if route is None:
            allowed = [*(["HEAD"] if "GET" in self._methods else []), *self._methods]
            text = f"{request.method[:20]} is not possible on {request.scope['path'][:100]}; use "
            response = refusal(problem_for(405, text + " or ".join(self._methods)))
            response.headers["allow"] = ", ".join(allowed)
            return response
        query = request.scope["query_string"].decode("latin-1")
        given = arguments(route, request.path_params, query, await request.body())
        if route.waits:
            given["hung_up"] = request.scope.get("hung_up") or asyncio.Event()
        await self._before_call(route)
        reply = await route.handler(**given)
        if reply is None:
            return Response(status_code=204)
        if isinstance(reply, str):
            return Response(reply + "\n", media_type="text/plain")
        response = Response(await encoded(reply), media_type="application/json")
        if isinstance(reply, Page) and reply.after:
            response.headers["link"] = f'<{request.scope["path"]}?{_onward(query, reply.after)}>; rel="next"'
        return response


class Unknown:
    """Paths that there are not, as an ASGI application."""

    def __init__(self, known: list[str]) -> None:
        self._known = known

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """A refusal that names the paths there are."""
        await refusal(problem_of(unknown(scope["path"], self._known)))(scope, receive, send)


def unknown(path: str, known: list[str]) -> NotFound:
    """The fault of a path that is not one of those known."""
    version = path.split("/")[1] if path.startswith("/") else ""
    if version not in (VERSION, ""):
        return NotFound(f"API version {version[:20]!r} is not supported", hint=f"paths begin with /{VERSION}/")
    resource = _resource(path)
    near = [each for each in known if not resource or _resource(each.partition(" ")[2]) == resource]
    hint = f"known are {', '.join(near)}" if near else f"GET /{VERSION}/openapi.json tells which there are"
    return NotFound(f"there is no path {path[:100]!r}", hint=hint)


def _resource(path: str) -> str:
    """The word after the version."""
    return "".join(path.split("/")[2:3])


def refusal(problem: Problem) -> Response:
    """The problem as a response."""
    return Response(msgspec.json.encode(problem) + b"\n", problem.status, media_type=MEDIA_TYPE)


async def encoded(reply: Any) -> bytes:
    """The reply as JSON with a newline at its end, so that it reads well under curl. Others run meanwhile."""
    rows = reply.rows if isinstance(reply, Page) else reply
    if not isinstance(rows, list) or len(rows) <= BATCH:
        return msgspec.json.encode(rows) + b"\n"
    parts = []
    for start in range(0, len(rows), BATCH):
        parts.append(msgspec.json.encode(rows[start : start + BATCH])[1:-1])
        await asyncio.sleep(0)
    return b"[" + b",".join(parts) + b"]\n"


def _onward(query: str, after: str) -> str:
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "after"]
    return urlencode([*pairs, ("after", after)])
