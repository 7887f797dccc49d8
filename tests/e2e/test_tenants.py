"""Two tenants with one subnet and the same container addresses on one host, as a user has them with docker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, Lab, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import LabError, run
from tests.e2e.lab.releases import release, selected
from tests.e2e.lab.systemd_machines import SystemdMachine
from tests.e2e.lab.systemd_roots import PROJECT
from tests.e2e.lab.traffic import Server, ask_tcp, ask_udp, reaches
from tests.e2e.test_restores import passes, put_in_place

SEPARATE = {"MOORING_TENANTS": "separate", "MOORING_REPAIR_PERIOD": "1"}
V4, V6 = "10.77.0.0/24", "fd77:1::/64"
TENANTS = ("red", "blue")


def tenant(name: str) -> tuple[str, ...]:
    """The options of a network of the tenant."""
    return ("--ipam-opt", f"tenant={name}", "-o", f"tenant={name}")


@pytest.fixture
def host(make_host: MakeHost) -> Host:
    """One on which tenants are apart."""
    return make_host(settings=SEPARATE)


@pytest.fixture
def pair(host: Host) -> Iterator[Host]:
    """Each tenant has a network with the subnets, a server at .2 and a client at .3; servers publish 8080 and 8081."""
    servers = []
    for port, name in zip((8080, 8081), TENANTS, strict=True):
        host.create_network(name, "--ipv6", "--subnet", V4, "--subnet", V6, *tenant(name))
        publish = ("-p", f"{port}:80", "-p", f"{port}:80/udp")
        host.run_container(f"{name}-web", "--network", name, "--ip", "10.77.0.2", "--ip6", "fd77:1::2", *publish)
        host.run_container(f"{name}-cli", "--network", name, "--ip", "10.77.0.3", "--ip6", "fd77:1::3")
        servers.append(Server(host.container_network(f"{name}-web"), name, 80))
    with servers[0], servers[1]:
        yield host


def test_equal_tenants_live_side_by_side(pair: Host, lab: Lab) -> None:
    """Inside, out, and in by published ports from everywhere; nothing of either is in the host's routing."""
    with Server(lab.outside.network, "outside", 99):
        for port, name in zip((8080, 8081), TENANTS, strict=True):
            client, web = (pair.container_network(f"{name}-{which}") for which in ("cli", "web"))
            for ask in (ask_tcp, ask_udp):
                for address in ("10.77.0.2", "fd77:1::2"):
                    assert ask(client, address, 80).server == name
                for address, source in ((pair.ipv4, lab.outside.ipv4), (pair.ipv6, lab.outside.ipv6)):
                    reply = ask(lab.outside.network, address, port)
                    assert (reply.server, reply.seen) == (name, source)
                for place in (pair.network, client, web, pair.container_network("red-cli")):
                    assert ask(place, pair.ipv4, port).server == name
                    assert ask(place, pair.ipv6, port).server == name
                assert ask(pair.network, "127.0.0.1", port).server == name
            assert ask_tcp(client, lab.outside.ipv4, 99).seen == pair.ipv4
            assert ask_tcp(client, lab.outside.ipv6, 99).seen == pair.ipv6
    assert not reaches(pair.network, "10.77.0.2", 80)
    blue = json.loads(pair.mooring("tenant", "inspect", "blue", "--format", "json").output)
    for address in blue["addresses"][1::2]:  # its ends of the line: even the published port is the host's
        for port in (80, 8081):
            assert not reaches(pair.container_network("red-cli"), address, port)
    assert "10.77.0." not in pair.namespace.run("ip", "route", "show", "table", "all").output
    assert "10.77.0." not in pair.namespace.run("ip", "neighbour").output
    rows = {row["name"]: row for row in json.loads(pair.mooring("tenant", "ls", "--format", "json").output)}
    assert [rows[name]["subnets"] for name in TENANTS] == [[V4, V6]] * 2
    shown = json.loads(pair.mooring("tenant", "inspect", "red", "--format", "json").output)
    assert [network["name"] for network in shown["networks"]] == ["red"]
    assert "10.77.0.2" in pair.namespace.run("nsenter", f"--net={shown['namespace']}", "ip", "neighbour").output


