"""How thoroughly Hypothesis looks: `scripts/test fast` takes the profile of that name, everything else its default.

And what thousands of tests need stays for good, so that the garbage collector does not look through it again and again.
"""

from __future__ import annotations

import gc

from hypothesis import HealthCheck, settings

# A fifth of the default: a mistake that a change makes shows in the first examples, and the full tier looks further.
# How long it takes to draw examples says how busy the machine is.
BUSY = [HealthCheck.too_slow]
settings.register_profile("default", suppress_health_check=BUSY)
settings.register_profile("fast", max_examples=20, suppress_health_check=BUSY)
settings.load_profile("default")


def pytest_configure() -> None:
    """What is collected is no garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor will it be."""
    gc.freeze()
    gc.enable()
