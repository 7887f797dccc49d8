"""Docker's FORWARD chain, imitated with iptables in a namespace of the test's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from mooring.adapters.docker_chains import DockerChains
from mooring.adapters.nftables import Nftables
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

DOCKER = ("-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN")


@pytest.fixture
def docker(namespace: Namespace) -> Iterator[DockerChains]:
    """Looks in a namespace of its own."""
    nftables = Nftables()
    yield DockerChains(nftables)
    nftables.close()


def imitate(tool: str) -> None:
    """Do what dockerd does at its start."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    sh(*(f"{tool} {line}" for line in DOCKER))


@pytest.mark.parametrize("lines", [(), DOCKER[:1], DOCKER[1:]])
def test_without_docker_or_its_drop_nothing_is_needed(docker: DockerChains, lines: tuple[str, ...]) -> None:
    """No chain, no policy: it holds, and nothing is written."""
    sh(*(f"iptables {line}" for line in lines), "true")
    before = sh("iptables -S")
    assert docker.accepts(4)
    assert not docker.accept(4)
    docker.withdraw(4)
    assert sh("iptables -S") == before


@pytest.mark.parametrize(
    ("tool", "version"), [("iptables", 4), ("ip6tables", 6), ("iptables-legacy", 4), ("ip6tables-legacy", 6)]
)
def test_one_rule_in_dockers_chain_is_written_and_taken_back(docker: DockerChains, tool: str, version: int) -> None:
    """In the family asked for, by the iptables that Docker uses, once, and before Docker's own return."""
    try:
        imitate(tool)
    except AssertionError:
        pytest.skip(f"the kernel does not take rules of {tool}")
    before = sh(f"{tool} -S")
    assert not docker.accepts(version)
    assert docker.accept(version)
    assert not docker.accept(version)
    assert docker.accepts(version)
    assert sh(f"{tool} -S DOCKER-USER").splitlines()[1].endswith("-j ACCEPT")
    docker.withdraw(version)
    assert sh(f"{tool} -S") == before
