"""A Docker engine of the lab: its process, its API, and the docker command.

Rules: the API is spoken over the unix socket by this process itself, since a docker command costs a twentieth of a
second; what a user would see is checked through the docker command; the engine runs in its host's namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import shutil
import signal
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e.lab import images
from tests.e2e.lab.connections import SocketConnection
from tests.e2e.lab.namespaces import LabError, Namespace, Process, Result, eventually, run, tail


class DockerError(Exception):
    """The engine refused. status: HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


@functools.cache
def docker_command() -> str:
    """The docker client: Debian's before any other."""
    found = "/usr/bin/docker" if os.access("/usr/bin/docker", os.X_OK) else shutil.which("docker")
    if found is None:
        raise LabError("docker is not installed (packaging/debian-packages.txt)")
    return found


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


class Engine:
    """One dockerd. folder: its files on the machine; options: further flags, as `--live-restore`."""

    def __init__(self, namespace: Namespace, folder: Path, cgroup: str, options: Sequence[str] = ()) -> None:
        self.namespace = namespace
        self.folder = folder
        self.socket = folder / "run/docker.sock"
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

    def launch(self) -> None:
        """Start dockerd; it need not be ready when this returns."""
        dockerd = shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if dockerd is None:
            raise LabError("dockerd is not installed (packaging/debian-packages.txt)")
        argv = [dockerd, "--data-root", str(self.folder / "data"), "--cgroup-parent", self._cgroup]
        argv += ["--exec-opt", "native.cgroupdriver=cgroupfs", "--storage-driver", storage_driver()]
        argv += ["-H", "unix:///run/docker.sock", *self._options]
        with self.log.open("ab") as log:
            self._process = self.namespace.start(argv, log)

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

    def api(self, method: str, path: str, body: object = None, timeout: float = 60.0) -> Any:
        """One call; the reply's JSON document, or its text. Raises DockerError for a status of 400 and up."""
        connection = SocketConnection(str(self.socket), timeout)
        try:
            if isinstance(body, bytes):
                connection.request(method, path, body, {"Content-Type": "application/x-tar"})
            elif body is None:
                connection.request(method, path)
            else:
                connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        text = content.decode(errors="replace")
        document: Any = text
        with contextlib.suppress(ValueError):
            document = json.loads(text)
        if reply.status >= 400:
            message = document.get("message", text) if isinstance(document, dict) else text
            raise DockerError(reply.status, message)
        return document

    def docker(self, *argv: str, check: bool = True, timeout: float = 60.0) -> Result:
        """The docker command, as a user gives it. Raises LabError when it fails, unless check is False."""
        environment = {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(self.folder / "docker-config")}
        return run([docker_command(), *argv], check=check, timeout=timeout, environment=environment)

    def inspect(self, container: str) -> dict[str, Any]:
        """`docker inspect` of the container."""
        document = self.api("GET", f"/containers/{urllib.parse.quote(container)}/json")
        assert isinstance(document, dict)
        return document

    def containers(self) -> list[str]:
        """The ids of all containers, also those that do not run."""
        return [str(item["Id"]) for item in self.api("GET", "/containers/json?all=1")]

    def networks(self) -> list[str]:
        """The names of all networks but the engine's own three."""
        names = [str(item["Name"]) for item in self.api("GET", "/networks")]
        return [name for name in names if name not in {"bridge", "host", "none"}]

    def clear(self) -> None:
        """No container and no network is left but the engine's own."""
        for container in self.containers():
            with contextlib.suppress(DockerError):
                self.api("DELETE", f"/containers/{container}?force=1&v=1")
        for network in self.networks():
            with contextlib.suppress(DockerError):
                self.api("DELETE", f"/networks/{network}")
