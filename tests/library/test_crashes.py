"""Every operation, cut off after each of its steps: what the next start makes of it is as if it had been done, or not.

A process that dies after a step took effect and before it hears of it leaves the same world as one that dies before
its next step. So an operation of n steps can leave n + 1 worlds, and each of them is tried. Links are discarded late by
the real kernel, and a death may come first: each world is tried with the links of that operation gone, and with them
still there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

import pytest

from mooring.core.faults import Conflict
from tests.library.houses import House, killed
from tests.library.pictures import Picture, difference, picture
from tests.sweeps import stride, sweep


@dataclass(frozen=True)
class Case:
    """An operation, and what was done before, a line each (see houses.run). external: namespaces of others.
    between: an operation that is done first, and may be all that was done."""

    before: tuple[str, ...]
    operation: str
    external: tuple[str, ...] = ()
    between: str = ""


WEB = ("network web", "endpoint web a", "endpoint web b")
FAR = ("network far driver=far", "endpoint far f", "endpoint far g")
OTHER = ("network other ipam=other", "endpoint other o")
BOX = ("sandbox box", "sandbox side")
PORTS = ("sandbox box ports=8080:80",)
JOINED = (*WEB, *FAR, *PORTS, "join a box", "join f box priority=5")
BACK = ("network back families=4", "endpoint back k")
TWO = (*WEB, *BACK, *PORTS, "join a box", "join k box priority=5")
OUTSIDE = ("/proc/7/ns/net", "/proc/8/ns/net")

CASES = {
    "create network, bridge": Case((), "network web"),
    "create network, the second": Case(WEB, "network back"),
    "create network, far driver": Case((), "network far driver=far"),
    "create network, null": Case((), "network bare driver=null"),
    "create network, IPAM of another": Case((), "network other ipam=other"),
    "create network, both of others": Case((), "network other driver=far ipam=other"),
    "delete network, bridge": Case(("network web", "network back"), "no-network web"),
    "delete network, far driver": Case(("network far driver=far",), "no-network far"),
    "delete network, IPAM of another": Case(("network other ipam=other",), "no-network other"),
    "delete network, both of others": Case(("network other driver=far ipam=other",), "no-network other"),
    "create endpoint, bridge": Case(WEB, "endpoint web c"),
    "create endpoint, far driver": Case(FAR, "endpoint far h"),
    "create endpoint, address given": Case(WEB, "endpoint web c at=10.32.0.9,fd00:32::9"),
    "create endpoint, IPAM of another": Case(OTHER, "endpoint other p"),
    "delete endpoint, bridge": Case(WEB, "no-endpoint a"),
    "delete endpoint, far driver": Case(FAR, "no-endpoint f"),
    "delete endpoint, IPAM of another": Case(OTHER, "no-endpoint o"),
    "delete endpoint by force, bridge": Case(TWO, "no-endpoint k force=1", between="leave k box"),
    "delete endpoint by force, far driver": Case(JOINED, "no-endpoint f force=1", between="leave f box"),
    "join, first": Case((*WEB, *BOX), "join a box"),
    "join, first, far driver": Case((*FAR, *BOX), "join f box"),
    "join, first, ports published": Case((*WEB, *PORTS), "join a box"),
    "join, second, not the gateway": Case((*WEB, *BACK, *PORTS, "join a box"), "join k box priority=-5"),
    "join, hand-over": Case((*WEB, *BACK, *PORTS, "join a box"), "join k box priority=5"),
    "join, hand-over to the far driver": Case((*WEB, *FAR, *PORTS, "join a box"), "join f box priority=5"),
    "join, hand-over from the far driver": Case((*WEB, *FAR, *PORTS, "join f box"), "join a box priority=5"),
    "join, same network twice": Case((*WEB, *BOX, "join a box"), "join b box"),
    "join, external": Case((*WEB, "sandbox out kind=external path=/proc/7/ns/net"), "join a out", OUTSIDE),
    "join, external without a namespace": Case((*WEB, "sandbox out kind=external"), "join a out"),
    "join, external without one, far": Case((*FAR, "sandbox out kind=external"), "join f out"),
    "join, host": Case(("network h driver=host", "endpoint h x", "sandbox own kind=host"), "join x own"),
    "join, null": Case(("network n driver=null", "endpoint n x", *BOX), "join x box"),
    "leave, the only one": Case((*WEB, *PORTS, "join a box"), "leave a box"),
    "leave, far driver": Case((*FAR, *BOX, "join f box"), "leave f box"),
    "leave, hand-over": Case(TWO, "leave k box"),
    "leave, hand-over from the far driver": Case(JOINED, "leave f box"),
    "leave, hand-over to the far driver": Case((*JOINED, "endpoint web c", "join c box priority=9"), "leave c box"),
    "leave, not the gateway": Case(TWO, "leave a box"),
    "leave, external": Case(
        (*WEB, "sandbox out kind=external path=/proc/7/ns/net", "join a out"), "leave a out", OUTSIDE
    ),
    "create sandbox": Case(BOX, "sandbox new ports=80:80 hostname=new"),
    "create sandbox, external": Case((), "sandbox out kind=external path=/proc/7/ns/net", OUTSIDE),
    "create sandbox, external without a namespace": Case((), "sandbox out kind=external"),
    "create sandbox, host": Case((), "sandbox own kind=host"),
    "delete sandbox, empty": Case(BOX, "no-sandbox box"),
    "delete sandbox, two endpoints": Case(TWO, "no-sandbox box"),
    "delete sandbox, two drivers": Case(JOINED, "no-sandbox box"),
    "delete sandbox, external": Case(
        (*WEB, *FAR, "sandbox out kind=external path=/proc/7/ns/net", "join a out", "join f out"),
        "no-sandbox out",
        OUTSIDE,
    ),
    "delete sandbox, host": Case(
        ("network h driver=host", "endpoint h x", "sandbox own kind=host", "join x own"), "no-sandbox own"
    ),
    "refresh": Case(TWO, "refresh box"),
    "refresh, other name and ports": Case(TWO, "refresh box hostname=new ports=9090:90"),
    "refresh, other ports of the far driver": Case(JOINED, "refresh box ports=9090:90"),
    "set_key, the first": Case(
        (*WEB, *FAR, "sandbox out kind=external ports=80:80", "join a out", "join f out"),
        "key out /proc/7/ns/net",
        OUTSIDE,
    ),
    "set_key, another": Case(
        (*WEB, *FAR, "sandbox out kind=external path=/proc/7/ns/net", "join a out", "join f out"),
        "key out /proc/8/ns/net",
        OUTSIDE,
    ),
}

# What is not in the table above because it may be lost: see the last test.
OF_OTHERS = "IPAM of another", "both of others"


async def prepared(case: Case, *, lazy: bool) -> House:
    """The house before the operation."""
    house = House(lazy=lazy)
    for path in case.external:
        house.namespaces.external(path)
    await house.start()
    for line in case.before:
        await house.do(line)
    house.steps.clear()
    return house


@dataclass(frozen=True)
class Outcomes:
    """Pictures after a restart: of a house that was left alone, of one in which the operation was done (with its
    steps), and of one in which only its first part was. ignore: parts of pictures that do not count."""

    before: Picture
    after: Picture
    between: Picture
    steps: list[object]
    ignore: tuple[str, ...]

    async def see(self, house: House) -> Picture:
        """What counts of the house's picture."""
        return without(await picture(house), *self.ignore)


