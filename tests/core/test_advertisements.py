"""Keys of advertisements."""

from __future__ import annotations

import pytest

from mooring.core.advertisements import advertised_at, advertisement_key, host_prefix


@pytest.mark.parametrize("endpoint", ["e" * 64, ""])
def test_a_key_says_whose_it_is(endpoint: str) -> None:
    """Host, network and endpoint, and the host's own addresses."""
    key = advertisement_key("h/1", "n1", endpoint)
    assert advertised_at(key) == ("h/1", "n1", endpoint)
    assert key.startswith(host_prefix("h/1"))


@pytest.mark.parametrize("key", ["ep/h1", "block/h/n/e", "ep/a/b/c/d"])
def test_another_key_is_refused(key: str) -> None:
    """It is somebody else's."""
    with pytest.raises(ValueError):
        advertised_at(key)
