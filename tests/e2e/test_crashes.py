"""kill -9 of everything, at every step; what was promised before still holds after."""

from __future__ import annotations

import concurrent.futures
import subprocess
import threading
import time
from contextlib import suppress
from itertools import takewhile

import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, LabError, eventually
from tests.e2e.lab.halves import steps
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.leaks import leaks
from tests.e2e.lab.namespaces import clean_environment
from tests.e2e.lab.relays import Moment, Relay
from tests.e2e.lab.traffic import Server, Stream, ask_tcp, pings, reaches

DUAL = ("--ipv6", "--subnet", "10.77.0.0/24", "--subnet", "fd77:1::/64")
QUICK = {"MOORING_REPAIR_PERIOD": "1"}


def life(host: Host, number: int = 0) -> None:
    """One network and one container, from birth to removal, with a published port. Raises LabError.

    number: of the subnet, so that what one crash leaves is not taken for what the next one leaves.
    """
    drivers = ("-d", "mooring", "--ipam-driver", "mooring")
    host.docker("network", "create", *drivers, "--subnet", f"10.77.{number}.0/24", "one")
    options = ("--network", "one", "--ip", f"10.77.{number}.9", "-p", "8080:80")
    host.docker("run", "-d", "--name", "first", *options, IMAGE, "stay")
    host.docker("rm", "-f", "first")
    host.docker("network", "rm", "one")


# Two looks a second apart are enough to take back what a lost reply left; the default waits two minutes.
EAGER = {"MOORING_REPAIR_PERIOD": "1", "MOORING_RECLAIM_AFTER": "1"}
HELP = ("See ", "Run 'docker ")  # how a refused command ends, the latter from 23 on, after an empty line
GRACE = 10.0  # seconds in which it must have happened


def be_seen(host: Host) -> None:
    """A network of ours is listed when the daemon asks the engine: from then on the engine's word counts."""
    host.create_network("seen")
    listed = time.time()
    eventually(lambda: host.daemon.api("/v1/status")["repair"]["at"] > listed + 1, "another look at the engine is done")
    host.engine.clear()


@pytest.mark.slow
def test_the_daemon_may_die_at_any_plugin_call(make_host: MakeHost) -> None:
    """kill -9 before or after each single plugin call: the command at hand works or fails in one line, nothing is left
    behind once the daemon has looked around, and the same commands work again."""
    settings = {"MOORING_PLUGIN_SOCKET": "/run/back.sock", **EAGER}
    hosts = {moment: make_host(settings=settings) for moment in Moment}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = pool.map(lambda also, moment: die_everywhere(hosts[moment], moment, also), range(2), Moment)
        assert [trouble for troubles in found for trouble in troubles] == []


def die_everywhere(host: Host, moment: Moment, also: int) -> list[str]:
    """A life for each plugin call, in which the daemon dies at that call; what was wrong. also: see steps."""
    wrong: list[str] = []
    front = host.folder / "run/docker/plugins/mooring.sock"
    with Relay(front, host.daemon.plugin_socket, host.daemon) as relay:
        be_seen(host)
        relay.arm(0, moment)
        life(host)
        calls = len(relay.calls)
        assert calls >= 8
        for number in takewhile(calls.__ge__, steps(also)):
            relay.arm(number, moment)
            said = ""
            try:
                life(host, number)
            except LabError as error:
                said = str(error)
            at = relay.killed_at
            relay.arm(0, moment)
            if trouble := aftermath(host, number, said):
                wrong.append(f"{at}: {trouble}")
    return wrong


def aftermath(host: Host, number: int, said: str) -> str:
    """What does not work after a crash, in words, "" if all is well: removal, no leaks, the same life again.

    said: what the command said that was under way.
    """
    if "Traceback" in said or not all(
        line.startswith(("docker: ", "Error", *HELP, host.release.program("docker"))) or len(line) in (0, 64)
        for line in said.splitlines()
    ):
        return f"the command said: {said}"
    host.engine.clear()
    if left := host.engine.containers() + host.engine.networks():
        return f"cannot be removed: {left}"
    if left := leaks(host, grace=GRACE):
        return f"left behind: {left}"
    try:
        life(host, number)
    except LabError as error:
        return f"the same commands fail afterwards: {error}"
    return "; ".join(leaks(host))


def rules(host: Host) -> str:
    """Our nftables table, without counters."""
    return host.namespace.run("nft", "--stateless", "list", "table", "inet", "mooring").output


