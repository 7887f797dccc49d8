"""What comes over a network of ours is found when it comes: an address or a route of the host, as of a VPN that starts.

Rules: the kernel tells, nobody asks round after round; a pass of repair is what tells of it, so that there is one list
of findings; a host whose routes change all the time is not looked at all the time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from mooring.core.faults import Unavailable
from mooring.ports import Kernel
from mooring.services.ipam.host_addresses import HostAddresses
from mooring.services.networking.kernel_reconciler import KernelReconciler
from mooring.services.networking.overlaps import Overlaps

# Of the time that looks take, at most one part in so many.
SHARE = 20
# Seconds after a look that failed.
PAUSE = 5.0


class HostFollower:
    """`run` for as long as the daemon serves."""

    def __init__(self, kernel: Kernel, host: HostAddresses, overlaps: Overlaps, repair: KernelReconciler) -> None:
        self._kernel = kernel
        self._host = host
        self._overlaps = overlaps
        self._repair = repair

    async def run(self) -> None:
        """Look after each change, for ever; where that changes what is over which network, a pass follows at once."""
        loop = asyncio.get_running_loop()
        while True:
            await self._kernel.host_changed()
            started = loop.time()
            pause = PAUSE
            with suppress(Unavailable):
                if self._overlaps.moved(await self._host.look()):
                    self._repair.look_again()
                pause = SHARE * (loop.time() - started)
            await asyncio.sleep(pause)
