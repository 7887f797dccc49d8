"""The tour of libnetwork's README in Python: a controller, a network, an endpoint, a sandbox, a join.

    sudo .venv/bin/python examples/libnetwork_tour.py

Root and a kernel are enough. Everything is taken down at the end, also when a step fails.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from mooring import cnm


async def main() -> None:
    """Make everything, look at it, and end it in reverse."""
    async with AsyncExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        # A program of your own leaves the directories out: then its networks outlive it, and a reboot.
        controller = await cleanup.enter_async_context(
            cnm.Controller.open("tour", state_dir=folder / "state", run_dir=folder / "run")
        )

        # The subnet is chosen; `subnets=["10.9.0.0/24"]` would say which.
        network = await controller.create_network("network1", ipv6=True)
        cleanup.push_async_callback(network.delete)
        print(f"network  {network.name}: {', '.join(map(str, network.subnets))}")

        # From now on it has its addresses, although nothing uses them.
        endpoint = await network.create_endpoint("Endpoint1")
        cleanup.push_async_callback(endpoint.delete)

        # A network namespace with a hosts file, a resolv.conf and a resolver.
        sandbox = await controller.create_sandbox("container1", hostname="test", domain="example.org")
        cleanup.push_async_callback(sandbox.delete)

        await endpoint.join(sandbox)
        info = endpoint.info()
        print(f"endpoint {endpoint.name}: {', '.join(map(str, info.addresses))} on {info.interface}")
        print(f"gateway  {', '.join(map(str, info.gateways))}")
        print(f"sandbox  {sandbox.path}")

        # What the driver tells of it: the MAC is there under the name that libnetwork gives it.
        told = await endpoint.driver_info()
        print(f"MAC      {told['com.docker.network.endpoint.macaddress']}")


if __name__ == "__main__":
    asyncio.run(main())