def test_containers_do_not_notice_a_killed_daemon(make_host: MakeHost) -> None:
    """While the daemon is dead addresses, published ports and the way out work; after its start nothing has changed."""
    host = make_host()
    host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one", "-p", "8080:80")
    before = rules(host), host.daemon.held()
    inside = host.container_network("first")
    with Server(inside, "first", 80):
        host.daemon.kill9()
        assert ask_tcp(host.outside.network, host.ipv4, 8080).server == "first"
        assert pings(inside, host.outside.ipv4)
        host.daemon.start()
        assert ask_tcp(host.outside.network, host.ipv6, 8080).server == "first"
    eventually(lambda: host.daemon.api("/v1/status")["repair"], "the first look at the kernel is done")
    assert host.daemon.api("/v1/status")["repair"]["repaired"] == []
    assert (rules(host), host.daemon.held()) == before
    host.docker("stop", "first")
    assert host.daemon.held() == []


def test_a_stream_lives_through_an_upgrade_of_the_daemon(make_host: MakeHost) -> None:
    """While the daemon is stopped and started again a TCP stream to a published port has no gap of over a second."""
    host = make_host()
    host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one", "-p", "8080:80")
    gaps: list[float] = []
    over = threading.Event()
    with Server(host.container_network("first"), "first", 80):
        stream = Stream(host.outside.network, host.ipv4, 8080)

        def talk() -> None:
            last = time.monotonic()
            while not over.wait(0.01):
                stream.ask(5)
                gaps.append(time.monotonic() - last)
                last = time.monotonic()

        talker = threading.Thread(target=talk)
        talker.start()
        assert host.daemon.stop() == 0
        host.daemon.start()
        eventually(lambda: host.daemon.api("/v1/status")["repair"], "the first look at the kernel is done")
        over.set()
        talker.join()
        stream.close()
    assert len(gaps) > 10
    assert max(gaps) < 1.0


def test_containers_live_through_a_killed_engine(make_host: MakeHost) -> None:
    """With live-restore, kill -9 and restart of dockerd change neither addresses nor published ports; removal works."""
    host = make_host(options=("--live-restore",))
    network = host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one", "-p", "8080:80")
    host.run_container("second", "--network", "one")
    before = host.addresses("first", "one")
    with Server(host.container_network("first"), "first", 80):
        stream = Stream(host.outside.network, host.ipv4, 8080)
        host.engine.kill9()
        assert stream.ask().server == "first"
        host.engine.start()
        assert stream.ask().server == "first"
        stream.close()
        assert host.addresses("first", "one") == before
        assert ask_tcp(host.outside.network, host.ipv4, 8080).server == "first"
        assert ask_tcp(host.container_network("second"), before[0], 80).server == "first"
    held = [*host.addresses("first", "one"), *host.addresses("second", "one")]
    assert sorted(host.daemon.held(network)) == sorted(held)
    host.docker("rm", "-f", "first", "second")
    assert host.daemon.held(network) == []


def test_containers_come_back_after_a_killed_engine_without_live_restore(make_host: MakeHost) -> None:
    """A container with a restart policy is started again by the new dockerd, with an address that works."""
    host = make_host()
    network = host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one", "--restart", "always", "-p", "8080:80")
    host.engine.kill9()
    host.engine.start()
    host.wait_state("first", running=True)
    with Server(host.container_network("first"), "first", 80):
        assert ask_tcp(host.outside.network, host.ipv4, 8080).server == "first"
    assert sorted(host.daemon.held(network)) == sorted(host.addresses("first", "one"))


def test_both_killed_at_once_come_back_together(make_host: MakeHost) -> None:
    """kill -9 of dockerd and of the daemon together, started in the unit's order: containers have their addresses."""
    host = make_host(options=("--live-restore",))
    network = host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one", "-p", "8080:80")
    before = host.addresses("first", "one")
    host.engine.kill9()
    host.daemon.kill9()
    host.daemon.start()
    host.engine.start()
    assert host.addresses("first", "one") == before
    with Server(host.container_network("first"), "first", 80):
        assert ask_tcp(host.outside.network, host.ipv4, 8080).server == "first"
    assert sorted(host.daemon.held(network)) == sorted(before)


def test_a_reboot_brings_back_networks_and_containers_with_a_restart_policy(make_host: MakeHost) -> None:
    """After a reboot every link is gone and made anew: the container with a policy works, the other one holds nothing
    and can be started."""
    host = make_host()
    network = host.create_network("one", *DUAL)
    host.run_container("always", "--network", "one", "--restart", "always", "-p", "8080:80")
    host.run_container("never", "--network", "one", "--ip", "10.77.0.99")
    host.reboot()
    host.wait_state("always", running=True)
    with Server(host.container_network("always"), "always", 80):
        assert ask_tcp(host.outside.network, host.ipv4, 8080).server == "always"
        assert ask_tcp(host.outside.network, host.ipv6, 8080).server == "always"
    assert not host.engine.inspect("never")["State"]["Running"]
    assert sorted(host.daemon.held(network)) == sorted(host.addresses("always", "one"))
    host.docker("start", "never")
    assert pings(host.container_network("always"), "10.77.0.99")


