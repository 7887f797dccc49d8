"""Bodies: what they leave out, and what they cannot be."""

from __future__ import annotations

import msgspec
import pytest

from mooring.core.faults import BadRequest
from mooring.wire import api


def test_what_a_body_leaves_out_has_its_default() -> None:
    """As v1 was published."""
    assert msgspec.json.decode(b'{"first":"10.0.0.1"}', type=api.Reserve) == api.Reserve(
        "10.0.0.1", "", "", "", "", None
    )
    assert msgspec.json.decode(b'{"address":"10.0.0.1"}', type=api.Release) == api.Release("10.0.0.1", "", False, False)
    assert msgspec.json.decode(b'{"address":"10.0.0.1"}', type=api.Hold) == api.Hold("10.0.0.1", "", "", None, False)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (api.Hold, {"address": "10.0.0.1", "hold": -1.0}),
        (api.Hold, {"address": "10.0.0.1", "hold": float("nan")}),
        (api.FixContainer, {"container": ""}),
        (api.Backup, {"path": "relative.db"}),
        (api.Backup, {"path": "/a\0b"}),
    ],
)
def test_what_cannot_be_is_a_fault_on_either_side(kind: type[msgspec.Struct], fields: dict[str, object]) -> None:
    """A program that asks is told at once."""
    with pytest.raises(BadRequest):
        kind(**fields)
