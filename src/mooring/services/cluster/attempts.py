"""Work of the cluster's that is tried, and done again later if it fails.

Rule: whatever goes wrong is noted as a fault, and ends nobody's loop; a mistake of ours has its traceback in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mooring.core.faults import Fault, Unavailable

T = TypeVar("T")

log = logging.getLogger(__name__)


async def attempted(what: str, work: Callable[[], Awaitable[None]], note: Callable[[Fault], None]) -> bool:
    """Whether the work was done; what went wrong is noted. what: for a person."""
    try:
        await work()
    except Exception as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # a group of tasks, or `gather`, has made another exception of that
            raise asyncio.CancelledError from None
        if isinstance(error, Fault):
            note(error)
            return False
        log.exception("the cluster: %s failed with an internal error", what)
        note(Unavailable(f"{what} failed with an internal error", hint="see the log"))
        return False
    return True


async def all_of(*works: Awaitable[T]) -> list[T]:
    """What they give, who go on at the same time; none is under way any more when it ends. Raises what the first one
    raised; whoever is cancelled is, also at the moment at which one of them fails, which `asyncio.gather` forgets."""
    found: list[T] = []
    for each in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(each, BaseException):
            raise each
        found.append(each)
    return found
