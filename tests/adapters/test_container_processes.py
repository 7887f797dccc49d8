"""Containers by the cgroups of the processes in a namespace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mooring.adapters.linux.container_processes import containers_in

ONE, TWO = "1f" * 32, "2e" * 32


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        (f"0::/system.slice/docker-{ONE}.scope\n", [ONE]),
        (f"12:cpu:/lab/{ONE}\n11:pids:/lab/{ONE}/init\n", [ONE]),
        ("0::/user.slice/session-1.scope\n", []),
        (f"0::/x/{ONE}0\n", []),
    ],
)
def test_an_id_is_read_whatever_manages_the_cgroups(tmp_path: Path, cgroup: str, found: list[str]) -> None:
    """64 digits, and no more."""
    (tmp_path / "7/ns").mkdir(parents=True)
    (tmp_path / "7/ns/net").touch()
    (tmp_path / "7/cgroup").write_text(cgroup)
    assert containers_in(str(tmp_path / "7/ns/net"), str(tmp_path)) == found


def test_every_process_of_the_namespace_counts_and_no_other(tmp_path: Path) -> None:
    """Those that end meanwhile, or may not be looked at, say nothing; nor does a path that is gone."""
    (tmp_path / "net").touch()
    for process, ident in (("8", ONE), ("9", TWO), ("10", TWO)):
        (tmp_path / process / "ns").mkdir(parents=True)
        (tmp_path / process / "cgroup").write_text(f"0::/docker/{ident}\n")
    os.link(tmp_path / "net", tmp_path / "8/ns/net")
    (tmp_path / "9/ns/net").touch()
    (tmp_path / "self").mkdir()
    assert containers_in(str(tmp_path / "net"), str(tmp_path)) == [ONE]
    assert containers_in(str(tmp_path / "gone"), str(tmp_path)) == []
