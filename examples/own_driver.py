"""A network driver of one's own: every endpoint is a veth pair to the host, which routes between them; no bridge.

    sudo .venv/bin/python examples/own_driver.py

The driver is the class; the rest puts two sandboxes on it and lets one ping the other.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from mooring import cnm


async def run(command: str, *, check: bool = True) -> None:
    """Run it without a shell; a failure that counts is a fault, since that is all that a driver may raise."""
    process = await asyncio.create_subprocess_exec(
        *command.split(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()
    if check and process.returncode:
        raise cnm.Unavailable(f"{command}: {error.decode().strip()}")


class RoutedDriver(cnm.Driver):
    """Needs no records: what it makes follows from the endpoint. So `remembers` stays False."""

    async def create_network(self, network: cnm.NetworkRecord) -> None:
        """Nothing is there before an endpoint joins, but the host has to forward."""
        if network.ipv6:
            raise cnm.BadRequest("this example routes IPv4 only", hint="leave ipv6 out")
        await run("sysctl -qw net.ipv4.ip_forward=1")

    async def join(
        self, network: cnm.NetworkRecord, endpoint: cnm.EndpointRecord, request: cnm.JoinRequest
    ) -> cnm.Attachment:
        """Make the pair; the sandbox fetches the end that is named, and gives it the addresses that were assigned."""
        await self.leave(network, endpoint)  # after a crash it may be there already
        host, inside = f"rh-{endpoint.id[:12]}", f"ri-{endpoint.id[:12]}"
        await run(f"ip link add {host} type veth peer name {inside}")
        await run(f"sysctl -qw net.ipv4.conf.{host}.proxy_arp=1")
        await run(f"ip link set {host} up")
        gateway = network.ipv4[0].gateway
        if gateway is not None:
            await run(f"ip address add {gateway.ip}/32 dev {host}")
        for address in endpoint.addresses:
            await run(f"ip route add {address}/32 dev {host}")
        return cnm.Attachment(inside, "eth", gateway.ip if gateway is not None else None, None)

    async def leave(self, network: cnm.NetworkRecord, endpoint: cnm.EndpointRecord) -> None:
        """One end goes, and the other with it; what is not there is gone already."""
        await run(f"ip link delete rh-{endpoint.id[:12]}", check=False)


async def main() -> None:
    """Two sandboxes on a network of that driver."""
    with tempfile.TemporaryDirectory() as folder:
        opened = cnm.Controller.open(
            "own-driver",
            state_dir=Path(folder, "state"),
            run_dir=Path(folder, "run"),
            drivers={"routed": RoutedDriver()},
        )
        async with opened as controller:
            network = await controller.create_network("apart", "routed")
            endpoints, sandboxes = [], []
            for name in ("one", "two"):
                endpoint = await network.create_endpoint(name)
                sandbox = await controller.create_sandbox(name)
                await endpoint.join(sandbox)
                print(f"{name}: {endpoint.ipv4} on {endpoint.interface}")
                endpoints.append(endpoint)
                sandboxes.append(sandbox)
            target = endpoints[1].ipv4
            assert target is not None
            await run(f"nsenter --net={sandboxes[0].path} ping -c 1 -W 5 {target.ip}")
            print(f"one reaches two at {target.ip}")
            for sandbox in sandboxes:
                await sandbox.delete()
            for endpoint in endpoints:
                await endpoint.delete()
            await network.delete()


if __name__ == "__main__":
    asyncio.run(main())
