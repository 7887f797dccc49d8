"""Two sandboxes that ping each other by name.

    sudo .venv/bin/python examples/two_sandboxes.py

Root, a kernel and util-linux are enough: the ping is at the end of this file. Everything is taken down at the end, also
when a step fails.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from mooring import cnm

# What a container runtime does: into the namespace, and the sandbox's own files over those of the host.
ENTER = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'


async def run_in(sandbox: cnm.Sandbox, *command: str) -> None:
    """Run a program as if it were in a container. Raises Unavailable when it fails."""
    process = await asyncio.create_subprocess_exec(
        "nsenter", f"--net={sandbox.path}", "unshare", "--mount",
        "sh", "-c", ENTER, "sh", sandbox.hosts_path, sandbox.resolv_conf_path, *command,
    )  # fmt: skip
    if await process.wait():
        raise cnm.Unavailable(f"{command[0]} failed in sandbox {sandbox.name}")


async def main() -> None:
    """A network, two sandboxes on it, and a ping each way."""
    async with AsyncExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        controller = await cleanup.enter_async_context(
            cnm.Controller.open("two-sandboxes", state_dir=folder / "state", run_dir=folder / "run")
        )
        network = await controller.create_network("playground")
        cleanup.push_async_callback(network.delete)
        sandboxes = []
        for name in ("alice", "bob"):
            endpoint = await network.create_endpoint(name)
            cleanup.push_async_callback(endpoint.delete)
            sandbox = await controller.create_sandbox(name, hostname=name)
            cleanup.push_async_callback(sandbox.delete)
            await endpoint.join(sandbox)
            print(f"{name} has {endpoint.ipv4}", flush=True)
            sandboxes.append(sandbox)
        for sandbox, other in zip(sandboxes, reversed(sandboxes), strict=True):
            await run_in(sandbox, sys.executable, __file__, "ping", other.name)


def ping(name: str) -> None:
    """Look the name up, send an ICMP echo request (RFC 792) and wait for the reply."""
    address = socket.gethostbyname(name)
    head, text = struct.pack("!BBxxHH", 8, 0, 1, 1), b"a mooring holds what drifts"
    packet = head + text + b"\0" * (len(text) % 2)
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as echo:
        echo.settimeout(5)
        echo.connect((address, 0))
        echo.send(packet[:2] + struct.pack("!H", ~total & 0xFFFF) + packet[4:])
        while True:
            answer = echo.recv(2048)
            header = (answer[0] & 15) * 4
            if answer[header] == 0:
                break
    print(f"{name} is {address} and answers", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["ping"]:
        ping(sys.argv[2])
    else:
        asyncio.run(main())
