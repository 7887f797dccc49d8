"""The engine's own setting: all its containers ask the host's DNS server, and lose nothing when that is gone."""

from __future__ import annotations

import json
import sys
import time

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, eventually
from tests.e2e.lab.fixed import run
from tests.e2e.lab.names import RESOLVER, SERVER, ask, upstream
from tests.e2e.lab.namespaces import Result


def mooring(host: Host, *argv: str, check: bool = True) -> Result:
    """The command on the host, where it sees its files and processes."""
    settings = [f"{name}={value}" for name, value in host.daemon.environment.items()]
    return host.namespace.run("env", *settings, sys.executable, "-m", "mooring", *argv, check=check)


def test_every_container_of_the_engine_asks_and_none_depends_on_it(make_host: MakeHost) -> None:
    """Those of the default network and of Docker's own are forwarded, with everybody's names and no network's; nobody
    outside is answered; what runs keeps running, and resolves while the daemon is down and after an uninstall."""
    host = make_host(options=("--live-restore",))
    file = host.folder / "etc-docker/daemon.json"
    before = '{\n\t"debug": false,\n\t"labels": [ "rack=7" ]\n}\n'
    file.write_text(before)
    plan = mooring(host, "dns", "install", "--dry-run").output
    assert f'+\t"dns": ["{SERVER}", "{host.outside.ipv4}"]' in plan
    assert file.read_text() == before
    said = mooring(host, "dns", "install").output
    assert "containers keep running (live-restore)" in said
    assert "nobody answers" not in said
    assert json.loads(file.read_text())["dns"] == [SERVER, host.outside.ipv4]
    with upstream(host.outside.network, "203.0.113.7"):
        run(host, "early", network="bridge")
        host.engine.stop()
        host.engine.start()
        assert SERVER not in host.docker("exec", "early", "cat", "/etc/resolv.conf").output
        assert host.engine.inspect("early")["State"]["Running"]
        host.create_network("web")
        host.docker("network", "create", "own")
        run(host, "db", network="web")
        run(host, "plain", network="bridge")
        run(host, "other", network="own")
        assert SERVER in host.docker("exec", "plain", "cat", "/etc/resolv.conf").output
        host.mooring("dns", "add", "nas", "192.0.2.9")
        plain, other = host.container_network("plain"), host.container_network("other")
        for space, server in ((plain, SERVER), (other, RESOLVER), (other, SERVER)):
            assert ask(space, "example.org", server=server) == "203.0.113.7"
            assert ask(space, "nas.mooring", server=server) == "192.0.2.9"
        assert ask(plain, "db.web.mooring") == "NXDOMAIN"
        assert ask(host.container_network("db"), "db.web.mooring", server=RESOLVER) == host.addresses("db", "web")[0]
        assert "db.web.mooring" in mooring(host, "dns", "hosts").output
        assert ask(host.outside.network, "example.org", server=SERVER) in ("silence", "refused")
        assert "Docker's own setting" in mooring(host, "dns", "status").output

        host.daemon.kill9()
        begun = time.monotonic()
        assert ask(other, "example.org", server=RESOLVER) == "203.0.113.7"
        assert host.docker("exec", "plain", "nslookup", "example.org").output.count("203.0.113.7")
        assert time.monotonic() - begun < 4
        host.daemon.start()
        eventually(lambda: ask(plain, "nas.mooring") == "192.0.2.9", "names are answered again", 5)

        file.write_text(file.read_text().replace(host.outside.ipv4, "198.51.100.9"))
        refused = mooring(host, "dns", "uninstall", check=False)
        assert (refused.status, "was changed since" in refused.output) == (4, True)
        file.write_text(file.read_text().replace("198.51.100.9", host.outside.ipv4))
        mooring(host, "dns", "uninstall")
        assert file.read_text() == before
        assert ask(plain, "nas.mooring") == "192.0.2.9"


def test_a_server_that_the_engine_asks_and_that_is_off_is_found(make_host: MakeHost) -> None:
    """By the doctor; and neither an install nor a flag of dockerd's in the way is overlooked."""
    host = make_host(settings={"MOORING_DNS": "off"}, options=("--dns", "198.51.100.1"))
    file = host.folder / "etc-docker/daemon.json"
    for said in ("dockerd was started with --dns 198.51.100.1",):
        refused = mooring(host, "dns", "install", check=False)
        assert (refused.status, said in refused.output, file.exists()) == (4, True, False)
    file.write_text(json.dumps({"dns": [SERVER]}))
    eventually(lambda: f"ask {SERVER}" in mooring(host, "doctor", check=False).output, "it is found", 15)
    file.unlink()
