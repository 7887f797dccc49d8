"""What is said to the library, and what it says."""

from __future__ import annotations

from dataclasses import fields

from mooring.cnm.arguments import SETTINGS
from mooring.cnm.values import SandboxSettings
from mooring.core.requests import SandboxWish


def test_everything_about_a_sandbox_can_be_said() -> None:
    """The settings are those that are read, and with name, kind and path they are the whole wish."""
    assert set(SandboxSettings.__annotations__) == set(SETTINGS)
    targets = {target for target, _ in SETTINGS.values()}
    assert targets | {"name", "kind", "path"} == {each.name for each in fields(SandboxWish)}
