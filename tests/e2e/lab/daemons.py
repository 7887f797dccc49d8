"""The mooring daemon of a host: its process, its settings, and the mooring command.

Rules: it runs inside its host's namespaces with the default paths, but for the store's, and with the capabilities that
its unit gives it; the interpreter is the one that runs the tests, so that what is tested is what is checked out. It
begins warm where that makes no difference.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import sys
from pathlib import Path
from typing import Any

from tests.e2e.lab.connections import SocketConnection
from tests.e2e.lab.namespaces import LabError, Namespace, Process, Result, eventually, run, tail
from tests.e2e.lab.warm_starts import WarmStarts

SOURCE = Path(__file__).resolve().parents[3] / "src"
UNIT = SOURCE.parent / "packaging/systemd/mooring.service"


def as_its_unit(*more: str) -> list[str]:
    """The command before the daemon's own: a root of these capabilities only, and of more that a drop-in gives."""
    line = next(line for line in UNIT.read_text().splitlines() if line.startswith("CapabilityBoundingSet="))
    names = [*line.partition("=")[2].lower().split(), *more]
    return ["setpriv", "--bounding-set", ",".join(["-all", *(f"+{name.removeprefix('cap_')}" for name in names)])]


class Daemon:
    """One `mooring serve`. folder: its host's files on the machine. warm: what begins it, and commands; None for a new
    interpreter each time."""

    def __init__(
        self, namespace: Namespace, folder: Path, settings: dict[str, str] | None = None, warm: WarmStarts | None = None
    ) -> None:
        self.namespace, self.warm = namespace, warm
        self.log = folder / "mooring.log"
        inside = (settings or {}).get("MOORING_PLUGIN_SOCKET", "/run/docker/plugins/mooring.sock")
        self.plugin_socket = folder / inside.lstrip("/")  # the host's /run is in the folder
        self.api_socket = folder / "run/mooring/api.sock"
        self._run_dir = folder / "run/mooring"
        self.environment = {
            "MOORING_STATE_DIR": str(folder / "state"),
            "MOORING_CONFIG": str(folder / "mooring.toml") if (folder / "mooring.toml").exists() else "",
            "MOORING_LOG_LEVEL": "debug",
            "PYTHONPATH": str(SOURCE),
        } | (settings or {})
        if not self.environment["MOORING_CONFIG"]:
            del self.environment["MOORING_CONFIG"]
        # docs/tenants.md says what else the unit needs for that.
        more = ("cap_sys_admin",) if self.environment.get("MOORING_TENANTS") == "separate" else ()
        self.command = [*as_its_unit(*more), sys.executable, "-m", "mooring", "serve"]
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Its process id, as the machine sees it."""
        if self._process is None:
            raise LabError("mooring was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None and self._process.running

    def launch(self) -> None:
        """Start it; it need not be ready when this returns."""
        with self.log.open("ab") as log:
            if self.warm is not None and self.warm.takes(self.command, self.environment):
                started = self.warm.start(self.command, log, self.environment, self.namespace)
                self._process = self.namespace.adopt(started)
            else:
                self._process = self.namespace.start(self.command, log, self.environment)

    def wait_ready(self, timeout: float = 60.0) -> None:
        """It serves: the store is read, calls are answered. Raises LabError with the log when it ends instead."""

        def ready() -> bool:
            if not self.running:
                raise LabError(f"mooring ended:\n{tail(self.log)}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                return bool(self.api("/v1/version"))
            return False

        eventually(ready, "mooring serves", timeout)

    def start(self) -> None:
        """Start it; it listens when this returns."""
        self.launch()
        self.wait_ready()

    def stop(self) -> int:
        """End it as a service manager does; its exit status."""
        return self._process.kill(signal.SIGTERM) if self._process is not None else 0

    def kill9(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill(signal.SIGKILL)

    def mooring(self, *argv: str, check: bool = True, timeout: float = 60.0) -> Result:
        """The mooring command, as an operator gives it."""
        environment = {"MOORING_RUN_DIR": str(self._run_dir), "PYTHONPATH": str(SOURCE)}
        command = [sys.executable, "-m", "mooring", *argv]
        runs = self.warm.run if self.warm is not None else run
        return runs(command, check=check, timeout=timeout, environment=environment)

    def document(self, *argv: str) -> Any:
        """What a mooring command prints with --format json."""
        return json.loads(self.mooring(*argv, "--format", "json").output)

    def api(self, path: str, timeout: float = 20.0) -> Any:
        """The document at the path of the API, as `/v1/leases`."""
        connection = SocketConnection(str(self.api_socket), timeout)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        if reply.status != 200:
            raise LabError(f"GET {path}: {reply.status} {content.decode(errors='replace')}")
        return json.loads(content)

    def leases(self, state: str = "", network: str = "") -> list[dict[str, Any]]:
        """The leases, those that cool down left out unless they are asked for."""
        rows = self.api(f"/v1/leases?state={state}" if state else "/v1/leases")
        assert isinstance(rows, list)
        kept = [row for row in rows if state or row["state"] != "cooling"]
        return [row for row in kept if not network or row["network"] == network]

    def held(self, network: str = "") -> list[str]:
        """The addresses that containers hold, in order."""
        return [str(row["address"]) for row in self.leases("dynamic", network) + self.leases("fixed", network)]
