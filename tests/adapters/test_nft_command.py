"""The program nft."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mooring.adapters.nft.nft_command import NftablesError, load, nft
from mooring.core.faults import Unavailable
from tests.netns.rigs import Namespace, sh


def test_it_is_found_where_the_path_of_people_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Debian's path has no /usr/sbin for who is not root."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert os.access(nft(), os.X_OK)


def test_a_host_without_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line."""
    monkeypatch.setattr("mooring.adapters.nft.nft_command.shutil.which", lambda *_, **__: None)
    with pytest.raises(Unavailable, match="the program nft is missing; apt-get install nftables"):
        load("add table ip x\n")


@pytest.mark.netns
def test_all_is_carried_out_or_nothing_in_the_threads_namespace(namespace: Namespace) -> None:
    """What is wrong is said in one line."""
    load("add table ip a\nadd table ip b\n")
    with pytest.raises(NftablesError, match="syntax error") as caught:
        load("add table ip c\nnonsense\n")
    assert "\n" not in str(caught.value)
    assert sh("nft list tables").splitlines() == ["table ip a", "table ip b"]


def test_one_that_cannot_be_started_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is tried again."""
    broken = tmp_path / "nft"
    broken.write_bytes(b"\0")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="cannot be used"):
        load("add table ip a\n")
