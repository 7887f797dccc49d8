"""A client of Docker's API at a socket, the engine's own or the proxy's, and the docker command.

Rules: the API is spoken over the unix socket by this process itself, since a docker command costs a twentieth of a
second; what a user would see is checked through the docker command.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

from tests.e2e.lab.connections import SocketConnection
from tests.e2e.lab.namespaces import Result, clean_environment, run
from tests.e2e.lab.releases import Release


class DockerError(Exception):
    """The engine refused. status: HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


class DockerClient:
    """Docker at a socket. config: a folder for the docker command's own files. release: whose docker command it is."""

    def __init__(self, socket: Path, config: Path, release: Release) -> None:
        self.socket = socket
        self.config = config
        self.release = release
        config.mkdir(parents=True, exist_ok=True)
        if not (settings := config / "config.json").exists():
            settings.write_text(json.dumps({"cliPluginsExtraDirs": [str(release.cli_plugins)]}))

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
        return run([self.release.program("docker"), *argv], check=check, timeout=timeout, environment=self.environment)

    def command(
        self, *argv: str, stdin: int = subprocess.DEVNULL, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """The docker command, running; its two streams of output are one pipe, unless stdin is a terminal."""
        out = stdin if stdin >= 0 else subprocess.PIPE
        return subprocess.Popen(
            [self.release.program("docker"), *argv],
            stdin=stdin,
            stdout=out,
            stderr=out if stdin >= 0 else subprocess.STDOUT,
            env=clean_environment() | self.environment | (environment or {}),
            start_new_session=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What makes docker's tools speak to this socket."""
        return {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(self.config), "PATH": self.release.path}

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
