"""Domains as files and as places for threads; tests/netns/test_domains.py has them in use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.adapters.linux import domains as module
from mooring.adapters.linux.domains import Domains
from mooring.core.faults import Unavailable
from tests.netns.rigs import Namespace

pytestmark = pytest.mark.netns


def here() -> int:
    """Which namespace the thread is in."""
    return os.stat("/proc/thread-self/ns/net").st_ino


@pytest.fixture
def domains(namespace: Namespace, tmp_path: Path) -> Iterator[Domains]:
    """None yet."""
    del namespace
    made = Domains(str(tmp_path / "tenants"))
    yield made
    for number in made.numbers():
        made.drop(number)
    made.close()


def test_a_domain_is_a_namespace_with_a_file(domains: Domains, tmp_path: Path) -> None:
    """It is found by the next process, and gone for all after its end; twice is once."""
    host = here()
    assert domains.make(3)
    assert not domains.make(3)
    assert here() == host
    with domains.inside(3):
        assert here() != host
        inner = here()
    assert here() == host
    other = Domains(str(tmp_path / "tenants"))
    assert other.numbers() == [3]
    with other.inside(3):
        assert here() == inner
    other.close()
    domains.drop(3)
    domains.drop(3)
    assert domains.numbers() == []
    assert not (tmp_path / "tenants/3").exists()


def test_a_file_that_somebody_takes_away_comes_back_as_the_same(domains: Domains) -> None:
    """The process holds the namespace open."""
    domains.make(1)
    with domains.inside(1):
        inner = here()
    domains._folder.drop(domains._folder.path("1"))
    assert not domains.has_file(1)
    assert not domains.make(1)
    assert domains.has_file(1)
    with domains.inside(1):
        assert here() == inner


def test_a_process_whose_mounts_nobody_sees_makes_no_domain(namespace: Namespace, tmp_path: Path) -> None:
    """It would end with the process, and the interfaces of containers with it; nothing is left."""
    del namespace
    code = f"from mooring.adapters.linux.domains import Domains; Domains({str(tmp_path / 'tenants')!r}).make(1)"
    for propagation in ("private", "slave"):
        alone = ["unshare", "--mount", "--propagation", propagation, sys.executable, "-c", code]
        done = subprocess.run(alone, capture_output=True, text=True, check=False)
        assert "a routing domain would end with this process, whose mounts nobody sees" in done.stderr
        assert not (tmp_path / "tenants").exists()
    subprocess.run([sys.executable, "-c", code], check=True)
    made = Domains(str(tmp_path / "tenants"))
    assert made.numbers() == [1]
    made.drop(1)
    made.close()


def test_the_host_is_where_one_is(domains: Domains) -> None:
    """Number 0; of a number that is none there is nothing, and it is said."""
    with domains.inside(0):
        pass
    assert domains.discards(0) is domains.host_discards
    assert domains.discards(7) is None
    with pytest.raises(Unavailable, match="routing domain 7 is missing"), domains.inside(7):
        pass


def test_who_may_not_make_namespaces_is_told_what_to_do(domains: Domains, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit as it is shipped."""

    def refuse() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(module, "leave_for_new", refuse)
    with pytest.raises(Unavailable, match=r"may not make network namespaces.*docs/tenants\.md"):
        domains.make(1)
    assert domains.numbers() == []
