"""What every operation does in every state: the tables are the specification.

A state is made as it comes to be: what is pending is so because somebody else's driver did not answer in the middle.
`ok` is success; every other word is the fault that says why, and then nothing has changed. Programs keep objects of
what is gone, so operations reach it by its id.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mooring.core.faults import Fault, Unavailable
from tests.library.houses import House
from tests.library.pictures import difference, picture

DRIVER_CALLS = ("create_network", "delete_network", "create_endpoint", "delete_endpoint", "join", "leave")


@dataclass(frozen=True)
class Table:
    """subject: the name that every fault about it has to say. before: what is there first. states, operations: how
    they are made, a line each (see lines.run, and `make`). cells: operations in the first line, states in the first
    column. passing: states that the next start ends."""

    subject: str
    before: tuple[str, ...]
    states: dict[str, tuple[str, ...]]
    operations: dict[str, str]
    cells: str
    passing: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, str, str]]:
        """(state, operation, outcome) of every pair."""
        head, *lines = [line.split() for line in self.cells.strip().splitlines()]
        assert head == [*self.operations]
        assert [line[0] for line in lines] == [*self.states]
        return [
            (state, operation, cell) for state, *cells in lines for operation, cell in zip(head, cells, strict=True)
        ]


ENDPOINTS = Table(
    "f",
    ("network far driver=far", "sandbox box", "sandbox side", "endpoint far f"),
    {
        "absent": ("no-endpoint f",),
        "created": (),
        "attached": ("join f box",),
        "creating": ("no-endpoint f", "deaf", "! endpoint far f"),
        "joining": ("deaf", "! join f box"),
        "leaving": ("join f box", "deaf", "! leave f box"),
        "deleting": ("deaf", "! no-endpoint f"),
    },
    {
        "create": "endpoint far f",
        "join": "join f box",
        "join-other": "join f side",
        "leave": "leave f box",
        "leave-other": "leave f side",
        "delete": "no-endpoint f",
        "force": "no-endpoint f force=1",
    },
    """
             create    join      join-other leave     leave-other delete    force
    absent   ok        NotFound  NotFound   NotFound  NotFound    NotFound  NotFound
    created  Conflict  ok        ok         Conflict  Conflict    ok        ok
    attached Conflict  ok        Conflict   ok        Conflict    Conflict  ok
    creating Conflict  Conflict  Conflict   Conflict  Conflict    ok        ok
    joining  Conflict  ok        ok         Conflict  Conflict    ok        ok
    leaving  Conflict  ok        Conflict   ok        Conflict    Conflict  ok
    deleting Conflict  Conflict  Conflict   Conflict  Conflict    ok        ok
    """,
)

SANDBOXES = Table(
    "box",
    (
        *("network web", "endpoint web a", "network far driver=far", "endpoint far f"),
        *("network host driver=host", "endpoint host h", "network null driver=null", "endpoint null n"),
    ),
    {
        "absent": ("sandbox box", "no-sandbox box"),
        "own": ("sandbox box", "join n box"),
        "keyless": ("sandbox box kind=external", "join n box"),
        "external": ("sandbox box kind=external path=/proc/7/ns/net", "join n box"),
        "host": ("sandbox box kind=host", "join n box"),
        "gone": ("sandbox box kind=external path=/proc/7/ns/net", "join n box", "join a box", "vanish /proc/7/ns/net"),
        "deleting": ("sandbox box", "join f box", "join n box", "deaf", "! no-sandbox box"),
    },
    {
        "create": "sandbox box",
        "join": "join a box",
        "join-host": "join h box",
        "leave": "leave n box",
        "refresh": "refresh box",
        "change": "refresh box hostname=new",
        "key": "key box /proc/8/ns/net",
        "count": "statistics box",
        "delete": "no-sandbox box",
    },
    """
             create    join      join-host leave     refresh   change    key       count     delete
    absent   ok        NotFound  NotFound  NotFound  NotFound  NotFound  NotFound  NotFound  ok
    own      Conflict  ok        Conflict  ok        ok        ok        Conflict  ok        ok
    keyless  Conflict  ok        Conflict  ok        ok        ok        ok        ok        ok
    external Conflict  ok        Conflict  ok        ok        ok        ok        ok        ok
    host     Conflict  Conflict  ok        ok        ok        ok        Conflict  ok        ok
    gone     Conflict  NotFound  Conflict  ok        NotFound  NotFound  ok        NotFound  ok
    deleting Conflict  Conflict  Conflict  Conflict  Conflict  Conflict  Conflict  ok        ok
    """,
    passing=("gone", "deleting"),
)

NETWORKS = Table(
    "net",
    ("sandbox box",),
    {
        "absent": ("network net driver=far", "no-network net"),
        "standing": ("network net driver=far",),
        "used": ("network net driver=far", "endpoint net e"),
        "joined": ("network net driver=far", "endpoint net e", "join e box"),
        "creating": ("deaf", "! network net driver=far"),
        "deleting": ("network net driver=far", "deaf", "! no-network net"),
    },
    {
        "create": "network net driver=far",
        "create-null": "network net driver=null",
        "endpoint": "endpoint net x",
        "delete": "no-network net",
    },
    """
             create    create-null endpoint  delete
    absent   ok        ok          NotFound  NotFound
    standing Conflict  Conflict    ok        ok
    used     Conflict  Conflict    ok        Conflict
    joined   Conflict  Conflict    ok        Conflict
    creating Conflict  Conflict    Conflict  ok
    deleting Conflict  Conflict    Conflict  ok
    """,
)


async def made(table: Table, state: str) -> House:
    """The house in the state. `deaf`: the far driver does not answer; `! line` is not answered in the middle, and
    then it hears again; `vanish PATH`: a namespace of others is gone."""
    house = House()
    for path in ("/proc/7/ns/net", "/proc/8/ns/net"):
        house.namespaces.external(path)
    await house.start()
    for line in (*table.before, *table.states[state]):
        if line == "deaf":
            house.far.refusals = {call: Unavailable("the far driver does not answer") for call in DRIVER_CALLS}
        elif line.startswith("! "):
            with pytest.raises(Unavailable):
                await house.do(line.removeprefix("! "))
            house.far.refusals = {}
        elif line.startswith("vanish "):
            house.namespaces._external.discard(line.split()[1])
        else:
            await house.do(line)
    return house


async def outcome(house: House, line: str) -> tuple[str, str]:
    """`ok`, or the fault's name and what it says."""
    try:
        await house.do(line)
    except Fault as fault:
        return type(fault).__name__, str(fault)
    return "ok", ""


