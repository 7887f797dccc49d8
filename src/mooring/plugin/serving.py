"""A plugin's socket, from its making to its end.

Rules: dockerd runs as root and is the only client, so the socket is root's alone; one of a living process is never
taken; at the end calls under way are answered, and what was made is removed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from mooring.adapters.host import listeners
from mooring.core.faults import BadRequest, Unavailable
from mooring.plugin.drivers import IpamDriver, NetworkDriver
from mooring.plugin.methods import methods_of
from mooring.servers.http import HttpServer, Limits
from mooring.servers.plugin.dispatch import BODY_LIMIT, DEADLINE, ProtocolDoor, fail

log = logging.getLogger(__name__)

# Where dockerd looks for sockets and for files that say where a socket is (moby pkg/plugins/discovery.go).
SOCKETS = Path("/run/docker/plugins")
SPECS = Path("/etc/docker/plugins")


def serve(
    socket: str | Path,
    *,
    network_driver: NetworkDriver | None = None,
    ipam_driver: IpamDriver | None = None,
    spec: str | Path | None = None,
    threads: int = 1,
    deadline: float = DEADLINE,
) -> None:
    """Be a plugin until SIGTERM or SIGINT. Blocks.

    socket: a path, or a plugin's name, which means /run/docker/plugins/NAME.sock. spec: of a socket elsewhere, a name
    or path of the file that tells dockerd of it; a name means /etc/docker/plugins/NAME.spec. threads: how many plain
    methods run at once; with one they need no locks. deadline: seconds for a call, below the 30 of dockerd.

    Raises Conflict when a living process has the socket, BadRequest, Unavailable.
    """

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await serve_async(
                socket, network_driver=network_driver, ipam_driver=ipam_driver, spec=spec, threads=threads,
                deadline=deadline,
            )  # fmt: skip

    with asyncio.Runner() as runner:
        runner.run(run())


async def serve_async(
    socket: str | Path,
    *,
    network_driver: NetworkDriver | None = None,
    ipam_driver: IpamDriver | None = None,
    spec: str | Path | None = None,
    threads: int = 1,
    deadline: float = DEADLINE,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """As `serve`, in a loop of the program's own, until it is cancelled. ready: called when dockerd can connect."""
    path = placed(socket, SOCKETS, ".sock")
    with ThreadPoolExecutor(_at_least_one(threads), thread_name_prefix="driver") as pool:
        door = ProtocolDoor(
            methods_of(network_driver, ipam_driver, pool),
            deadline=deadline,
            internal=lambda _, error: f"{type(error).__name__}: {error}",  # dockerd says itself what it called
            when_slow="see the log of the plugin",
        )
        listener = listeners.listen(path, 0o600)
        made = listeners.identity(path)
        try:
            with _announced(path, spec):
                log.info("serving at %s", path)
                ready()
                await HttpServer(fail, Limits(body=BODY_LIMIT)).serve(listener, door)
        finally:
            listener.close()
            listeners.remove(path, made)


def placed(name: str | Path, folder: Path, suffix: str) -> Path:
    """The absolute path, or that of a plain name in the folder. Raises BadRequest for what is neither."""
    text = str(name)
    if "/" not in text:
        if not text or text.startswith(".") or not text.isprintable():
            raise BadRequest(f"{text!r} is not the name of a plugin")
        return folder / f"{text.removesuffix(suffix)}{suffix}"
    if not text.startswith("/"):
        raise BadRequest(f"{text!r} is not an absolute path", hint="give one, or a plugin's plain name")
    return Path(text)


def _at_least_one(threads: int) -> int:
    if threads < 1:
        raise BadRequest(f"threads={threads}: at least one is needed")
    return threads


@contextmanager
def _announced(socket: Path, spec: str | Path | None) -> Iterator[None]:
    """The file that tells dockerd of the socket is there meanwhile. Raises Unavailable."""
    if spec is None:
        yield
        return
    path = placed(spec, SPECS, ".spec")
    text = f"unix://{socket}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
    try:
        yield
    finally:
        with suppress(OSError):
            if path.read_text() == text:  # another one's stays
                path.unlink()
