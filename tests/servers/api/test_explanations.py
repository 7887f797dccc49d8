"""Explanations over the API."""

from __future__ import annotations

import pytest

from tests.servers.api.asking import api


@pytest.mark.parametrize("what", ["10.32.0.2", "fd00:32::2", "db", "10.32.0.0%2F24", "02:42:0a:20:00:02"])
async def test_anything_is_explained(what: str) -> None:
    """An address, a name, a subnet, a MAC."""
    assert (await (await api()).get(f"/v1/explain/{what}")).json["reasons"]