# Two sweeps of a case have the same outcomes.
_OUTCOMES: dict[str, Outcomes] = {}


async def outcomes(name: str) -> Outcomes:
    """What may become of the operation."""
    if name not in _OUTCOMES:
        _OUTCOMES[name] = await _outcomes(name)
    return _OUTCOMES[name]


async def _outcomes(name: str) -> Outcomes:
    case = CASES[name]
    ignore = ("other IPAM",) if name.endswith(OF_OTHERS) else ()
    pictures: list[Picture] = []
    steps: list[object] = []
    for line in ("", case.operation, case.between):
        if pictures and not line:  # nothing comes between
            pictures.append(pictures[0])
            continue
        house = await prepared(case, lazy=False)
        if line:
            await house.do(line)
        if line == case.operation:
            steps = list(house.steps)
        await house.restart()
        pictures.append(without(await picture(house), *ignore))
    before, after, between = pictures
    return Outcomes(before, after, between, steps, ignore)


def without(pictured: Picture, *parts: str) -> Picture:
    """The picture without those parts."""
    return {part: lines for part, lines in pictured.items() if part not in parts}


def nearest(seen: Picture, *wanted: Picture) -> list[str]:
    """How the picture differs from that which it is most like; empty when it is one of them."""
    return min((difference(seen, one) for one in wanted), key=len)