def test_what_cannot_be_is_refused_and_names_what_is_in_the_way(pair: Host) -> None:
    """An overlap within a tenant, as within none; what the host would have to route; a port that would lead two ways.
    Nothing is left of it. A tenant of another name may have the subnet as well."""
    with pytest.raises(LabError, match=r"overlaps 10.77.0.0/24 in address space red.* of network red\)"):
        pair.create_network("again", "--subnet", "10.77.0.128/25", *tenant("red"))
    for option in ("gateway_mode4=routed", "masquerade=off"):
        with pytest.raises(LabError, match="tenant gold has addresses that this host does not route"):
            pair.create_network("open", "--subnet", V4, "-o", option, *tenant("gold"))
    assert "mt-3" not in pair.namespace.run("ip", "link").output
    pair.run_container("one", "--network", "red", "-p", "127.0.0.1:9000:80")
    with pytest.raises(LabError, match="9000/tcp leads to another place in the tenant's networks"):
        pair.run_container("two", "--network", "red", "-p", f"{pair.ipv4}:9000:80")
    pair.create_network("green", "--subnet", V4, *tenant("green"))
    pair.create_network("plain", "--subnet", V4)


def routes(host: Host) -> str:
    """Those that the host has by us, in both families."""
    show = "ip -o route show proto 109; ip -o -6 route show proto 109"
    return host.namespace.run("sh", "-c", show).output


def who_answers(host: Host) -> None:
    """Red's server at its address, to the host alone and as from its gateway; both at their ports, from outside."""
    with Server(host.container_network("red-web"), "red", 80), Server(host.container_network("blue-web"), "blue", 80):
        for address, gateway in (("10.77.0.2", "10.77.0.1"), ("fd77:1::2", "fd77:1::1")):
            for ask in (ask_tcp, ask_udp):
                reply = ask(host.network, address, 80)
                assert (reply.server, reply.seen) == ("red", gateway)
        assert ask_tcp(host.network, host.ipv4, 8080).server == "red"
        assert ask_tcp(host.network, host.ipv4, 8081).server == "blue"
        assert ask_tcp(host.container_network("blue-cli"), "10.77.0.2", 80).server == "blue"
        assert not reaches(host.container_network("plain"), "10.77.0.2", 80)


def test_the_host_reaches_one_tenant_and_everything_comes_back(host: Host, lab: Lab) -> None:
    """Who asked first, by name; over a restart of the engine, a restored backup that is older than a container, and a
    reboot with all namespaces and lines gone."""
    access = ("-o", "host_access=addresses")
    dual = ("--ipv6", "--subnet", V4, "--subnet", V6)
    again = ("--restart", "always", "--stop-timeout", "0")
    host.create_network("red", *dual, *tenant("red"), *access)
    with pytest.raises(LabError, match=r"a host can route an address to one network only.*of tenant red"):
        host.create_network("blue", *dual, *tenant("blue"), *access)
    with pytest.raises(LabError, match="of tenant red"):
        host.create_network("plain", "--subnet", V4)
    host.create_network("blue", *dual, *tenant("blue"))
    host.create_network("plain", "--subnet", "10.78.0.0/24")
    host.run_container("plain", *again, "--network", "plain")
    for port, name in zip((8080, 8081), TENANTS, strict=True):
        fixed = ("--ip", "10.77.0.2", "--ip6", "fd77:1::2", "-p", f"{port}:80")
        host.run_container(f"{name}-web", *again, "--network", name, *fixed)
    backup = host.folder / "backup.db"
    host.mooring("backup", str(backup))
    host.run_container("blue-cli", *again, "--network", "blue", "--ip", "10.77.0.3", "--ip6", "fd77:1::3")
    who_answers(host)
    assert not reaches(lab.outside.network, "10.77.0.2", 80)
    host.engine.stop()
    host.engine.start()
    for name in ("red-web", "blue-web", "blue-cli", "plain"):
        host.wait_state(name, True)
    who_answers(host)
    put_in_place(host, backup)
    passes(host)
    who_answers(host)
    host.namespace.run("sh", "-c", "ip route flush proto 109")
    eventually(lambda: "10.77.0.0/24" in routes(host), "the route is back", 30)
    before = routes(host)
    host.reboot()
    for name in ("red-web", "blue-web", "blue-cli", "plain"):
        host.wait_state(name, True, 40)
    eventually(lambda: routes(host) == before, "the routes are back", 30)
    who_answers(host)
    shown = host.mooring("network", "inspect", "red").output
    assert "containers at their addresses" in shown
    assert "reach it at this address" in host.mooring("explain", "10.77.0.2").output
    host.docker("rm", "-f", "red-web")
    host.docker("network", "rm", "red")
    assert routes(host) == ""
    assert host.namespace.run("sh", "-c", "ip -o link | grep -c 'mt-'").output.strip() == "1"


