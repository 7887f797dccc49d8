"""How thoroughly Hypothesis looks: `scripts/test fast` takes the profile of that name, everything else its default."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A third of the default: a mistake that a change makes shows in the first examples, and the full tier looks further.
# How long it takes to draw examples says how busy the machine is.
BUSY = [HealthCheck.too_slow]
settings.register_profile("default", suppress_health_check=BUSY)
settings.register_profile("fast", max_examples=35, suppress_health_check=BUSY)
settings.load_profile("default")
