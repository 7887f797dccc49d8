"""The unit by which systemd-resolved asks for names of containers. What resolved makes of it is tested in e2e."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.adapters.host.host_resolver import UNIT, HostResolver, has_link, unit
from mooring.core.faults import Unavailable
from tests.netns.rigs import Namespace, sh


class Manager:
    """Remembers what it was told. active: whether resolved runs."""

    def __init__(self) -> None:
        self.active = True
        self.told: list[str] = []

    def __call__(self, *words: str, check: bool = True) -> bool:
        """`systemctl`."""
        self.told.append(" ".join(words))
        return self.active or check


@pytest.fixture
def manager() -> Manager:
    """Of a host with resolved."""
    return Manager()


@pytest.fixture
def resolver(tmp_path: Path, manager: Manager) -> HostResolver:
    """A host of systemd's."""
    for folder in ("etc/systemd/system", "run/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    return HostResolver(tmp_path, manager)


def test_it_is_written_started_and_taken_away_again(resolver: HostResolver, manager: Manager) -> None:
    """A second time nothing is to be done; another zone is another unit."""
    resolver.check()
    assert (resolver.installed, resolver.changes("mooring")) == (False, True)
    manager.told.clear()
    resolver.install("mooring")
    assert manager.told == ["daemon-reload", f"enable {UNIT}", f"restart {UNIT}"]
    assert (resolver.installed, resolver.changes("mooring"), resolver.changes("dc1.example")) == (True, False, True)
    manager.told.clear()
    resolver.remove()
    assert manager.told == [f"disable {UNIT}", f"stop {UNIT}", "daemon-reload"]
    resolver.remove()
    assert (resolver.installed, len(manager.told)) == (False, 3)


def test_resolved_is_told_the_zone_for_one_link_and_no_default_route() -> None:
    """The tilde is no home of a user's."""
    text = unit("dc1.example")
    for line in ("resolvectl domain mooring-dns '~dc1.example'", "resolvectl default-route mooring-dns no"):
        assert line in text


def test_a_host_whose_names_somebody_else_resolves_is_refused(
    resolver: HostResolver, manager: Manager, tmp_path: Path
) -> None:
    """With where to read on."""
    manager.active = False
    with pytest.raises(Unavailable, match=r"systemd-resolved does not run.*docs/names.md"):
        resolver.check()
    with pytest.raises(Unavailable, match="does not use systemd"):
        HostResolver(tmp_path / "absent", manager).check()
    with pytest.raises(Unavailable, match=r"cannot write .*mooring-dns.service"):
        HostResolver(tmp_path / "absent", manager).install("mooring")


def test_a_start_that_failed_half_way_leaves_no_link() -> None:
    """ExecStop alone is not carried out then."""
    assert "\nExecStopPost=-ip link delete mooring-dns\n" in unit("mooring")


def test_a_start_before_resolved_answers_is_tried_again() -> None:
    """It was killed, and is being started anew."""
    assert {"Restart=on-failure", "StartLimitIntervalSec=0"} <= set(unit("mooring").splitlines())


@pytest.mark.netns
def test_the_link_is_seen(namespace: Namespace) -> None:
    """By who serves. A bridge that somebody called so is none."""
    assert not has_link()
    sh("ip link add mooring-dns type bridge")
    assert not has_link()
    sh("ip link delete mooring-dns", "ip link add mooring-dns type veth peer name mooring-dns0")
    assert has_link()
