"""A minute of everything that fails, while containers come and go on three hosts. `make nightly` has ten."""

from __future__ import annotations

import random

from tests.e2e.lab.chaos import Chaos
from tests.e2e.lab.clusters import LabCluster

SECONDS = 60.0


def test_no_address_has_two_users_is_lost_or_leaks_in_a_minute_of_chaos(cluster: LabCluster) -> None:
    """Members, ways, daemons, engines and hosts fail, each kind at least once. `make chaos SEED=` has the seed again,
    which says what fails, not when whose call comes first."""
    seed = random.randrange(10**6)
    chaos = Chaos(cluster, SECONDS, seed)
    wrong = chaos.play()
    print(*chaos.story, sep="\n")  # told when it fails
    assert wrong == [], f"seed {seed}: {dict(chaos.did)}"
    assert chaos.did["started"] + chaos.did["started with a key"] > 10, f"seed {seed}: {dict(chaos.did)}"
