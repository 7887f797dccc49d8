"""What is said to the library, and what it says."""

from __future__ import annotations

from dataclasses import fields

from mooring.cnm.arguments import SETTINGS
from mooring.cnm.values import SandboxSettings, Subnet
from mooring.core.requests import SandboxSpec


def test_everything_about_a_sandbox_can_be_said() -> None:
    """The settings are those that are read, and with name, kind and path they are the whole wish."""
    assert set(SandboxSettings.__annotations__) == set(SETTINGS)
    targets = {target for target, _ in SETTINGS.values()}
    assert targets | {"name", "kind", "path"} == {each.name for each in fields(SandboxSpec)}


def test_a_subnet_prints_what_is_special_in_it() -> None:
    """And nothing else."""
    assert str(Subnet("10.9.0.0/24")) == "10.9.0.0/24"
    whole = Subnet("10.9.0.0/24", range="10.9.0.128/25", gateway="10.9.0.1", auxiliary={"printer": "10.9.0.9"})
    assert str(whole) == "10.9.0.0/24, range 10.9.0.128/25, gateway 10.9.0.1, printer 10.9.0.9"
