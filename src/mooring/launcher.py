"""For launchers: programs that make the interface of a container before the container, as ciao's does.

    from mooring.launcher import Launcher

    launcher = Launcher()
    made = launcher.create("172.16.5.0/24", "172.16.5.5", tenant="red", mtu=1400, instance="i-1")
    subprocess.run(["docker", "run", "-d", "--name", "i-1", *made.run, "busybox", "httpd", "-f"], check=True)
    ...
    subprocess.run(["docker", "rm", "-f", "i-1"], check=True)
    launcher.destroy("172.16.5.5", tenant="red")

The Docker network comes with the first VNIC of a tenant and subnet, and goes with the last one: what the daemon's
answers say of it is done here, by the `docker` command. Everything else is `mooring.client`.

Rules: each method may be called again, after whatever happened, and by several at once; refusals are the daemon's, one
line with what to do next. It is synchronous, as the client is; threads may share a launcher.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mooring.client import SOCKET, Client, Unavailable, VnicNetwork, VnicRow

# Seconds that another launcher has to finish the network that it has begun.
PATIENCE = 10.0
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Made:
    """A VNIC that is there. run: what `docker run` is told so that the container gets it. changed: False when it was
    there before."""

    vnic: VnicRow
    run: tuple[str, ...]
    changed: bool


class Launcher:
    """socket: the daemon's API socket. docker: the command that makes and removes networks, with its options.

    Methods raise the daemon's faults, and Unavailable with Docker's words when that refuses a network.
    """

    def __init__(self, socket: str = SOCKET, docker: Sequence[str] = ("docker",)) -> None:
        self._client = Client(socket)
        self._docker = tuple(docker)

    def create(
        self, subnet: str, address: str, *, tenant: str = "", mac: str = "", mtu: int | None = None, gateway: str = "",
        routes: tuple[str, ...] = (), instance: str = "", adopt: str = "",
    ) -> Made:  # fmt: skip
        """An interface for the container that gets the address is there, and its Docker network. The parameters are
        those of Client.create_vnic."""
        reply = self._client.create_vnic(
            subnet, address, tenant=tenant, mac=mac, mtu=mtu, gateway=gateway, routes=routes, instance=instance,
            adopt=adopt,
        )  # fmt: skip
        assert reply.vnic is not None
        run = reply.run
        if reply.network.state == "create" and self._make(reply.vnic.id, reply.network):
            run = self._client.vnic(reply.vnic.id).run  # who made the network may have named it
        return Made(reply.vnic, tuple(run.split()), reply.changed)

    def adopt(self, link: str, subnet: str, address: str, *, tenant: str = "", gateway: str = "") -> Made:
        """As `create`, with an interface of the host that is there already and stays in the end."""
        return self.create(subnet, address, tenant=tenant, gateway=gateway, adopt=link)

    def destroy(self, vnic: str, *, tenant: str = "", force: bool = False) -> bool:
        """The VNIC (ID, address or interface) is gone, and the Docker network with the last one of its subnet; whether
        it was there. force: also while a container has it."""
        reply = self._client.remove_vnic(vnic, tenant=tenant, force=force)
        if reply.network.state == "remove":
            refused = self._run(reply.network.command)
            if refused and "not found" not in refused.lower():
                # Somebody has made another VNIC for it meanwhile, or a container that has none is in it.
                raise Unavailable(f"the VNIC is gone, and Docker keeps its network: {refused}")
        return reply.changed

    def list(self, *, tenant: str = "", subnet: str = "", instance: str = "") -> list[VnicRow]:
        """The VNICs that match everything given."""
        return self._client.vnics(tenant=tenant, subnet=subnet, instance=instance)

    def _make(self, vnic: str, network: VnicNetwork) -> bool:
        """The network is there; whether another launcher has made it."""
        refused = self._run(network.command)
        until = time.monotonic() + PATIENCE
        while refused and self._client.vnic(vnic).network.state != "there":
            if time.monotonic() > until:
                raise Unavailable(f"Docker has not made the network {network.name}: {refused}")
            time.sleep(_PAUSE)
        return bool(refused)

    def _run(self, command: str) -> str:
        """What the command was refused with, "" when it was not. Raises Unavailable when there is no such command."""
        words = [*self._docker, *command.split()[1:]]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        except OSError as error:
            raise Unavailable(f"{words[0]} cannot be run: {error.strerror}") from error
        return done.stderr.strip() or f"exit {done.returncode}" if done.returncode else ""
