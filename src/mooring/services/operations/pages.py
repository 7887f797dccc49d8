"""Pages of a list: in order, a part at a time, and never all of it at a stretch.

Rules: a page begins behind the place where the one before ended, so that what comes and goes meanwhile neither repeats
nor hides a row that stays; others run while many are gone through, however many there are.
"""

from __future__ import annotations

import heapq
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import TypeVar

import msgspec

from mooring.core.faults import BadRequest
from mooring.core.filters import Page, Paging
from mooring.services.records.pacing import Pace

I = TypeVar("I")  # noqa: E741  an item
R = TypeVar("R")

# Where a row stands in its list. One form for all lists: what a list does not need is empty.
Place = tuple[float, str, int, bytes, str]

# Items that are sorted at a stretch: a few milliseconds.
RUN = 4096


async def page_of(
    items: Iterable[I],
    wanted: Paging,
    place: Callable[[I], Place],
    row: Callable[[I], R],
    matches: Callable[[I], bool] = lambda _: True,
) -> Page[R]:
    """The page that is wanted of the items that match, by their places, no two of which are the same.

    Raises BadRequest when `after` is not what an earlier page said.
    """
    after, pace = _place_of(wanted.after), Pace()
    runs: list[list[tuple[Place, I]]] = [[]]
    for item in items:
        await pace.step()
        if not matches(item):
            continue
        where = place(item)
        if after is None or where > after:
            runs[-1].append((where, item))
        if len(runs[-1]) >= RUN:
            runs[-1].sort(key=itemgetter(0))
            runs.append([])
    runs[-1].sort(key=itemgetter(0))
    rows: list[R] = []
    last: Place | None = None
    for where, item in heapq.merge(*runs, key=itemgetter(0)):
        await pace.step()
        if wanted.limit is not None and len(rows) >= wanted.limit and last is not None:
            return Page(rows, _text_of(last))
        rows.append(row(item))
        last = where
    return Page(rows)


def _text_of(place: Place) -> str:
    return urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def _place_of(text: str) -> Place | None:
    if not text:
        return None
    try:
        place: Place = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Place)
    except (ValueError, msgspec.DecodeError):
        raise BadRequest(
            f"parameter after is {text[:40]!r}, where no page ends", hint="use the Link header of the page before"
        ) from None
    return place
