"""The site's nameserver, a BIND on the machine outside, has the names of containers: by transfer, and by updates."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.adapters.dns.zones import KEY, key_file, needs_named
from tests.e2e.lab import Host, eventually
from tests.e2e.lab.fixed import run
from tests.e2e.lab.names import ask

pytestmark = needs_named

ZONE, REVERSE = "docker.example.org", "32.10.in-addr.arpa"
DOCS = Path(__file__).parents[2] / "docs/names.md"
SOON = 10.0


def documented(host: Host, folder: Path) -> Iterator[Path]:
    """The two examples of docs/names.md, with the lab's addresses and files: one server has the zone by transfer, over
    IPv6, and the other takes updates."""
    for number, block in enumerate(re.findall(r"^```conf\n(.*?)^```$", DOCS.read_text(), re.DOTALL | re.MULTILINE)):
        place = folder / str(number)
        place.mkdir()
        listen = (f"listen-on-v6 {{ {host.outside.ipv6}; }}; listen-on {{ none; }};",
                  f"listen-on {{ {host.outside.ipv4}; }}; listen-on-v6 {{ none; }};")[number]  # fmt: skip
        options = f'directory "{place}"; pid-file none; session-keyfile none; recursion no; dnssec-validation no;'
        text = block.replace('include "/etc/bind/mooring.key";\n', KEY).replace("/var/lib/bind", str(place))
        text = text.replace("192.0.2.1 ", f"{host.ipv6} ").replace('zone "mooring"', f'zone "{ZONE}"')
        (place / "named.conf").write_text(f"options {{ {options} {listen} }};\ncontrols {{ }};\n{text}")
        for zone in (ZONE, REVERSE):
            (place / f"{zone}.zone").write_text("$TTL 10\n@ SOA ns host 1 60 15 86400 10\n NS ns.example.org.\n")
        yield place


@contextmanager
def site(host: Host, folder: Path) -> Iterator[None]:
    """The nameservers run, and the daemon knows of them; afterwards the daemon is as it was."""
    settings = {
        "MOORING_DNS_KEYS": str(key_file(folder)),
        "MOORING_DNS_ZONE": ZONE,
        "MOORING_DNS_TRANSFER": f"[{host.ipv6}]:5353",
        "MOORING_DNS_NOTIFY": host.outside.ipv6,
        "MOORING_DNS_UPDATE": host.outside.ipv4,
        "MOORING_DNS_UPDATE_ZONES": f"{ZONE},{REVERSE}",
    }
    before = dict(host.daemon.environment)
    with ExitStack() as ending, pytest.MonkeyPatch.context() as patch:
        # Of what begins warm the list of processes shows what it was before.
        patch.setattr(host.daemon, "warm", None)
        for place in documented(host, folder):
            log = ending.enter_context((place / "log").open("wb"))
            command = ["named", "-g", "-n1", "-c", str(place / "named.conf")]
            ending.callback(host.outside.namespace.start(command, log).kill)
            until_it_runs(place / "log")
        ending.callback(restart, host, before)
        restart(host, before | settings)
        yield


def until_it_runs(log: Path) -> None:
    """The nameserver that writes the log."""
    eventually(lambda: b" running\n" in log.read_bytes(), "named runs")


def restart(host: Host, environment: dict[str, str]) -> None:
    """The daemon, with other settings."""
    host.daemon.environment = environment
    host.daemon.stop()
    host.daemon.start()


def test_the_site_s_nameserver_follows_containers(host: Host, tmp_path: Path) -> None:
    """By NOTIFY and transfer, and by updates: a start, a stop, a kill of the daemon meanwhile; what does not work is in
    doctor and status with its reason; and no key is in a log or a list of processes."""
    host.create_network("web", "-o", "dns=on")
    secondary, primary = host.outside.ipv6, host.outside.ipv4

    def told(server: str, name: str, kind: str = "A") -> str:
        return ask(host.network, name, kind, server)

    with site(host, tmp_path):
        run(host, "db", network="web")
        address = host.addresses("db", "web")[0]
        reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
        name = f"db.web.{ZONE}"
        eventually(lambda: told(secondary, name) == address, "transferred", SOON)
        eventually(lambda: told(primary, name) == address, "updated", SOON)
        eventually(lambda: told(primary, reverse, "PTR") == f"{name}.", "the way back", SOON)
        assert ask(host.network, name) == address
        host.daemon.kill9()
        host.daemon.start()
        host.docker("rm", "-f", "db")
        eventually(lambda: told(primary, name) == "NXDOMAIN", "removed after a kill", SOON)
        eventually(lambda: told(secondary, name) == "NXDOMAIN", "gone by transfer", SOON)
        (tmp_path / "dns.keys").write_text(KEY.replace('"mooring"', '"stranger"'))
        begun = time.monotonic()
        run(host, "late", network="web")
        assert time.monotonic() - begun < 10
        eventually(
            lambda: "BADKEY: it does not know the key" in host.mooring("doctor", check=False).output, "told", SOON
        )
        assert f"names are not kept at {primary}: BADKEY" in host.mooring("status").output
        secret = KEY.split('"')[3]
        assert secret not in host.daemon.log.read_text()
        assert secret not in Path(f"/proc/{host.daemon.pid}/cmdline").read_text()
        assert secret not in Path(f"/proc/{host.daemon.pid}/environ").read_text()
