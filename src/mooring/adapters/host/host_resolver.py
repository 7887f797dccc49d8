"""The host's own resolver, systemd-resolved, asking the DNS server for the names of containers, and for no others.

What resolved is told of all links (resolved.conf, `DNS=` with `Domains=~zone`) is one list of servers, any of which is
asked for everything (systemd#20119, systemd#18056). So there is a link of its own for the zone: its server is asked for
names in its routing domain and never for others, so no question comes back to us by the host's nameserver.

Rules: the link is a veth pair, both ends on the host, which NetworkManager leaves alone by its own rules; resolved
heeds the servers of a link that has an address and is up, so the server's address is on it; reverse zones are not ours
alone, and are left where they are.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mooring.core.dns_places import ADDRESS4, LINK, PEER
from mooring.core.faults import Unavailable

UNIT = "mooring-dns.service"
RESOLVED = "systemd-resolved.service"
_FOLDER = Path("etc/systemd/system")

Systemctl = Callable[..., bool]


@dataclass(frozen=True, slots=True)
class HostResolver:
    """root: "/", or that of a test. systemctl: carries a verb out, and says whether it succeeded; raises Unavailable
    unless `check` is False."""

    root: Path
    systemctl: Systemctl

    @property
    def path(self) -> Path:
        """Of the unit."""
        return self.root / _FOLDER / UNIT

    @property
    def installed(self) -> bool:
        """Whether it is there."""
        return self.path.exists()

    def check(self) -> None:
        """Raises Unavailable for a host whose names somebody else resolves."""
        hint = "docs/names.md has the lines for dnsmasq and for NetworkManager with dnsmasq"
        if not (self.root / "run/systemd/system").is_dir():
            raise Unavailable("this host does not use systemd", hint=hint)
        if not self.systemctl("is-active", RESOLVED, check=False):
            raise Unavailable("systemd-resolved does not run on this host", hint=hint)

    def changes(self, zone: str) -> bool:
        """Whether an install would do anything."""
        with contextlib.suppress(OSError):
            return self.path.read_text() != unit(zone)
        return True

    def install(self, zone: str) -> None:
        """The unit is there, enabled, and has done its work. Raises Unavailable."""
        try:
            self.path.write_text(unit(zone))
        except OSError as error:
            raise Unavailable(f"cannot write {self.path}: {error.strerror}") from error
        self.systemctl("daemon-reload")
        self.systemctl("enable", UNIT)
        self.systemctl("restart", UNIT)

    def remove(self) -> None:
        """The link and the unit are gone; without them nothing is to be done. Raises Unavailable."""
        if not self.installed:
            return
        self.systemctl("disable", UNIT)
        self.systemctl("stop", UNIT)
        try:
            self.path.unlink()
        except OSError as error:
            raise Unavailable(f"cannot remove {self.path}: {error.strerror}") from error
        self.systemctl("daemon-reload")


def has_link() -> bool:
    """Whether the host's resolver is told to ask the DNS server: both ends are there. One alone is none of ours, such
    as a bridge of Docker's that was called so."""
    with contextlib.suppress(OSError):
        return all(socket.if_nametoindex(end) for end in (LINK, PEER))
    return False


def unit(zone: str) -> str:
    """The unit's text. resolvectl(1)."""
    lines = [
        f"ip link show {LINK} >/dev/null 2>&1 || ip link add {LINK} type veth peer name {PEER}",
        f"ip link set {LINK} addrgenmode none up && ip link set {PEER} addrgenmode none up",
        f"ip address replace {ADDRESS4}/32 dev {LINK}",
        f"resolvectl dns {LINK} {ADDRESS4}",
        f"resolvectl domain {LINK} '~{zone}'",
        f"resolvectl default-route {LINK} no",
        *(f"resolvectl {what} {LINK} no" for what in ("llmnr", "mdns", "dnssec")),
    ]
    starts = "".join(f'ExecStart=/bin/sh -ec "{line}"\n' for line in lines)
    return (
        "# Made by `mooring dns install --host`; `mooring dns uninstall --host` removes it.\n"
        "[Unit]\n"
        "Description=Mooring: systemd-resolved asks for the names of containers\n"
        "Documentation=man:mooring(1)\n"
        f"Requires={RESOLVED}\n"
        f"After={RESOLVED}\n"
        "Before=mooring.service\n"
        # A resolved that was killed is started anew, and may not answer yet when it is told of the link.
        "StartLimitIntervalSec=0\n\n"
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nRestart=on-failure\nRestartSec=1\n"
        f"{starts}"
        # Also after a start that failed half-way, which ExecStop does not follow (systemd.service(5)).
        f"ExecStopPost=-ip link delete {LINK}\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
