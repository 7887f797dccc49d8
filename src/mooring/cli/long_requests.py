"""Requests that may take minutes: the daemon's answer is waited for, and what it is at is said meanwhile.

Rules: news go to standard error, so that what is printed in the end can be read by a program; that there are none, or
that they cannot be had, ends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from threading import Thread
from typing import TypeVar

import click

T = TypeVar("T")

# Seconds that an answer may take: those of thousands of requests to the cluster's store.
PATIENCE = 3600.0
# Seconds between two looks at the news.
PAUSE = 2.0


def awaited(work: Callable[[], T], news: Callable[[], Sequence[str]], pause: float = PAUSE) -> T:
    """What the work returns, or raises; an interrupt does not wait for it. news: lines that are shown where they are
    not those of the look before; may raise a Fault."""
    from mooring.cli.tables import clean
    from mooring.client import Fault

    answer: Future[T] = Future()

    def body() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001  raised again by who waits
            answer.set_exception(error)

    Thread(target=body, name="request", daemon=True).start()
    told: Sequence[str] = ()
    while not wait([answer], pause).done:
        with suppress(Fault):
            lines = news()
            for line in lines if lines != told else ():
                click.echo(clean(line), err=True)
            told = lines
    return answer.result()
