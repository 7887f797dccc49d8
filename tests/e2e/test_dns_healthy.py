"""Names that follow health checks."""

from __future__ import annotations

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.fixed import run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.names import ask

CHECK = ("--health-interval", "0.3s", "--health-timeout", "5s", "--health-retries", "1", "--health-cmd")


def test_a_container_has_its_names_addresses_while_its_health_check_succeeds(host: Host) -> None:
    """Not before the first success; a service has those of its healthy ones, and none when none is; a network of the
    same container without the option has it all along; after a kill of the daemon it is as it was."""
    host.create_network("web", "-o", "dns=healthy")
    host.create_network("back", "-o", "dns=on")
    run(host, "client", network="web")
    space = host.container_network("client")
    for number in (1, 2):
        name = f"shop-app-{number}"
        host.docker(
            "create", "--name", name, "--network", "web", "--network-alias", "app", *CHECK, "test -e /tmp/well",
            "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=app",
            IMAGE, "stay",
        )  # fmt: skip
        host.docker("network", "connect", "back", name)
        host.docker("start", name)
    first, second = (host.addresses(f"shop-app-{number}", "web")[0] for number in (1, 2))
    back = host.addresses("shop-app-1", "back")[0]

    def follows(answer: str) -> None:
        eventually(lambda: ask(space, "app.web.mooring") == answer, f"app is {answer}", 5, step=0.05)

    def well(number: int, is_well: bool) -> None:
        host.docker("exec", f"shop-app-{number}", *(("touch",) if is_well else ("rm",)), "/tmp/well")
        state = "healthy" if is_well else "unhealthy"
        eventually(
            lambda: host.engine.inspect(f"shop-app-{number}")["State"]["Health"]["Status"] == state,
            state,
            10,
            step=0.02,
        )

    follows("NOERROR")
    assert ask(space, "client.web.mooring") == host.addresses("client", "web")[0]
    assert ask(host.network, "shop-app-1.back.mooring") == back
    assert "not healthy" in host.mooring("dns", "ls").output
    well(1, is_well=True)
    follows(first)
    well(2, is_well=True)
    follows(" ".join(sorted((first, second))))
    well(1, is_well=False)
    follows(second)
    host.daemon.kill9()
    host.daemon.start()
    follows(second)
    well(2, is_well=False)
    follows("NOERROR")
    host.docker("restart", "-t", "0", "shop-app-1")
    eventually(lambda: ask(space, "shop-app-1.web.mooring") == "NOERROR", "it starts", 5)
    well(1, is_well=True)
    follows(host.addresses("shop-app-1", "web")[0])
