"""A Docker host of the lab: namespaces, disks, an engine and, if wanted, a mooring daemon.

Rules: what survives a reboot is in the host's folder (the engine's data, /etc/docker, the store), what does not is in
its /run and its namespaces; the daemon starts before the engine, as its unit says, and its logs are kept.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e.lab.bodies import container_body, network_body
from tests.e2e.lab.clients import DockerClient, DockerError
from tests.e2e.lab.daemons import Daemon
from tests.e2e.lab.engines import Engine
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import LabError, Namespace, Result, eventually, run, tail
from tests.e2e.lab.releases import Release, selected
from tests.e2e.lab.underlays import OUTSIDE, Underlay, address4, address6
from tests.e2e.lab.warm_starts import WarmStarts

SETUP = """
mkdir -p /etc/docker
mount --bind {folder}/run /run
mount --bind {folder}/etc-docker /etc/docker
mount --bind {folder}/resolv.conf /etc/resolv.conf
mkdir -p /run/docker/plugins /run/lock /run/mooring
hostname {name} 2>/dev/null || true
# A sysfs that shows this network namespace: engines read a bridge's ports there. It hides the control groups.
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
umount -l /run/cgroup
rmdir /run/cgroup
"""


class Host:
    """A machine with an engine at the underlay. It is off until `boot`.

    settings: MOORING_* variables for the daemon. options: flags for dockerd. release: the engine, the one that ENGINE
    names unless another is given; `change_engine` puts another on the same disks. own_ids: it has a machine id of its
    own and a boot id for each boot; else those of the machine that the tests run on, as all hosts of the lab.
    """

    own_ids = False
    warm: WarmStarts | None = None
    """What begins its daemon, and commands of Mooring's, once it has booted."""

    def __init__(
        self,
        folder: Path,
        underlay: Underlay,
        number: int,
        *,
        mooring: bool = True,
        settings: dict[str, str] | None = None,
        options: Sequence[str] = (),
        release: Release | None = None,
    ) -> None:
        self.outside = underlay.outside
        self.folder, self.number, self.with_mooring = folder, number, mooring
        self.ipv4, self.ipv6 = address4(number), address6(number)
        self._underlay, self._settings, self._options = underlay, settings or {}, options
        self.cgroup = f"/{folder.parent.name}-{number}"
        for name in ("etc-docker", "data", "state"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(f"nameserver {address4(OUTSIDE)}\n")
        self.namespace: Namespace
        self.engine: Engine
        self.daemon: Daemon
        self.proxy: DockerClient
        self.release = release or selected()
        self.on = False

    def boot(self, start: bool = True) -> None:
        """Power on: new namespaces over the same disks; mooring and the engine run when this returns, unless not."""
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        (self.folder / "run").mkdir()
        self.namespace = Namespace(f"host{self.number}", SETUP.format(folder=self.folder, name=f"host{self.number}"))
        self.on = True
        if self.own_ids:
            self._have_own_ids()
        self._underlay.plug(self.namespace, self.number)
        self.engine = Engine(self.namespace, self.folder, self.cgroup, self.release, self._options)
        self.daemon = Daemon(self.namespace, self.folder, self._settings, self.warm)
        self.proxy = DockerClient(self.folder / "run/mooring/docker.sock", self.folder / "docker-config", self.release)
        if not start:
            return
        if self.with_mooring:
            self.daemon.launch()
        self.engine.launch()
        if self.with_mooring:
            self.daemon.wait_ready()
        self.engine.wait_ready()
        self.engine.load_image()

    def _have_own_ids(self) -> None:
        machine, boot = self.folder / "machine-id", self.folder / "run/boot-id"
        if not machine.exists():
            machine.write_text(f"{uuid.uuid4().hex}\n")
        boot.write_text(f"{uuid.uuid4()}\n")
        for file, place in ((machine, "/etc/machine-id"), (boot, "/proc/sys/kernel/random/boot_id")):
            self.namespace.run("mount", "--bind", str(file), place)

    def power_off(self) -> None:
        """Everything on it ends at once, as when the cable is pulled."""
        if self.on:
            self.on = False
            self.namespace.close()
            remove_cgroups(self.cgroup)

    def reboot(self) -> None:
        """Power off and on again: nothing in memory or in the kernel survives, the disks do."""
        self.power_off()
        self.boot()

    def change_engine(self, release: Release) -> None:
        """End the engine and start another release on the same disks, as an upgrade of the package does."""
        self.engine.stop()
        self.release = self.engine.release = self.proxy.release = release
        (self.folder / "docker-config/config.json").unlink()
        self.engine = Engine(self.namespace, self.folder, self.cgroup, release, self._options)
        self.engine.start()

    def close(self) -> None:
        """Power off, and throw the disks away."""
        self.power_off()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- in daily use ----------------------------------------------------------------------------------------------

    @property
    def network(self) -> str:
        """The path of the host's own network namespace."""
        return self.namespace.network

    def docker(self, *argv: str, check: bool = True, timeout: float = 90.0) -> Result:
        """The docker command against this host's engine."""
        return self.engine.docker(*argv, check=check, timeout=timeout)

    def mooring(self, *argv: str, check: bool = True) -> Result:
        """The mooring command against this host's daemon."""
        return self.daemon.mooring(*argv, check=check)

    def create_network(self, name: str, *options: str) -> str:
        """`docker network create` with both of mooring's drivers; the network's id. Raises LabError when it fails."""
        if (body := network_body(name, options)) is not None:
            return str(self._asked(f"network create {name}", "/networks/create", body)["Id"])
        argv = ["network", "create", "-d", "mooring", "--ipam-driver", "mooring", *options, name]
        return self.docker(*argv).output.splitlines()[-1]

    def forget_networks(self) -> None:
        """Nothing waits for a network that is gone to come back."""
        if self.with_mooring and self.daemon.running:
            for row in self.daemon.leases("fixed"):
                if not row["pool"]:
                    self.daemon.mooring("lease", "release", str(row["address"]), check=False)

    def be_alone(self) -> None:
        """The host is in no cluster, whatever a test that failed has left: every doctor after it would tell of that."""
        kept = Path(self.daemon.environment["MOORING_STATE_DIR"]) / "cluster.json" if self.with_mooring else None
        if kept is not None and kept.exists():
            kept.unlink()
            self.daemon.stop()
            self.daemon.start()

    def run_container(self, name: str, *options: str, command: Sequence[str] = ("stay",)) -> str:
        """`docker run -d --name NAME OPTIONS busybox COMMAND`; the container's id. Raises LabError when it fails."""
        if (body := container_body(options, IMAGE, command)) is not None:
            made = str(self._asked(f"run {name}", f"/containers/create?name={name}", body)["Id"])
            self._asked(f"run {name}", f"/containers/{made}/start")
            return made
        return self.docker("run", "-d", "--name", name, *options, IMAGE, *command).output.splitlines()[-1]

    def _asked(self, what: str, path: str, body: object = None) -> Any:
        try:
            return self.engine.api("POST", path, body, timeout=90.0)
        except DockerError as error:
            raise LabError(f"docker {what}: Error response from daemon: {error.message}") from None

    def container_network(self, container: str) -> str:
        """The path of the container's network namespace: the host's own /proc, seen from the machine."""
        inside = int(self.engine.inspect(container)["State"]["Pid"])
        if inside == 0:
            raise LabError(f"container {container} does not run")
        return f"/proc/{self.namespace.pid}/root/proc/{inside}/ns/net"

    def in_container(self, container: str, *argv: str, check: bool = True, timeout: float = 60.0) -> Result:
        """Run one of the machine's commands in the container's network namespace, which is quicker than an exec."""
        path = self.container_network(container)
        return run(["nsenter", f"--net={path}", "--", *argv], check=check, timeout=timeout)

    def addresses(self, container: str, network: str) -> tuple[str, str]:
        """The container's IPv4 and IPv6 address in the network, "" for none."""
        found = self.engine.inspect(container)["NetworkSettings"]["Networks"][network]
        return str(found["IPAddress"]), str(found["GlobalIPv6Address"])

    def wait_state(self, container: str, running: bool, timeout: float = 40.0) -> None:
        """The container runs, or does not."""
        eventually(
            lambda: bool(self.engine.inspect(container)["State"]["Running"]) is running,
            f"container {container} {'runs' if running else 'stands still'}",
            timeout,
        )

    def logs(self) -> str:
        """The ends of the daemon's and the engine's logs."""
        parts = [
            f"---- {path.name} of host {self.number}\n{tail(path, 80)}" for path in (self.daemon.log, self.engine.log)
        ]
        return "\n".join(parts)


def remove_cgroups(parent: str) -> None:
    """The control groups under the parent are gone, in every hierarchy; their processes have ended before."""
    for root in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*")):
        top = root / parent.lstrip("/")
        if not top.is_dir():
            continue
        groups = sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
        for group in (*groups, top):
            with contextlib.suppress(OSError):
                group.rmdir()
