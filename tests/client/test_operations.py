"""The client and the API have the same operations, with the same parameters and replies."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any, get_type_hints

import msgspec
import pytest

from mooring.client import Client
from mooring.servers.api.openapi import Description
from mooring.servers.api.resources import RESOURCES
from mooring.servers.api.routes import Route, routes_of

ROUTES = {route.name: route for resource in (*RESOURCES, Description) for route in routes_of(resource)}
LOADED = "import sys, mooring.client; print(*sorted(sys.modules))"


def methods() -> dict[str, Any]:
    """Public methods of the client."""
    return {name: each for name, each in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}


def parameters(route: Route) -> dict[str, Any]:
    """Of an operation, but for pages, which the client follows by itself."""
    found: dict[str, Any] = dict.fromkeys(route.places, inspect.Parameter.empty)
    for form in (route.query, route.body):
        for field in msgspec.structs.fields(form) if form is not None else ():
            if field.name not in ("limit", "after"):
                found[field.name] = inspect.Parameter.empty if field.required else field.default
    return found


def test_every_operation_is_a_method_and_every_method_an_operation() -> None:
    """By its name."""
    assert sorted(methods()) == sorted(ROUTES)


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_a_method_takes_and_returns_what_its_operation_does(name: str) -> None:
    """Names and defaults of parameters, and the type of the reply; a page is a list."""
    route, method = ROUTES[name], methods()[name]
    signature = inspect.signature(method).parameters
    assert {key: each.default for key, each in signature.items() if key != "self"} == parameters(route)
    reply = list[route.row] if route.row is not None else route.reply  # type: ignore[name-defined]
    assert get_type_hints(method)["return"] == reply
    assert inspect.getdoc(method)


def test_a_program_loads_nothing_of_the_daemon() -> None:
    """No door, no service, no loop, no framework; nor records, whose modules take as long to load as all the rest."""
    found = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout.split()
    heavy = (
        "mooring.servers",
        "mooring.services",
        "mooring.adapters",
        "mooring.config",
        "asyncio",
        "starlette",
        "httptools",
        "mooring.core.leases",
        "mooring.core.networks",
        "mooring.core.endpoints",
        "mooring.core.sandboxes",
    )
    assert "mooring.client" in found
    assert [name for name in found if name.startswith(heavy)] == []
