"""The files of sandboxes: whose they are, and what becomes of those that their users bring along."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address

import pytest

from mooring.core.faults import BadRequest, Conflict, Unavailable
from mooring.core.requests import SandboxSpec
from mooring.core.sandboxes import Sandbox
from tests.services.sandbox_hosts import SandboxHost

OWN = "10.0.0.9 printer\n"


@pytest.fixture
async def host() -> SandboxHost:
    """A host where somebody has a hosts file of his own."""
    host = await SandboxHost().start()
    host.files.texts["/c/hosts"] = OWN
    return host


async def test_a_refused_sandbox_leaves_the_users_file(host: SandboxHost) -> None:
    """As it was, also when it was written already, and when the refusal could be undone only later."""
    db = ("db", IPv4Address("10.0.0.3"))
    spec = SandboxSpec("a", hosts=(db,), hosts_path="/c/hosts", resolv_conf_path="/c/resolv.conf")
    host.files.texts["/c/resolv.conf/folder"] = "theirs"
    with pytest.raises(BadRequest, match=r"/c/resolv\.conf"):
        await host.box("a", spec)
    assert host.files.texts.pop("/c/resolv.conf/folder") == "theirs"
    assert host.files.texts == {"/c/hosts": OWN}
    host.files.die_after(3)  # which keeps it from being undone, too
    with pytest.raises(Unavailable):
        await host.box("a", spec)
    host.files.die_after(None)
    assert host.files.texts["/c/hosts"] == f"{OWN}10.0.0.3\tdb\n"
    [left] = host.services.cache.every(Sandbox)
    await host.sandboxes.delete(left.id)
    assert host.files.texts == {"/c/hosts": OWN}


async def test_two_sandboxes_cannot_share_a_file(host: SandboxHost) -> None:
    """Neither made one after the other, nor at once, nor by a refresh; the first one keeps it."""
    wishes = [SandboxSpec(name, hosts_path="/c/hosts") for name in "ab"]
    made = await asyncio.gather(*(host.box("", spec) for spec in wishes), return_exceptions=True)
    assert [isinstance(each, Conflict) for each in made] == [False, True]
    other = await host.box("b")
    with pytest.raises(Conflict, match=r"held by sandbox a"):
        await host.sandboxes.refresh(other.id, wishes[1])
    before = host.files.texts["/c/hosts"]
    await host.sandboxes.delete(other.id)
    assert host.files.texts["/c/hosts"] == before


async def test_a_refresh_that_moves_one_file_keeps_the_other(host: SandboxHost) -> None:
    """The one that is not used any more goes; of a refused one nothing is left."""
    box = await host.box("a")
    host.files.changed.clear()
    await host.sandboxes.refresh(box.id, SandboxSpec("a", hosts_path="/new/hosts"))
    assert box.hosts_path not in host.files.texts
    assert box.resolv_conf_path not in host.files.changed
    assert "/new/hosts" in host.files.texts
    before = dict(host.files.texts)
    host.files.failing.add("/bad/resolv.conf")
    with pytest.raises(Unavailable):
        await host.sandboxes.refresh(box.id, SandboxSpec("a", resolv_conf_path="/bad/resolv.conf"))
    host.files.failing.clear()
    assert host.files.texts == before
