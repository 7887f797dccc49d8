"""The API over the sample host, asked without a socket; every answer is held to the API's own description."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator

from mooring.servers.api.application import application
from mooring.servers.api.resources import resources
from mooring.servers.api.routes import Route
from mooring.servers.api.server import Application
from tests.services.samples import Sample, sample


@dataclass(frozen=True, slots=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What it says."""
        return json.loads(self.body)


async def ask(answering: Application, method: str, target: str, body: bytes = b"") -> Answer:
    """The answer of an application to one request."""
    path, _, query = target.partition("?")
    scope: dict[str, Any] = {
        "type": "http", "method": method, "path": unquote(path), "query_string": query.encode(), "headers": [],
        "root_path": "", "scheme": "http", "server": None,
    }  # fmt: skip
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    await answering(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return Answer(said[0]["status"], headers, b"".join(message["body"] for message in said[1:]))


@dataclass(slots=True)
class Api:
    """The API of a host."""

    host: Sample
    answering: Application
    document: dict[str, Any]

    async def get(self, target: str) -> Answer:
        """The answer to a GET."""
        return await self.ask("GET", target)

    async def post(self, path: str, body: Any = None) -> Answer:
        """The answer to a POST of the JSON. None: no body at all."""
        return await self.ask("POST", path, b"" if body is None else json.dumps(body).encode())

    async def ask(self, method: str, target: str, body: bytes = b"") -> Answer:
        """The answer, which is as the API's description says."""
        answer = await ask(self.answering, method, target, body)
        path = unquote(target.partition("?")[0])
        schema: dict[str, Any] = self.document["components"]["responses"]["Problem"]["content"]
        if answer.status < 300:
            operation = self.document["paths"][self.template(path)][method.lower().replace("head", "get")]
            said = operation["responses"][str(answer.status)]
            if "content" not in said:
                assert (answer.status, answer.body) == (204, b"")
                return answer
            schema = said["content"]
        ((kind, content),) = schema.items()
        assert answer.headers["content-type"].partition(";")[0] == kind
        assert answer.body.endswith(b"\n")
        if method != "HEAD" and kind != "text/plain":
            Draft202012Validator({**content["schema"], "components": self.document["components"]}).validate(answer.json)
        if answer.status != 200:
            assert (answer.json["status"], answer.json["detail"]) == (answer.status, answer.json["message"])
            assert answer.json["message"].isprintable()
        return answer

    def template(self, path: str) -> str:
        """The path's name in the description."""
        for template in sorted(self.document["paths"], key=lambda each: ("{" in each, -each.count("/"))):
            if re.fullmatch(re.sub(r"{\w+}", ".*", template), path, re.DOTALL):
                return str(template)
        raise AssertionError(f"{path} is not described")


_document: dict[str, Any] = {}


async def ready(_: Route) -> None:
    """At once."""


async def api(*records: Any, wait: Callable[[Route], Awaitable[None]] = ready) -> Api:
    """The API of the sample host with more records. wait: as of the door."""
    host = await sample(*records)
    answering = application(resources(host.operations, host.store.backup), wait)
    if not _document:  # the same for every host, and most of the time that this takes
        described = application(resources(host.operations, host.store.backup), ready)
        _document.update((await ask(described, "GET", "/v1/openapi.json")).json)
    return Api(host, answering, _document)
