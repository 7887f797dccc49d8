"""Routes of the API, as resources declare them: a method with a decorator and annotations says all there is to say.

A resource is a class of a module of its own in this folder. To add one:

1. What is sent and answered is a frozen `msgspec.Struct`: rows and details in `mooring.core.views`, parameters of a
   list in `mooring.core.filters` (below `Paging`), bodies in `mooring.wire.api.requests`
   (with `forbid_unknown_fields=True, omit_defaults=True`). A list is made by `services.operations.pages.page_of`.
2. A method for each operation, async, with `@route(METHOD, PATH)`. Its name is the operation's, here, in the OpenAPI
   document and as the method of `mooring.client`; its docstring is its description. Parameters by annotation: those in
   the path by their names (`str`, or `Address`; `{name:path}` may have slashes in it), `query: SomeFilter`,
   `body: SomeStruct`. What is returned is the reply, by its annotation; `Page[Row]` is a list with pages, `str` is
   sent as text, None is status 204. One that may wait for long has `hung_up: asyncio.Event`: the client is gone.
3. The class in `RESOURCES` and `resources` of `resources.py`, a line in README.md and docs/api.md, and methods of the
   same names, parameters and replies in `mooring.client`; tests/servers/api/test_openapi.py and
   tests/client/test_operations.py say what is still missing.

Rules: a handler raises faults and never makes a response; it is called when the records are loaded.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from mooring.core.filters import Page

H = TypeVar("H", bound=Callable[..., Awaitable[Any]])

_PARAMETER = re.compile(r"{(\w+)(?::path)?}")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. template: of the path, as Starlette has it. handler: awaited with the parameters by name.

    name: of the operation. text: its description, the first sentence is the summary. places: parameters in the path
    with their types. query, body: structs, None for no such thing. reply: the type of the answer. tag: the resource.
    example: a body, as JSON. waits: it is told when the client hangs up.
    """

    method: str
    template: str
    handler: Callable[..., Awaitable[Any]]
    name: str
    text: str
    places: dict[str, Any]
    query: type[msgspec.Struct] | None
    body: type[msgspec.Struct] | None
    reply: Any
    tag: str = ""
    example: dict[str, Any] = field(default_factory=dict)
    waits: bool = False

    @property
    def path(self) -> str:
        """The path as people write it."""
        return self.template.replace(":path}", "}")

    @property
    def row(self) -> Any:
        """The type of a row when the answer is a list with pages, None otherwise."""
        return get_args(self.reply)[0] if get_origin(self.reply) is Page else None


def route(method: str, template: str, **example: Any) -> Callable[[H], H]:
    """The method answers requests of that method for the path. example: fields of a body that succeeds."""

    def mark(handler: H) -> H:
        handler.route = (method, template, example)  # type: ignore[attr-defined]
        return handler

    return mark


def routes_of(resource: object) -> list[Route]:
    """What a resource answers, in the order in which it is written. Of a class, what its instances would."""
    found = []
    kind = resource if isinstance(resource, type) else type(resource)
    for name, function in vars(kind).items():
        if not hasattr(function, "route"):
            continue
        method, template, example = function.route
        hints = get_type_hints(function, include_extras=True)
        found.append(
            Route(
                method,
                template,
                getattr(resource, name),
                name,
                inspect.getdoc(function) or "",
                {each: hints[each] for each in _PARAMETER.findall(template)},
                hints.get("query"),
                hints.get("body"),
                hints["return"],
                kind.__name__.lower(),
                example,
                "hung_up" in hints,
            )
        )
    return found