def changes(house: House) -> list[object]:
    """What this process has changed, but for telling drivers what they know."""
    return [step for step in house.steps if step != "publish"]


async def look_after(house: House, case: Case, may: Outcomes) -> list[str]:
    """What is wrong after the next start: not as it may be, not settled, or not to be done again."""
    await house.restart()
    seen = await may.see(house)
    wrong = nearest(seen, may.before, may.after, may.between)
    wrong += [line for line in house.restored if line.startswith("not done")]
    if wrong:
        return wrong
    await house.restart()
    wrong = [f"the second start changed: {change}" for change in changes(house)]
    wrong += difference(await may.see(house), seen)
    if seen != may.after and not wrong:
        house.clock.advance(3600)  # nothing cools any more
        await house.library.repair.once()
        await house.do(case.operation)
        await house.restart()
        again = difference(await may.see(house), may.after)
        # Who lost a grant to others gets other addresses the next time.
        wrong = [] if may.ignore else [f"done again: {line}" for line in again]
    return wrong


async def cut_off(case: Case, number: int, *, lazy: bool) -> House:
    """A house whose process died before that step of the operation."""
    house = await prepared(case, lazy=lazy)
    house.dies_at = number
    with killed():
        await house.do(case.operation)
    return house


async def trial(name: str, *, lazy: bool) -> dict[str, list[str]]:
    """What is wrong, by the step that was not done any more."""
    case, may = CASES[name], await outcomes(name)
    wrong: dict[str, list[str]] = {}
    steps = [*may.steps, "the answer"]
    for number in takewhile(lambda each: each < len(steps), sweep(0, lazy)):
        house = await cut_off(case, number, lazy=lazy)
        found = await look_after(house, case, may)
        if found:
            wrong[f"before step {number}, {steps[number]}"] = found
    return wrong


@pytest.mark.parametrize("lazy", [False, True], ids=["links gone", "links still there"])
@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith(OF_OTHERS)])
async def test_an_operation_that_is_cut_off_was_done_or_was_not(name: str, lazy: bool) -> None:
    """After the next start all is as before the operation or as after it; a second start changes nothing; and what was
    not done can be done."""
    assert await trial(name, lazy=lazy) == {}


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith(OF_OTHERS)])
async def test_with_an_ipam_driver_of_others_only_its_grant_may_be_lost(name: str) -> None:
    """As above, but for the other's books: it may have granted what we had no time to note, and nobody can know of it
    again. On our side there is nothing of that."""
    assert await trial(name, lazy=False) == {}


async def trial_of_starts(name: str, *, every: bool) -> dict[str, list[str]]:
    """As `trial`, with the start after it cut off before each of its own steps. every: after each step of the
    operation, not only in its middle."""
    case, may = CASES[name], await outcomes(name)
    wrong: dict[str, list[str]] = {}
    for number in range(len(may.steps) + 1) if every else [len(may.steps) // 2]:
        whole, second = False, number % stride()
        while not whole:
            house = await cut_off(case, number, lazy=True)
            house.new_process()
            house.dies_at = second
            with killed():
                await house.start()
                whole = True
            found = await look_after(house, case, may)
            if found:
                wrong[f"before step {number}, and before step {second} of the start"] = found
            second += stride()
    return wrong


@pytest.mark.parametrize(
    ("name", "every"),
    [(name, False) for name in CASES if name.startswith(("leave, hand-over", "delete sandbox, two", "set_key"))]
    + [pytest.param(name, True, marks=pytest.mark.slow) for name in CASES],
)
async def test_a_start_that_is_cut_off_is_done_by_the_next_one(name: str, every: bool) -> None:
    """The start after a crash may crash as well, anywhere, and nothing is different in the end."""
    assert await trial_of_starts(name, every=every) == {}


async def test_a_join_that_is_refused_late_was_none() -> None:
    """An interface that a driver gives for the sandbox of the host is refused, also by a process that died over it."""
    case = Case((*FAR, "sandbox own kind=host"), "join f own")
    house = await prepared(case, lazy=False)
    before = await picture(house)
    with pytest.raises(Conflict):
        await house.do(case.operation)
    for number in range(len(house.steps)):
        house = await cut_off(case, number, lazy=False)
        await house.restart()
        assert difference(before, await picture(house)) == []
