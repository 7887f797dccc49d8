"""A machine whose first process is systemd: units, sockets and the engine's own service as on a real host.

Rules: it lives in namespaces and in a control group of its own, on a disk laid over the root of systemd_roots; it ends
with the process that made it; nothing of the real machine can be reached from it.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.e2e.lab import images, systemd_roots
from tests.e2e.lab.connections import SocketConnection
from tests.e2e.lab.hosts import remove_cgroups
from tests.e2e.lab.namespaces import LabError, Result, children, clean_environment, eventually, run, tail

# The control group is entered first, and is the root of the machine's own view of the groups.
BOOT = """
set -eu
echo $$ >{cgroup}/cgroup.procs
exec unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child --propagation private sh -eu -c '
{mount}cd {root}
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
for node in null zero full random urandom tty; do : >dev/$node; mount --bind /dev/$node dev/$node; done
mkdir -p dev/pts dev/shm dev/net
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 shm dev/shm
: >dev/net/tun; mount --bind /dev/net/tun dev/net/tun
mount -t tmpfs -o mode=755 run run
hostname boot
ip link set lo up
mkdir -p mnt
pivot_root . mnt
umount -l /mnt
exec env -i container=lxc PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
'
"""


class SystemdMachine:
    """Off until `boot`. folder: of the lab, for its disks. units: Mooring is set up already, by hand."""

    def __init__(self, folder: Path, units: bool = True) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.log = folder / "console.log"
        self.disk = systemd_roots.Disk(folder)
        self.disk.install(units)
        self.disk.write("image.tar", images.archive())
        self._cgroup = Path()
        self._booted: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def boot(self, timeout: float = 120.0) -> None:
        """Power on; every job of the boot is done when this returns, well or not."""
        base = Path("/sys/fs/cgroup/unified")
        base = base if base.is_dir() else Path("/sys/fs/cgroup")
        self._cgroup = Path(tempfile.mkdtemp(prefix=f"{self.folder.parent.name}-", dir=base))
        script = BOOT.format(cgroup=self._cgroup, root=self.disk.path, mount=self.disk.mount)
        with self.log.open("ab") as log:
            # It dies with this process, and with it everything inside.
            argv = ["setpriv", "--pdeathsig", "KILL", "bash", "-c", script]
            self._booted = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(), start_new_session=True
            )
        booted = self._booted

        def first() -> int:
            if booted.poll() is not None:
                raise LabError(f"the machine did not boot:\n{tail(self.log)}")
            born = children(booted.pid)
            return born[0] if born and Path(f"/proc/{born[0]}/comm").read_text() == "systemd\n" else 0

        self._pid = eventually(first, "systemd is the first process", 30.0)
        eventually(self.settled, "the boot's jobs are done", timeout, step=0.2)

    def settled(self) -> bool:
        """The manager answers, and has no job to do."""
        listed = self.run("systemctl", "list-jobs", "--no-legend", check=False)
        started = self.run("systemctl", "is-active", "basic.target", check=False).ok
        return started and listed.ok and "mooring" not in listed.output and "docker" not in listed.output

    def run(self, *argv: str, check: bool = True, timeout: float = 90.0) -> Result:
        """Run it inside to its end."""
        spaces = ["--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup"]
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        inside = [
            "nsenter",
            "--target",
            str(self._pid),
            *spaces,
            "--root",
            "--",
            "sh",
            "-c",
            'cd / && exec "$@"',
            "sh",
            *argv,
        ]
        return run(inside, check=check, timeout=timeout, environment={"PATH": path, "LANG": "C.UTF-8"})

    def docker(self, *argv: str, check: bool = True, timeout: float = 90.0) -> Result:
        """The docker command."""
        return self.run("docker", *argv, check=check, timeout=timeout)

    def mooring(self, *argv: str, check: bool = True, timeout: float = 90.0) -> Result:
        """The mooring command."""
        return self.run(f"/{systemd_roots.HOME}/bin/mooring", *argv, check=check, timeout=timeout)

    def answers(self, path: str) -> bool:
        """Mooring's API answers a GET of the path with success, as `mooring` asks it; without a process for each."""
        connection = SocketConnection(f"/proc/{self._pid}/root/run/mooring/api.sock", 20)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            reply = connection.getresponse()
            reply.read()
            return reply.status == 200
        return False

    def systemctl(self, *argv: str, check: bool = True, timeout: float = 90.0) -> Result:
        """systemctl inside."""
        return self.run("systemctl", *argv, check=check, timeout=timeout)

    def journal(self, unit: str = "mooring") -> str:
        """What the unit said."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False).output

    def load_image(self) -> None:
        """The lab's image is there."""
        self.docker("import", "/image.tar", images.IMAGE)

    def power_off(self) -> None:
        """Everything on it ends at once; the disks stay."""
        if self._booted is None:
            return
        booted, self._booted = self._booted, None
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        elif booted.poll() is None:
            booted.kill()
        booted.wait(60)
        self._pid = 0
        for _ in range(300):  # what was killed in it takes its time
            remove_cgroups(f"/{self._cgroup.name}")
            if not self._cgroup.exists():
                break
            time.sleep(0.1)

    def reboot(self) -> None:
        """Power off and on again; the disks stay."""
        self.power_off()
        self.boot()

    def close(self) -> None:
        """Power off, and throw the disks away."""
        self.power_off()
        shutil.rmtree(self.folder, ignore_errors=True)
