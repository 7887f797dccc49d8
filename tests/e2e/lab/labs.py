"""The whole lab: an underlay, an outside machine, hosts, and a folder that all of it lives in.

Rules: `close` leaves nothing; it is called at the end of the process and on SIGTERM; what a killed process left (files
and empty control groups, since processes and namespaces cannot stay) is swept by the next lab.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.lab.hosts import Host, remove_cgroups
from tests.e2e.lab.releases import Release
from tests.e2e.lab.underlays import Underlay
from tests.e2e.lab.warm_starts import WarmStarts

PREFIX = "mooring-lab-"


class Lab:
    """One underlay with one outside machine, and hosts on demand. Needs root. warm: Mooring's processes begin warm."""

    def __init__(self, warm: bool = False) -> None:
        sweep()
        self._warm = WarmStarts() if warm else None
        # Short, since the paths of unix sockets are limited to 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
        self._lock = (self.folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._hosts: list[Host] = []
        self._owner = os.getpid()
        self._closed = False
        atexit.register(self.close)
        self.underlay = Underlay()
        self.outside = self.underlay.outside

    def host(
        self,
        *,
        mooring: bool = True,
        settings: dict[str, str] | None = None,
        options: Sequence[str] = (),
        release: Release | None = None,
        boot: bool = True,
    ) -> Host:
        """A new host, booted. See Host for the parameters."""
        number = next(n for n in range(1, 200) if all(host.number != n for host in self._hosts))
        host = Host(
            self.folder / f"h{number}",
            self.underlay,
            number,
            mooring=mooring,
            settings=settings,
            options=options,
            release=release,
        )
        host.warm = self._warm
        self._hosts.append(host)
        if boot:
            host.boot()
        return host

    def discard(self, host: Host) -> None:
        """The host is gone with its disks; its number may be given again."""
        host.close()
        self._hosts.remove(host)

    @property
    def hosts(self) -> Sequence[Host]:
        """Those that were not discarded."""
        return tuple(self._hosts)

    def close(self) -> None:
        """Everything is gone. Closing twice is fine; a forked child's close does nothing."""
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        for host in self._hosts:
            host.close()
        self.underlay.close()
        if self._warm is not None:
            self._warm.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def sweep() -> None:
    """Files and control groups of labs whose process is gone are gone too."""
    for folder in Path("/tmp").glob(f"{PREFIX}*"):
        try:
            with (folder / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # in use, or just being made
        for cgroup in {path.name for path in Path("/sys/fs/cgroup").glob(f"**/{folder.name}-*")}:
            remove_cgroups(f"/{cgroup}")
        shutil.rmtree(folder, ignore_errors=True)
