"""Who holds a lease, in words."""

from __future__ import annotations

import pytest

from mooring.core.containers import Holder
from mooring.core.intents import PLACEHOLDER
from mooring.core.leases import State
from mooring.services.records.holder_names import holder_names, holder_of, in_words
from tests.services.samples import DB, leased, sample


@pytest.mark.parametrize("state", list(State))
async def test_every_state_is_told_in_a_few_words(state: State) -> None:
    """What a change is shown with; free is a word, too."""
    cache = (await sample()).cache
    assert in_words(leased("10.0.0.1", state), cache)
    assert in_words(None, cache) == "free"


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_a_holder_in_words(state: State) -> None:
    """No state is without an answer to who has it."""
    assert holder_of(leased("10.0.0.1", state), None)


async def test_holders_have_names_and_one_that_is_being_made_comes_last() -> None:
    """By name where one is known, else the beginning of the id."""
    cache = (await sample()).cache
    await cache.commit(put=[Holder(id=DB, engine="engine", name="db", since=0.0)])
    lease = leased("10.0.0.1", State.FIXED, holders=frozenset({f"{PLACEHOLDER}1", DB, "f" * 64}))
    names = holder_names(lease, cache)
    assert names == ["container db", f"container {'f' * 12}", "container that is being created"]