async def check(table: Table, state: str, operation: str, wanted: str) -> None:
    """The operation ends as it is wanted in the state; a fault says about what (a sandbox, or its namespace), and
    changes nothing; a success is one for the next process, too."""
    house = await made(table, state)
    before = await picture(house)
    got, text = await outcome(house, table.operations[operation])
    assert got == wanted, text
    after = await picture(house)
    if got != "ok":
        assert any(word in text for word in (table.subject, house.named(table.subject), "/proc/7/ns/net"))
        assert difference(before, after) == []
    elif state not in table.passing or operation == "delete":
        await house.restart()
        assert difference(after, await picture(house)) == []


@pytest.mark.parametrize(("state", "operation", "wanted"), ENDPOINTS.rows())
async def test_an_endpoint(state: str, operation: str, wanted: str) -> None:
    """Every operation on an endpoint, in every state of it."""
    await check(ENDPOINTS, state, operation, wanted)


@pytest.mark.parametrize(("state", "operation", "wanted"), SANDBOXES.rows())
async def test_a_sandbox(state: str, operation: str, wanted: str) -> None:
    """Every operation on a sandbox, in every state of it."""
    await check(SANDBOXES, state, operation, wanted)


@pytest.mark.parametrize(("state", "operation", "wanted"), NETWORKS.rows())
async def test_a_network(state: str, operation: str, wanted: str) -> None:
    """Every operation on a network, in every state of it."""
    await check(NETWORKS, state, operation, wanted)