def test_tenants_outlive_the_daemon_and_its_death(pair: Host, lab: Lab) -> None:
    """Traffic goes on while it is away; killed, it finds all that there is and touches nothing; what goes while it is
    away is gone when it is back."""
    pair.daemon.kill9()
    for port, name in zip((8080, 8081), TENANTS, strict=True):
        assert ask_tcp(lab.outside.network, pair.ipv4, port).server == name
    before = pair.namespace.run("ip", "-o", "link", "show", "type", "veth").output
    pair.daemon.start()
    eventually(lambda: pair.daemon.api("/v1/status")["repair"] is not None, "a pass")
    assert pair.daemon.api("/v1/status")["repair"]["findings"] == []
    assert pair.namespace.run("ip", "-o", "link", "show", "type", "veth").output == before
    for port, name in zip((8080, 8081), TENANTS, strict=True):
        assert ask_tcp(lab.outside.network, pair.ipv4, port).server == name
    pair.docker("restart", "-t", "0", "red-web")
    with Server(pair.container_network("red-web"), "again", 80):
        assert ask_tcp(lab.outside.network, pair.ipv4, 8080).server == "again"
        assert ask_tcp(pair.container_network("red-cli"), "10.77.0.2", 80).server == "again"
        pair.namespace.run("ip", "link", "delete", "mt-1")  # somebody's doing: the next pass makes it anew
        eventually(lambda: reaches(lab.outside.network, pair.ipv4, 8080), "it is reached again", 30)
    assert ask_tcp(lab.outside.network, pair.ipv4, 8081).server == "blue"


def test_a_lost_store_is_made_anew_with_its_tenants(pair: Host, lab: Lab) -> None:
    """Networks are found where they live, and their ports with them."""
    pair.daemon.kill9()
    for path in (pair.folder / "state").glob("mooring.db*"):
        if not path.name.endswith(".lock"):
            path.unlink()
    pair.daemon.start()
    eventually(lambda: len(pair.daemon.api("/v1/networks")) == 2, "networks are on record", 60)
    eventually(lambda: pair.daemon.api("/v1/status")["endpoints"] == 4, "endpoints are on record", 60)
    for port, name in zip((8080, 8081), TENANTS, strict=True):
        for ask in (ask_tcp, ask_udp):
            assert ask(lab.outside.network, pair.ipv4, port).server == name
            assert ask(lab.outside.network, pair.ipv6, port).server == name


