"""A Docker engine of the lab: its process.

Rule: the engine runs in its host's namespaces, and finds containerd, runc and its other programs in its own suite.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.lab import images
from tests.e2e.lab.clients import DockerClient, DockerError
from tests.e2e.lab.namespaces import LabError, Namespace, Process, eventually, run, tail
from tests.e2e.lab.releases import Release


@functools.cache
def storage_driver() -> str:
    """overlay2 where a file system in /tmp can be the upper layer of an overlay, or else vfs."""
    script = (
        "d=$(mktemp -d /tmp/mooring-overlay-XXXXXX); mkdir $d/l $d/u $d/w $d/m; status=0;"
        "mount -t overlay -o lowerdir=$d/l,upperdir=$d/u,workdir=$d/w o $d/m 2>/dev/null || status=1;"
        "umount $d/m 2>/dev/null; rm -rf $d; exit $status"
    )
    probe = run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], check=False)
    return "overlay2" if probe.ok else "vfs"


class Engine(DockerClient):
    """One dockerd. folder: its files on the machine; options: further flags, as `--live-restore`."""

    def __init__(
        self, namespace: Namespace, folder: Path, cgroup: str, release: Release, options: Sequence[str] = ()
    ) -> None:
        super().__init__(folder / "run/docker.sock", folder / "docker-config", release)
        self.namespace = namespace
        self.folder = folder
        self.log = folder / "dockerd.log"
        self._cgroup = cgroup
        self._options = list(options)
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """dockerd's process id, as the machine sees it."""
        if self._process is None:
            raise LabError("dockerd was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None and self._process.running

    def launch(self) -> None:
        """Start dockerd; it need not be ready when this returns."""
        argv = [self.release.program("dockerd"), "--data-root", str(self.folder / "data")]
        argv += ["--cgroup-parent", self._cgroup]
        argv += ["--exec-opt", "native.cgroupdriver=cgroupfs", "--storage-driver", storage_driver()]
        argv += ["-H", "unix:///run/docker.sock", *self._options]
        with self.log.open("ab") as log:
            self._process = self.namespace.start(argv, log, {"PATH": self.release.path})

    def wait_ready(self, timeout: float = 60.0) -> None:
        """It answers. Raises LabError with the log's end when it ends instead."""

        def ready() -> bool:
            if self._process is not None and not self._process.running:
                raise LabError(f"dockerd ended:\n{tail(self.log)}")
            with contextlib.suppress(OSError, http.client.HTTPException, DockerError):
                self.api("GET", "/info", timeout=5)
                return True
            return False

        eventually(ready, f"dockerd answers at {self.socket}", timeout, step=0.05)

    def start(self) -> None:
        """Start dockerd; it answers when this returns."""
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """End dockerd as a service manager does."""
        if self._process is not None:
            self._process.kill(signal.SIGTERM, timeout=40)

    def kill9(self) -> None:
        """End dockerd with SIGKILL; containerd and the containers live on."""
        if self._process is not None:
            self._process.kill(signal.SIGKILL)

    def load_image(self) -> None:
        """The lab's image is there."""
        try:
            self.api("GET", f"/images/{images.IMAGE}/json")
        except DockerError:
            name, tag = images.IMAGE.split(":")
            self.api("POST", f"/images/create?fromSrc=-&repo={name}&tag={tag}", images.archive())
