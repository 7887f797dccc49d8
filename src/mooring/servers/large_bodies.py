"""Reading large bodies beside the loop.

Rule: what a client sends costs the loop no more than a small body does, however large it is. One thread reads all of
them, one after another, so that a client who sends many of them takes no more than a fair part of one processor, and
another one those that are longer than anybody usually sends, so that nobody waits behind them who does not send such
ones; the interpreter's lock goes round every few milliseconds meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Bytes that are read at once: a millisecond or two of Python.
SMALL = 1 << 14
# Bytes from which on a body is one of the long ones: some seconds of Python at the worst.
LONG = 1 << 20

_reader = ThreadPoolExecutor(1, thread_name_prefix="large-bodies")
_long_reader = ThreadPoolExecutor(1, thread_name_prefix="long-bodies")


async def read(work: Callable[[], T], size: int) -> T:
    """What `work` returns or raises, which reads that many bytes. It must touch nothing that anybody else changes."""
    if size <= SMALL:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_reader if size <= LONG else _long_reader, work)
