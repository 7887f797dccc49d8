"""Whatever is asked of the API: an answer as it is described, of one line when it is a refusal, and soon."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.servers.api.resources import RESOURCES
from mooring.servers.api.routes import Route, routes_of
from tests.servers.api.asking import api
from tests.services.samples import MAC, WEB

ROUTES = [route for resource in RESOURCES for route in routes_of(resource)]
WORDS = st.sampled_from([
    "10.32.0.2", "10.32.0.9", "fd00:32::2", "10.32.0.0/24", "::", "0.0.0.0/0", "255.255.255.255", "db", WEB, WEB[:3],
    MAC, "p4", "default", "tenant", "bridge", "null", "cooling", "fixed", "1", "0", "true", "-1", "1e400",
    "99999999999999999999", "web-*", "a=b,c!=d", "key:db", "not-found", "", " ", "/", "..", "%", "\0", "é\n", "x" * 300,
])  # fmt: skip
TEXTS = WORDS | st.text(max_size=30)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS | st.lists(TEXTS, max_size=2)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """A request that a route nearly means: its path, parameters and fields that it knows, and others."""
    route: Route = draw(st.sampled_from(ROUTES))
    path = route.path
    for name in route.places:
        path = path.replace(f"{{{name}}}", quote(draw(TEXTS), safe=draw(st.sampled_from(["", "/"]))))
    known = list(route.query.__struct_encode_fields__) if route.query is not None else []
    pairs = draw(st.lists(st.tuples(st.sampled_from([*known, "odd"]), TEXTS), max_size=4))
    query = "&".join(f"{name}={quote(value)}" for name, value in pairs)
    fields = list(route.body.__struct_fields__) if route.body is not None else []
    body: dict[str, Any] = (
        {name: draw(VALUES) for name in draw(st.sets(st.sampled_from([*fields, "odd"])))} if fields else {}
    )
    data = draw(st.sampled_from([json.dumps(body).encode() if body else b"", b"", b"\xff{", b"[]"]))
    method = draw(st.sampled_from([route.method, route.method, route.method, "HEAD", "DELETE", "BREW"]))
    return method, f"{path}?{query}" if query else path, data


@settings(max_examples=2 * settings().max_examples, deadline=2000)
@given(st.lists(requests(), min_size=1, max_size=5))
def test_no_request_is_a_surprise(asked: list[tuple[str, str, bytes]]) -> None:
    """No error of ours, nothing that is not described, nothing that hangs."""

    async def ask_all() -> None:
        answering = await api()
        for method, target, body in asked:
            async with asyncio.timeout(5):
                answer = await answering.ask(method, target, body)
            assert answer.status in (200, 204, 400, 403, 404, 405, 409, 503, 507), answer

    asyncio.run(ask_all())
