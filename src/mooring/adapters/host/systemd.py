"""The service manager: readiness, watchdog, sockets handed over. Nothing here fails where there is no systemd.

Rules: the protocol is spoken by hand (sd_notify(3), sd_listen_fds(3)), it is thirty lines; variables that are meant for
this process only are taken out of the environment, so that no child believes them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mooring.core.faults import Unavailable

# SD_LISTEN_FDS_START of sd-daemon.h.
FIRST_DESCRIPTOR = 3


class Notifier:
    """Tells the service manager how we are. Without one, telling does nothing."""

    def __init__(self, address: str) -> None:
        """address: the text of NOTIFY_SOCKET, "" for none; a leading @ stands for the abstract namespace."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.ready = False  # READY=1 was told, or would have been if anybody listened

    @property
    def listens(self) -> bool:
        """There is a service manager."""
        return bool(self._address)

    def tell(self, *lines: str) -> None:
        """Send the assignments, such as `READY=1`. Best effort: a manager that is gone is no reason to stop."""
        self.ready = self.ready or "READY=1" in lines
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            # Never wait for a manager that does not read.
            channel.setblocking(False)
            channel.sendto("\n".join(lines).encode(), self._address)


def notifier(environment: MutableMapping[str, str]) -> Notifier:
    """The notifier for NOTIFY_SOCKET, which is taken out of the environment."""
    return Notifier(environment.pop("NOTIFY_SOCKET", ""))


def is_service(environment: Mapping[str, str], root: Path = Path("/")) -> bool:
    """Whether the process is a service of systemd's, which may start others (systemd.exec(5), INVOCATION_ID)."""
    return bool(environment.get("INVOCATION_ID")) and (root / "run/systemd/system").is_dir()


def watchdog_period(environment: MutableMapping[str, str], pid: int) -> float | None:
    """Seconds within which WATCHDOG=1 is due, None when nobody watches this process (sd_watchdog_enabled(3))."""
    microseconds = environment.pop("WATCHDOG_USEC", "")
    meant_for = environment.pop("WATCHDOG_PID", str(pid))
    if not microseconds.isdecimal() or int(microseconds) == 0 or meant_for != str(pid):
        return None
    return int(microseconds) / 1e6


def handed_over(environment: MutableMapping[str, str], pid: int) -> dict[str, list[socket.socket]]:
    """The listening sockets that the manager made for us, by their FileDescriptorName, "" for those without one.

    The variables are taken out of the environment, and the descriptors are no longer inherited. Raises Unavailable when
    a descriptor is not a listening stream socket.
    """
    meant_for = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if meant_for != str(pid) or not count.isdecimal():
        return {}
    found: dict[str, list[socket.socket]] = {}
    for offset in range(int(count)):
        descriptor = FIRST_DESCRIPTOR + offset
        name = names[offset] if offset < len(names) else ""
        found.setdefault(name, []).append(_listening(descriptor, name))
    return found


def _listening(descriptor: int, name: str) -> socket.socket:
    what = f"the socket {name or descriptor} from the service manager is not a listening stream socket"
    hint = "check mooring.socket: only ListenStream is supported"
    try:
        handed = socket.socket(fileno=descriptor)
        listens = handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise Unavailable(what, hint=hint) from error
    if handed.type != socket.SOCK_STREAM or not listens:
        handed.detach()
        raise Unavailable(what, hint=hint)
    handed.setblocking(False)
    handed.set_inheritable(False)
    return handed


async def keep_alive(notifier: Notifier, period: float) -> None:
    """Say that the loop turns, twice in each period."""
    while True:
        notifier.tell("WATCHDOG=1")
        await asyncio.sleep(period / 2)


@dataclass(frozen=True, slots=True)
class Manager:
    """What the service manager gave this process. watchdog: the period in seconds, None when nobody watches.

    sockets: by name; they stay open, and whoever serves them takes a copy, so that another may serve them afterwards.
    """

    notifier: Notifier
    watchdog: float | None
    sockets: Mapping[str, Sequence[socket.socket]]

    @property
    def supervises(self) -> bool:
        """Somebody starts this process anew when it ends, and nobody sits in front of it."""
        return self.notifier.listens or bool(self.sockets)

    def take(self) -> dict[str, list[socket.socket]]:
        """Copies of the sockets."""
        return {name: [each.dup() for each in sockets] for name, sockets in self.sockets.items()}

    def close(self) -> None:
        """Nobody will serve the sockets any more."""
        for sockets in self.sockets.values():
            for each in sockets:
                each.close()


def manager(environment: MutableMapping[str, str], pid: int) -> Manager:
    """Everything that was given, taken out of the environment. Raises as `handed_over`."""
    return Manager(notifier(environment), watchdog_period(environment, pid), handed_over(environment, pid))
