"""Work of the cluster's that is tried, and done again later if it fails.

Rule: whatever goes wrong is noted as a fault, and ends nobody's loop; a mistake of ours has its traceback in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mooring.core.faults import Fault, Unavailable

log = logging.getLogger(__name__)


async def attempted(what: str, work: Callable[[], Awaitable[None]], note: Callable[[Fault], None]) -> bool:
    """Whether the work was done; what went wrong is noted. what: for a person."""
    try:
        await work()
    except Fault as fault:
        note(fault)
    except Exception:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # a group of tasks has made another exception of that
            raise asyncio.CancelledError from None
        log.exception("the cluster: %s failed with an internal error", what)
        note(Unavailable(f"{what} failed with an internal error", hint="see the log"))
    else:
        return True
    return False
