"""Pages of a list, whatever its length and order."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.core.faults import BadRequest
from mooring.core.filters import Page, Paging
from mooring.services.operations import pages
from mooring.services.operations.pages import Place, page_of


def place(number: int) -> Place:
    """Numbers in their order, of two kinds."""
    return number % 2, "space", 4, number.to_bytes(16, "big"), ""


async def walk(numbers: list[int], limit: int | None) -> list[int]:
    """All rows, page by page."""
    rows: list[int] = []
    page: Page[int] = Page([], "")
    while True:
        page = await page_of(numbers, Paging(limit=limit, after=page.after), place, lambda each: each)
        assert limit is None or len(page.rows) <= limit
        rows += page.rows
        if not page.after:
            return rows


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 2**128 - 1), max_size=40), st.none() | st.integers(1, 12), st.randoms())
def test_pages_are_the_list_in_its_order(numbers: set[int], limit: int | None, chance: random.Random) -> None:
    """In whatever order the items are, and however many are sorted at a stretch."""
    shuffled = sorted(numbers)
    chance.shuffle(shuffled)
    run, pages.RUN = pages.RUN, 5
    try:
        assert asyncio.run(walk(shuffled, limit)) == sorted(numbers, key=place)
    finally:
        pages.RUN = run


async def test_a_last_page_that_is_full_says_that_it_is_the_last() -> None:
    """Nobody is sent for an empty page."""
    assert (await page_of([2, 4], Paging(limit=2), place, str)).after == ""
    assert (await page_of([2, 4, 6], Paging(limit=2), place, str)).after
    assert await page_of([], Paging(limit=2), place, str) == Page([], "")


async def test_only_what_matches_is_made_into_rows() -> None:
    """And only as many as are wanted."""
    made: list[int] = []

    def row(number: int) -> int:
        made.append(number)
        return number

    page = await page_of(range(0, 1000, 2), Paging(limit=3), place, row, lambda each: each % 10 == 0)
    assert page.rows == made == [0, 10, 20]


@pytest.mark.parametrize("after", ["x", "WzEsMl0", "é", "A" * 5000, "bnVsbA", "WzEsInMiLDQsIlFRPT0iXQ"])
async def test_a_place_that_no_page_said_is_refused(after: str) -> None:
    """In one line."""
    with pytest.raises(BadRequest, match="where no page ends; use the Link header of the page before"):
        await page_of([1], Paging(after=after), place, str)
