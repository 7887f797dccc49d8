"""Drivers by name."""

from __future__ import annotations

import pytest

from mooring.core.faults import NotFound
from mooring.ports import Driver, IpamDriver
from mooring.services.drivers.null import BareDriver
from mooring.services.drivers.registry import Drivers
from mooring.testing.memory_driver import MemoryDriver
from tests.services.hosts import MemoryHost


class Finder:
    """Finds one network driver and one IPAM driver under any name."""

    def __init__(self) -> None:
        self.driver = MemoryDriver()
        self.ipam = MemoryHost().services.ipam

    async def network_driver(self, name: str) -> Driver:
        """`self.driver`."""
        return self.driver

    async def ipam_driver(self, name: str) -> IpamDriver:
        """`self.ipam`."""
        return self.ipam


async def test_what_is_given_goes_before_plugins() -> None:
    """A name that is built in is never looked for."""
    null, finder = BareDriver(), Finder()
    own = MemoryHost().services.ipam
    drivers = Drivers({"null": null}, {"default": own}, finder)
    assert await drivers.network_driver("null") is null
    assert await drivers.network_driver("weave") is finder.driver
    assert await drivers.ipam_driver("default") is own
    assert await drivers.ipam_driver("weave") is finder.ipam


async def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    """The refusal says what could have been meant."""
    drivers = Drivers({"null": BareDriver(), "bridge": BareDriver()}, {"default": MemoryHost().services.ipam})
    assert drivers.names == ("bridge", "null")
    with pytest.raises(NotFound, match="no network driver 'weave'; there are bridge, null"):
        await drivers.network_driver("weave")
    with pytest.raises(NotFound, match="no IPAM driver 'weave'; there are default, null"):
        await drivers.ipam_driver("weave")
