"""How thoroughly Hypothesis looks: `scripts/test fast` takes the profile of that name, everything else its default."""

from __future__ import annotations

from hypothesis import settings

# A third of the default: a mistake that a change makes shows in the first examples, and the full tier looks further.
settings.register_profile("fast", max_examples=35)
