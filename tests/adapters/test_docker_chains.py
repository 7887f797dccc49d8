"""Docker's FORWARD chain, imitated with iptables in a namespace of the test's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.adapters.netlink.batches import Batches
from mooring.adapters.nft.docker_chains import DockerChains
from mooring.core.faults import Unavailable
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

DOCKER = ("-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN")


@pytest.fixture
def docker(namespace: Namespace) -> Iterator[DockerChains]:
    """Looks in a namespace of its own."""
    batches = Batches()
    yield DockerChains(batches)
    batches.close()


def imitate(tool: str) -> None:
    """Do what dockerd does at its start."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    sh(*(f"{tool} {line}" for line in DOCKER))


def imitate_if_possible(tool: str) -> None:
    """Do what dockerd does at its start, or skip where the kernel lacks this sort of rules."""
    try:
        imitate(tool)
    except AssertionError:
        pytest.skip(f"the kernel does not take rules of {tool}")


def targets(tool: str) -> list[str]:
    """The targets of the rules in Docker's chain, in order."""
    return [line.split()[-1] for line in sh(f"{tool} -S DOCKER-USER").splitlines() if line.startswith("-A ")]


def forward(tool: str) -> list[str]:
    """The targets of the rules in FORWARD, in order."""
    return [line.split()[-1] for line in sh(f"{tool} -S FORWARD").splitlines() if line.startswith("-A ")]


def test_without_docker_nothing_is_needed(docker: DockerChains) -> None:
    """No chain: it holds, and nothing is written."""
    before = sh("iptables -S")
    assert docker.accepts(4)
    assert not docker.accept(4)
    docker.withdraw(4)
    assert sh("iptables -S") == before


@pytest.mark.parametrize("lines", [DOCKER[:1], DOCKER[:2]])
def test_a_drop_without_dockers_chain_is_told_and_left(docker: DockerChains, lines: tuple[str, ...]) -> None:
    """Somebody flushed Docker's rules: what we forward dies there, and nothing of ours would help."""
    sh(*(f"iptables {line}" for line in lines))
    before = sh("iptables -S")
    assert not docker.accepts(4)
    assert not docker.accept(4)
    assert sh("iptables -S") == before


@pytest.mark.parametrize(("ours", "theirs"), [("iptables", "iptables-legacy"), ("iptables-legacy", "iptables")])
def test_a_drop_in_the_tables_that_docker_does_not_use_is_told(docker: DockerChains, ours: str, theirs: str) -> None:
    """cloudnativelabs/kube-router#1069: a firewall was made with the other sort of iptables, and drops all the same."""
    imitate_if_possible(ours)
    assert docker.accept(4)
    try:
        sh(f"{theirs} -P FORWARD DROP")
    except AssertionError:
        pytest.skip(f"the kernel does not take rules of {theirs}")
    assert not docker.accepts(4)
    assert not docker.accept(4)
    sh(f"{theirs} -P FORWARD ACCEPT")
    assert docker.accepts(4)


def test_where_forward_accepts_only_what_must_not_pass_is_said(docker: DockerChains) -> None:
    """As where forwarding was on before dockerd came: its networks are closed to each other there as well."""
    sh(*(f"iptables {line}" for line in DOCKER[1:]))
    before = sh("iptables -S")
    assert not docker.accepts(4)
    assert docker.accept(4)
    assert docker.accepts(4)
    assert targets("iptables") == ["DROP", "RETURN"]
    sh("iptables -P FORWARD DROP")
    assert docker.accept(4)
    assert targets("iptables") == ["DROP", "ACCEPT", "RETURN"]
    sh("iptables -P FORWARD ACCEPT")
    docker.withdraw(4)
    assert sh("iptables -S") == before


TOOLS = [("iptables", 4), ("ip6tables", 6), ("iptables-legacy", 4), ("ip6tables-legacy", 6)]


@pytest.mark.parametrize(("tool", "version"), TOOLS)
def test_our_rules_in_dockers_chain_are_written_and_taken_back(docker: DockerChains, tool: str, version: int) -> None:
    """In the family asked for, by the iptables that Docker uses, once, and before Docker's own return."""
    imitate_if_possible(tool)
    before = sh(f"{tool} -S")
    assert not docker.accepts(version)
    assert docker.accept(version)
    assert not docker.accept(version)
    assert docker.accepts(version)
    assert targets(tool) == ["ACCEPT", "DROP", "RETURN"]
    docker.withdraw(version)
    assert sh(f"{tool} -S") == before


@pytest.mark.parametrize(("tool", "version"), TOOLS)
def test_the_administrators_own_rules_come_first(docker: DockerChains, tool: str, version: int) -> None:
    """What they drop in DOCKER-USER stays dropped; and ours are before the first return, where it is still asked."""
    imitate_if_possible(tool)
    sh(f"{tool} -I DOCKER-USER -p tcp --dport 25 -j DROP; {tool} -I DOCKER-USER 2 -p tcp -j RETURN")
    sh(f"{tool} -A DOCKER-USER -j RETURN")
    assert docker.accept(version)
    assert targets(tool) == ["DROP", "RETURN", "ACCEPT", "DROP", "RETURN", "RETURN"]
    assert docker.accepts(version)
    assert forward(tool) == ["DOCKER-USER", "ACCEPT", "DROP"]
    # As dockerd does when it starts again.
    sh(
        f"{tool} -N LATER; {tool} -I FORWARD -j LATER",
        f"{tool} -D FORWARD -j DOCKER-USER; {tool} -I FORWARD -j DOCKER-USER",
    )
    assert not docker.accepts(version)
    assert docker.accept(version)
    assert forward(tool) == ["DOCKER-USER", "ACCEPT", "DROP", "LATER"]
    assert docker.accepts(version)
    docker.withdraw(version)
    assert forward(tool) == ["DOCKER-USER", "LATER"]


def test_without_a_return_our_rules_are_the_last(docker: DockerChains) -> None:
    """Somebody flushed the chain and wrote their own."""
    imitate_if_possible("iptables")
    sh("iptables -F DOCKER-USER; iptables -A DOCKER-USER -p tcp --dport 25 -j DROP")
    assert docker.accept(4)
    assert targets("iptables") == ["DROP", "DROP", "ACCEPT"]


def test_a_rule_of_ours_that_is_there_stays_where_it_is(docker: DockerChains) -> None:
    """The administrator may have moved it."""
    imitate_if_possible("iptables")
    docker.accept(4)
    sh("iptables -I DOCKER-USER 2 -p tcp --dport 25 -j LOG")
    assert not docker.accept(4)
    assert targets("iptables") == ["ACCEPT", "LOG", "DROP", "RETURN"]


def test_a_lock_that_somebody_holds_is_no_missing_rule(
    docker: DockerChains, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4 of iptables: it did not look. The rule is not written twice."""
    imitate_if_possible("iptables")
    docker.accept(4)
    busy = tmp_path / "iptables-nft"
    busy.write_text(
        "#!/bin/sh\n"
        'case "$*" in *" -S "*) echo "Another app is currently holding the xtables lock." >&2; exit 4;; esac\n'
        f'exec {shutil.which("iptables")} "$@"\n'
    )
    busy.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(Unavailable, match="holding the xtables lock"):
        docker.accepts(4)
    with pytest.raises(Unavailable, match="holding the xtables lock"):
        docker.accept(4)
    monkeypatch.undo()
    assert targets("iptables") == ["ACCEPT", "DROP", "RETURN"]