def test_a_network_removed_while_the_daemon_is_away_is_gone_when_it_is_back(make_host: MakeHost) -> None:
    """`docker network rm` waits while dockerd tries again (15 s a call), and leaves nothing when the daemon is back."""
    host = make_host(settings=EAGER)
    be_seen(host)
    host.create_network("one", *DUAL)
    host.daemon.kill9()
    environment = clean_environment() | {"DOCKER_HOST": f"unix://{host.engine.socket}"}
    with subprocess.Popen(
        [host.release.program("docker"), "network", "rm", "one"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as removal:
        with suppress(subprocess.TimeoutExpired):
            removal.wait(0.5)
        host.daemon.start()
        removal.wait(60)
    host.engine.clear()
    assert host.engine.networks() == []
    assert leaks(host, grace=GRACE) == []


@pytest.mark.slow
def test_what_is_removed_while_the_daemon_is_away_is_gone_when_it_is_back(make_host: MakeHost) -> None:
    """Nobody heard of all of `docker network rm`, which says success at last: the subnet comes back. Nor of the removal
    of a container that ran: its interface is on the host again and looks attached, but nobody has its fixed addresses.
    Both at once, since dockerd tries each plugin call for 15 s."""
    host = make_host(settings=EAGER)
    be_seen(host)
    host.create_network("one", *DUAL)
    host.create_network("two", "--ipv6", "--subnet", "10.78.0.0/24", "--subnet", "fd78:1::/64")
    host.proxy.docker("run", "-d", "--name", "db", "--network", "two", "--label", "fixed-ip", IMAGE, "stay")
    assert len(host.daemon.leases("fixed")) == 2
    host.daemon.kill9()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        network = pool.submit(host.docker, "network", "rm", "one", timeout=150)
        container = pool.submit(host.engine.api, "DELETE", "/containers/db?force=1", timeout=150)
        network.result()
        container.result()
    host.daemon.start()
    eventually(lambda: not host.daemon.leases("fixed"), "the fixed addresses are given back", 20)
    host.docker("network", "rm", "two")
    assert leaks(host, grace=GRACE) == []
    host.create_network("one", *DUAL)


def test_a_container_that_dies_while_the_daemon_is_away_leaves_nothing(make_host: MakeHost) -> None:
    """A container killed while the daemon was dead gives its address back once the daemon is there."""
    host = make_host()
    network = host.create_network("one", *DUAL)
    host.run_container("first", "--network", "one")
    pid = int(host.engine.inspect("first")["State"]["Pid"])
    host.daemon.kill9()
    host.namespace.run("kill", "-9", str(pid))
    host.daemon.start()
    host.wait_state("first", running=False, timeout=60)
    eventually(lambda: host.daemon.held(network) == [], "the address is given back", timeout=60)
    host.docker("start", "first")
    assert pings(host.network, host.addresses("first", "one")[0])


def test_a_flushed_ruleset_is_put_back(make_host: MakeHost) -> None:
    """After `nft flush ruleset` published ports, the way out and the walls between networks are back by themselves."""
    host = make_host(settings=QUICK)
    host.create_network("one", *DUAL)
    host.create_network("two", "--subnet", "10.78.0.0/24")
    host.run_container("first", "--network", "one", "-p", "8080:80")
    host.run_container("second", "--network", "two")
    with Server(host.container_network("first"), "first", 80):
        host.namespace.run("nft", "flush", "ruleset")
        for address in (host.ipv4, host.ipv6):
            eventually(lambda address=address: reaches(host.outside.network, address, 8080), "the port is open")  # type: ignore[misc]
        assert pings(host.container_network("first"), host.outside.ipv4)
        assert not reaches(host.container_network("second"), host.addresses("first", "one")[0], 80)


def test_a_bridge_removed_by_hand_is_made_again(make_host: MakeHost) -> None:
    """After `ip link del` of a network's bridge its containers reach each other and the outside again."""
    host = make_host(settings=QUICK)
    network = host.create_network("one", *DUAL)
    for name in ("first", "second"):
        host.run_container(name, "--network", "one")
    bridge = host.daemon.api(f"/v1/networks/{network}")["bridge"]
    host.namespace.run("ip", "link", "del", bridge)
    inside = host.container_network("first")
    for address in (*host.addresses("second", "one"), host.outside.ipv4, host.outside.ipv6):
        eventually(lambda address=address: pings(inside, address, wait=1), f"{address} answers", timeout=20)  # type: ignore[misc]


def test_a_second_daemon_is_refused_and_the_first_goes_on(host: Host) -> None:
    """Starting a second daemon over the same directories ends at once with one line; the first still serves."""
    with (host.folder / "second.log").open("ab") as log:
        second = host.namespace.start(host.daemon.command, log, host.daemon.environment)
    assert second.wait(15) != 0
    said = (host.folder / "second.log").read_text()
    assert "Traceback" not in said
    host.create_network("one", "--subnet", "10.77.0.0/24")
    assert host.docker("run", "--rm", "--network", "one", IMAGE, "true").ok
