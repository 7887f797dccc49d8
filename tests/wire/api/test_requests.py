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


def test_what_is_the_default_is_not_sent() -> None:
    """A daemon of before, which runs until it is restarted after an upgrade, refuses fields that it does not know."""
    named = (each for each in vars(api).values() if isinstance(each, type) and issubclass(each, msgspec.Struct))
    bodies = [each for each in named if each.__module__.endswith(".requests")]
    assert len(bodies) > 20
    assert [kind.__name__ for kind in bodies if not kind.__struct_config__.omit_defaults] == []
    assert msgspec.json.encode(api.RemoveVnic("v", dry_run=False)) == b'{"vnic":"v"}'
    assert msgspec.json.encode(api.RemoveVnic("v", dry_run=True)) == b'{"vnic":"v","dry_run":true}'


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
