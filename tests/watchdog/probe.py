"""How long the loop is held, in processor time of its own thread: a loaded machine makes nothing longer."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Milliseconds. The product's bound is 50; a processor that is shared, cold or slow may need some times as much for the
# same work, and what grows faster than its input needs seconds.
BOUND = 300.0


@dataclass(slots=True)
class Watch:
    """longest: of one callback or one step of a task, in milliseconds. which: what it was."""

    longest: float = 0.0
    which: str = "nothing"


@contextmanager
def watched() -> Iterator[Watch]:
    """Measures every callback of asyncio's own loop. The garbage of other tests is collected before."""
    watch = Watch()
    run = asyncio.events.Handle._run

    def measured(handle: asyncio.events.Handle) -> None:
        # The loop's methods are called in its thread; what was scheduled in others runs there, too.
        before = time.thread_time()
        run(handle)
        spent = (time.thread_time() - before) * 1e3
        if spent > watch.longest:
            watch.longest, watch.which = spent, repr(handle)[:400]

    gc.collect()
    gc.disable()
    asyncio.events.Handle._run = measured  # type: ignore[method-assign, assignment]
    try:
        yield watch
    finally:
        asyncio.events.Handle._run = run  # type: ignore[method-assign]
        gc.enable()


async def held(work: Callable[[], Awaitable[object]], tries: int = 3) -> Watch:
    """The shortest of the longest holds of some tries: what is the work's own, and not the machine's."""
    found: list[Watch] = []
    for _ in range(tries):
        with watched() as watch:
            await asyncio.sleep(0)
            await work()
            await asyncio.sleep(0)
        found.append(watch)
        if watch.longest < BOUND:
            break
    return min(found, key=lambda each: each.longest)


async def assert_short(work: Callable[[], Awaitable[object]], tries: int = 3) -> None:
    """Nothing of the work holds the loop for long."""
    watch = await held(work, tries)
    print(f"longest hold: {watch.longest:.1f} ms in {watch.which}")
    assert watch.longest < BOUND, f"{watch.longest:.0f} ms in {watch.which}"
