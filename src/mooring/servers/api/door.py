"""The API's door: what answers at its socket, made when somebody asks, and what the server itself says.

Rule: nothing of the web framework is imported before `ApiDoor` is called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import msgspec

from mooring.servers.api.routes import Route
from mooring.servers.api.server import Application
from mooring.servers.http import Response
from mooring.wire.api import MEDIA_TYPE, problem_for

BeforeCall = Callable[[Route], Awaitable[None]]


class ApiDoor:
    """Makes the application."""

    def __init__(self, resources: Iterable[object], before_call: BeforeCall) -> None:
        """before_call: returns when the route's handler may be called, or raises the fault that is the answer."""
        self._resources = resources
        self._before_call = before_call

    def __call__(self) -> Application:
        """What answers to questions."""
        from mooring.servers.api.application import application

        return application(self._resources, self._before_call)


def refuse(status: int, text: str) -> Response:
    """What the server itself says when a request cannot be read at all."""
    return Response(status, msgspec.json.encode(problem_for(status, text)) + b"\n", MEDIA_TYPE)
