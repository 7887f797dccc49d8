"""The API's calls are values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from ipaddress import ip_address
from typing import get_args

import pytest

from mooring.wire import api


def test_every_call_is_named_by_a_route() -> None:
    """The docstring of each begins with its method and path, as the list of routes has it."""
    routes = {route.split("{")[0] for route in api.ROUTES}
    for call in get_args(api.Call):
        words = (call.__doc__ or "").replace(":", " ").replace(".", " ").split()
        assert f"{words[0]} {words[1]}".split("{")[0] in routes, call


def test_a_call_cannot_be_changed() -> None:
    """What was parsed is what is carried out."""
    call = api.Release(ip_address("10.0.0.1"))
    with pytest.raises(FrozenInstanceError):
        call.force = True  # type: ignore[misc]
