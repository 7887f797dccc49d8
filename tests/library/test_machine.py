"""The whole library against a naive model: any order of operations, two at once, faults, deaths, restarts, reboots."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mooring.core.faults import Fault
from tests.library.houses import House, killed
from tests.library.invariants import check, seen_as_model
from tests.library.naive import ENDPOINTS, LINES, NETWORKS, PATHS, SANDBOXES, Model, Place

T = TypeVar("T")

SANDBOX, ENDPOINT = st.sampled_from([*SANDBOXES]), st.sampled_from(ENDPOINTS)
JOIN = st.builds("join {} {} priority={}".format, ENDPOINT, SANDBOX, st.integers(-1, 2))
ANY_LINE = st.one_of(
    st.sampled_from(LINES),
    JOIN,
    JOIN,
    st.builds("leave {} {}".format, ENDPOINT, SANDBOX),
    st.builds("refresh {}{}".format, SANDBOX, st.sampled_from(["", " hostname=new"])),
    st.builds("key {} {}".format, SANDBOX, st.sampled_from(PATHS)),
    st.builds("no-endpoint {}{}".format, ENDPOINT, st.sampled_from(["", " force=1"])),
    st.builds("no-sandbox {}".format, SANDBOX),
    st.builds("no-network {}".format, st.sampled_from([*NETWORKS])),
)


# IPv6: that the host forwards, and that its uplinks go on to hear routers.
FORWARDING = "forwarding: 2 items repaired"


def besides_host(lines: Sequence[str]) -> list[str]:
    """What was put right, but for the host's forwarding of IPv6: after a reboot that is off until there is something
    to forward, and the first interface may be that of a network of IPv4 alone."""
    return [line for line in lines if line != FORWARDING]


class LibraryMachine(RuleBasedStateMachine):
    """Drives a house and the model with the same lines."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.house = House(lazy=True)
        self.model = Model()
        self.run(self.begin())

    def teardown(self) -> None:
        """Close the loop."""
        self.runner.close()

    def run(self, work: Awaitable[T]) -> T:
        """Do it on the machine's loop."""

        async def waited() -> T:
            return await work

        return self.runner.run(waited())

    async def begin(self) -> None:
        """Namespaces of others are there."""
        self.plant()
        await self.house.start()

    def plant(self) -> None:
        """As the model has them."""
        for path in sorted(self.model.there):
            self.house.namespaces.external(path)

    async def outcome(self, line: str) -> str:
        """`ok`, or the name of the fault."""
        try:
            await self.house.do(line)
        except Fault as fault:
            return type(fault).__name__
        return "ok"

    def do(self, line: str) -> None:
        """The line ends as the model says."""
        wanted, self.model = self.model.after(line)
        assert self.run(self.outcome(line)) == wanted, line

    @initialize(lines=st.sets(st.sampled_from(LINES), min_size=10))
    def apply(self, lines: set[str]) -> None:
        """Some things are there."""
        for line in LINES:
            if line in lines:
                self.do(line)

    @rule(line=ANY_LINE)
    def one(self, line: str) -> None:
        """Alone."""
        self.do(line)

    @rule(line=JOIN)
    def join(self, line: str) -> None:
        """Joining is what it is all about."""
        self.do(line)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Whoever is somewhere leaves."""
        inside = sorted((name, place.sandbox) for name, place in self.model.endpoints.items() if place.sandbox)
        if inside:
            name, sandbox = data.draw(st.sampled_from(inside))
            self.do(f"leave {name} {sandbox}")

    @rule(one=ANY_LINE, other=ANY_LINE)
    def two_at_once(self, one: str, other: str) -> None:
        """Two operations at once end as one after the other would, in either order."""

        async def both() -> tuple[str, str]:
            async with asyncio.TaskGroup() as tasks:
                first, second = tasks.create_task(self.outcome(one)), tasks.create_task(self.outcome(other))
            return first.result(), second.result()

        got = self.run(both())
        first, then = self.model.after(one)
        second, after = then.after(other)
        late, behind = self.model.after(other)
        early, last = behind.after(one)
        # Who sees the other's deletion begin finds in the end that there is nothing left to do, which is success.
        fitting = [
            model
            for wanted, model in (((first, second), after), ((early, late), last))
            if all(
                a == b or (line.startswith("no-") and (a, b) == ("ok", "NotFound"))
                for line, a, b in zip((one, other), got, wanted, strict=True)
            )
        ]
        seen = seen_as_model(self.house.library)
        assert [model for model in fitting if seen == model.visible()], (one, other, got)
        self.model = next(model for model in fitting if seen == model.visible())

    # By force what a driver was not told stays with it.
    @rule(
        line=ANY_LINE.filter(lambda line: "force" not in line),
        at=st.integers(0, 12),
        again=st.booleans(),
        late=st.booleans(),
    )
    def refused(self, line: str, at: int, again: bool, late: bool) -> None:
        """A step that is refused is a fault, and nothing is done; or the line, or the next start, goes on from there.
        late: one of its commits took effect, and the answer was lost."""
        wanted, after = self.model.after(line)
        if late:
            self.house.lose_answer(at % 4)
        else:
            self.house.refuse_at = len(self.house.steps) + at
        got = self.run(self.outcome(line))
        self.house.calm()
        if got == wanted:
            self.model = after
            if wanted != "ok":  # the step may have been one of undoing, which the next start goes on with
                self.run(self.house.restart())
            return
        assert got == "Unavailable", (line, got)
        if again:
            self.run(self.outcome(line))
            self.run(self.house.mend())
            self.model = after
        else:
            self.run(self.house.restart())
            self.settle_on(self.model, after)

    @rule(line=ANY_LINE, at=st.integers(0, 12))
    def killed(self, line: str, at: int) -> None:
        """A death in the middle is as if the operation had been done or not, after the next start."""
        self.house.dies_at = len(self.house.steps) + at
        with killed():
            self.run(self.outcome(line))
        self.run(self.house.restart())
        places = [self.model.after(line)[1]]
        if line.endswith("force=1"):  # it leaves first
            name = line.split()[1]
            places += [self.model.placed(name, Place())] if name in self.model.endpoints else []
        self.settle_on(self.model, *places)

    def settle_on(self, *models: Model) -> None:
        """The house is as one of them."""
        seen = seen_as_model(self.house.library)
        fitting = [model for model in models if seen == model.visible()]
        assert fitting, seen
        self.model = fitting[0]

    @rule()
    def restart(self) -> None:
        """Nothing is different, and nothing was to be done."""
        self.run(self.house.restart())
        assert not besides_host(self.house.restored), self.house.restored

    @rule()
    def reboot(self) -> None:
        """Namespaces are gone, and their sandboxes; other processes have the paths of others."""
        self.model = self.model.rebooted()
        self.house.kernel.reboot()
        self.house.namespaces.reboot()
        self.house.far.joined.clear()
        self.plant()
        self.run(self.house.restart())

    @rule(path=st.sampled_from(PATHS))
    def lose(self, path: str) -> None:
        """A namespace of others went while no process of ours looked."""
        self.model = self.model.lost(path)
        self.house.namespaces._external.discard(path)
        self.run(self.house.restart())

    @rule()
    def repair(self) -> None:
        """There is nothing to repair."""
        report = self.run(self.house.mend())
        assert not besides_host(report.repaired), report
        assert not report.findings, report

    @invariant()
    def all_is_right(self) -> None:
        """What is there follows from the model, and from nothing else."""
        assert seen_as_model(self.house.library) == self.model.visible()
        wrong = self.run(check(self.house))
        assert not wrong, wrong


class LongMachine(LibraryMachine):
    """The same, for the slow tier."""


LIMITS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
TestSome = LibraryMachine.TestCase
TestSome.settings = settings(LIMITS, max_examples=15, stateful_step_count=20)
TestMany = pytest.mark.slow(LongMachine.TestCase)
TestMany.settings = settings(LIMITS, max_examples=150, stateful_step_count=40)