@pytest.mark.needs("compose plugin")
def test_one_compose_file_is_up_for_two_tenants(host: Host, lab: Lab, tmp_path: Path) -> None:
    """The same project twice, with the same address: its network made by compose, as docs/tenants.md has it, and made
    before, as it has to be past the proxy."""
    text = (PROJECT / "docs/tenants.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    for word in ("driver: mooring", "tenant: red", f"subnet: {V4}"):
        assert word in text
    for port, name in zip((8080, 8081), TENANTS, strict=True):
        ipam = {"driver": "mooring", "config": [{"subnet": V4}]}
        net: dict[str, object] = {"driver": "mooring", "driver_opts": {"tenant": name}, "ipam": ipam}
        if name == "blue":
            host.create_network("blue-net", "--subnet", V4, *tenant(name))
            net = {"external": True, "name": "blue-net"}
        networks = {"net": {"ipv4_address": "10.77.0.9"}}
        web = {"image": IMAGE, "command": "stay", "ports": [f"{port}:80"], "networks": networks}
        file = tmp_path / f"{name}.yml"
        file.write_text(json.dumps({"services": {"web": web}, "networks": {"net": net}}))
        command = [*host.release.compose, "--project-name", name, "--file", str(file)]
        run([*command, "up", "--detach"], timeout=120, environment=host.proxy.environment)
    names = sorted(str(host.engine.inspect(each)["Name"]) for each in host.engine.containers())
    with (
        Server(host.container_network(names[0].strip("/")), "blue", 80),
        Server(host.container_network(names[1].strip("/")), "red", 80),
    ):
        assert ask_tcp(lab.outside.network, host.ipv4, 8080).server == "red"
        assert ask_tcp(lab.outside.network, host.ipv4, 8081).server == "blue"


@pytest.mark.slow
def test_the_unit_needs_what_the_documentation_says(lab: Lab) -> None:
    """Under systemd: without the drop-in a tenant's network is refused with what is missing, and others are made; with
    it both tenants have theirs, which outlive a restart of the unit; uninstalling leaves nothing of them."""
    if selected() != release(""):
        pytest.skip("it has the engine of the machine's own suite only")
    drop_in = (PROJECT / "docs/tenants.md").read_text().partition("```ini\n")[2].partition("```")[0]
    machine = SystemdMachine(lab.folder / "tenants", units=False)
    try:
        machine.boot()
        machine.load_image()
        machine.mooring("setup")
        machine.run("sh", "-c", "echo 'tenants = \"separate\"' >>/etc/mooring/mooring.toml")
        machine.systemctl("restart", "mooring")
        create = ("network", "create", "-d", "mooring", "--ipam-driver", "mooring")
        refused = machine.docker(*create, "--subnet", V4, *tenant("red"), "red", check=False)
        assert "this process may not make network namespaces" in refused.output
        machine.docker(*create, "plain")
        machine.run("mkdir", "-p", "/etc/systemd/system/mooring.service.d")
        machine.run("sh", "-c", f"cat >/etc/systemd/system/mooring.service.d/tenants.conf <<'END'\n{drop_in}END")
        machine.systemctl("daemon-reload")
        machine.systemctl("restart", "mooring")
        for name in TENANTS:
            machine.docker(*create, "--subnet", V4, "-o", "dns=on", *tenant(name), name)
            machine.docker("run", "-d", "--name", name, "--network", name, "--ip", "10.77.0.2", IMAGE, "stay")
        machine.systemctl("restart", "mooring")
        status = json.loads(machine.mooring("status", "--format", "json").output)
        assert status["repair"]["findings"] == []
        assert machine.run("ls", "/run/mooring/tenants").output.split() == ["1", "2"]
        for number in ("1", "2"):
            inside = machine.run("nsenter", f"--net=/run/mooring/tenants/{number}", "ip", "-o", "address").output
            assert "10.77.0.1/24" in inside
        assert "also in routing domains: 1, 2\n" in machine.mooring("dns", "status").output
        machine.docker("rm", "-f", *TENANTS)
        machine.mooring("setup", "--undo")
        assert "mt-" not in machine.run("ip", "link").output
        assert not machine.run("test", "-e", "/run/mooring/tenants", check=False).ok
    finally:
        machine.close()
