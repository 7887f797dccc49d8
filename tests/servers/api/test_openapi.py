"""The API's description is OpenAPI, complete, and as the README has it."""

from __future__ import annotations

from importlib.resources import files

from openapi_spec_validator import OpenAPIV31SpecValidator

from mooring.core.filters import LeaseFilter
from mooring.servers.api.openapi import document
from mooring.servers.api.resources import RESOURCES
from mooring.servers.api.routes import routes_of
from tests.servers.api.asking import api

ROUTES = [route for resource in RESOURCES for route in routes_of(resource)]


async def test_it_is_openapi() -> None:
    """Every rule of the specification that a schema can say, as it is served."""
    served = (await api()).document
    OpenAPIV31SpecValidator(served).validate()
    assert served["openapi"] == "3.1.0"
    assert "/v1/openapi.json" in served["paths"]


def test_every_route_is_described() -> None:
    """With a name of its own, a summary, and everything that it takes."""
    paths = document(ROUTES)["paths"]
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert sorted(names) == sorted(route.name for route in ROUTES)
    assert len(set(names)) == len(names)
    leases = paths["/v1/leases"]["get"]
    assert {each["name"] for each in leases["parameters"]} == set(LeaseFilter.__struct_fields__)
    state = next(each for each in leases["parameters"] if each["name"] == "state")
    assert (state["schema"]["enum"][0], state["description"]) == ("auxiliary", "the lease's state")
    limit = next(each for each in leases["parameters"] if each["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 10_000}
    assert all(each.get("description") for each in leases["parameters"])
    assert leases["responses"]["200"]["headers"]["Link"]
    assert paths["/v1/leases/{address}"]["get"]["parameters"][0]["schema"]["anyOf"][0] == {"format": "ipv4"}
    body = paths["/v1/leases/reserve"]["post"]["requestBody"]
    assert body["required"]
    assert body["content"]["application/json"]["example"] == {"first": "10.32.0.9", "whom": "db"}
    assert not paths["/v1/doctor"]["post"]["requestBody"]["required"]


def test_texts_are_those_of_the_docstrings() -> None:
    """Without the indentation that they have in the source."""
    texts = [each["description"] for each in document(ROUTES)["components"]["schemas"].values()]
    assert all(texts)
    assert not any("\n    " in text for text in texts)


def test_every_operation_has_a_sentence() -> None:
    """A summary that fits into a line."""
    for methods in document(ROUTES)["paths"].values():
        for operation in methods.values():
            assert 0 < len(operation["summary"]) <= 120, operation["operationId"]


def test_every_route_is_in_the_readme_of_the_door() -> None:
    """In the table of servers/api/README.md."""
    page = files("mooring.servers.api").joinpath("README.md").read_text()
    assert [route.path for route in ROUTES if f"`{route.method} {route.path}" not in page] == []
