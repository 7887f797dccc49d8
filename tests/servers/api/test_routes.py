"""Routes as resources declare them."""

from __future__ import annotations

from mooring.core.filters import Page, PoolFilter
from mooring.core.networks import Address
from mooring.servers.api.routes import Route, route, routes_of
from mooring.wire.api import Backup, BackupReply


class Things:
    """A resource."""

    @route("GET", "/v1/things")
    async def things(self, query: PoolFilter) -> Page[str]:
        """All of them. And more."""
        return Page([str(query.limit)])

    @route("POST", "/v1/things/{name:path}/at/{address}", path="/x")
    async def move(self, name: str, address: Address, body: Backup) -> BackupReply:
        """One of them."""
        return BackupReply(f"{name} {address} {body.path}")

    async def no_route(self) -> None:
        """Not asked for by anybody."""


async def test_a_method_says_all_there_is_to_say() -> None:
    """Its name, text, parameters and reply, and it is called with its resource."""
    things, move = routes_of(Things())
    assert (things.name, things.text, things.tag, things.row) == ("things", "All of them. And more.", "things", str)
    assert (await things.handler(query=PoolFilter(limit=1))).rows == ["1"]
    assert (move.method, move.path, move.places) == (
        "POST",
        "/v1/things/{name}/at/{address}",
        {"name": str, "address": Address},
    )
    assert (move.body, move.query, move.reply, move.row, move.example) == (
        Backup,
        None,
        BackupReply,
        None,
        {"path": "/x"},
    )


def test_a_class_says_what_its_instances_would_answer() -> None:
    """All but who answers."""

    def said(route: Route) -> tuple[object, ...]:
        return route.method, route.template, route.name, route.text, route.tag

    assert [said(each) for each in routes_of(Things)] == [said(each) for each in routes_of(Things())]
