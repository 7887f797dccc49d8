"""kill -9 of a program that uses the library, on the real kernel, at any moment of its work."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from mooring.cnm import Controller
from mooring.core.endpoints import State
from tests.netns.rigs import Namespace, sh

pytestmark = [pytest.mark.netns, pytest.mark.slow]

# Works for ever on five endpoints and five sandboxes; `steady` is joined once and never touched again. No name could be
# the beginning of an id, by which a sandbox is found too.
PROGRAM = """
import asyncio, random, sys
from mooring import cnm

async def main(state, run, seed):
    chance = random.Random(seed)
    async with cnm.Controller.open("kills", state_dir=state, run_dir=run, repair_period=0) as controller:
        if not controller.networks(name="web"):
            network = await controller.create_network("web", subnets=["10.9.0.0/24"])
            await (await network.create_endpoint("steady")).join(await controller.create_sandbox("steady"))
        network = controller.network("web")
        print("ready", flush=True)

        async def work(number):
            while True:
                try:
                    name = f"{chance.choice('vwxyz')}{number}"
                    match chance.randrange(6):
                        case 0: await network.create_endpoint(name)
                        case 1: await controller.create_sandbox(name, publish=[f"{8000 + number}:80"])
                        case 2: await network.endpoint(name).join(controller.sandbox(name))
                        case 3: await network.endpoint(name).leave()
                        case 4: await network.endpoint(name).delete(force=True)
                        case 5: await controller.sandbox(name).delete()
                except cnm.Fault:
                    await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            for number in range(4):
                tasks.create_task(work(number))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def inside(path: str) -> str:
    """What `ip` says of addresses and routes in the namespace."""
    return sh(f"nsenter --net={path} ip -o address; nsenter --net={path} ip route")


@asynccontextmanager
async def reopened(folder: Path) -> AsyncIterator[Controller]:
    """The next process."""
    opened: AbstractAsyncContextManager[Controller] = Controller.open(
        "kills", state_dir=folder / "state", run_dir=folder / "run", repair_period=0
    )
    async with opened as controller:
        yield controller


def host_ends(wanted: set[str]) -> set[str]:
    """What is missing of the veth pairs, or too much; those that are being deleted get the time that it takes."""
    for _ in range(100):
        lines = sh("ip -o link show type veth").splitlines()
        wrong = {line.split(":")[1].split("@")[0].strip() for line in lines} ^ wanted
        if not wrong:
            break
        time.sleep(0.05)
    return wrong


def check(controller: Controller) -> None:
    """Records, links on the host and links inside agree."""
    attached = [
        endpoint for network in controller.networks() for endpoint in network.endpoints()
        if endpoint.state is State.ATTACHED
    ]  # fmt: skip
    assert host_ends({f"mv-{endpoint.id[:12]}" for endpoint in attached}) == set()
    for endpoint in attached:
        assert endpoint.sandbox is not None
        assert str(endpoint.ipv4) in inside(endpoint.sandbox.path)
        assert "default via 10.9.0.1" in inside(endpoint.sandbox.path)
    known = {sandbox.id for sandbox in controller.sandboxes()}
    assert set(sh(f"ls {Path(controller.sandbox('steady').path).parent}").split()) == known


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where state and namespaces are; nothing stays mounted, whatever happens."""
    yield tmp_path
    sh(f"grep -o ' {tmp_path}/[^ ]*' /proc/mounts | sort -r | xargs -r -n 1 umount -l")


def die(folder: Path, seed: int) -> None:
    """The program has worked for a while, and was killed."""
    arguments = [sys.executable, "-c", PROGRAM, str(folder / "state"), str(folder / "run"), str(seed)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        time.sleep(0.1 + 0.07 * seed)
        program.kill()


async def test_a_program_may_die_at_any_moment(namespace: Namespace, folder: Path) -> None:
    """Whoever opens its controller next finds everything finished or undone, and who lived on noticed nothing."""
    before = ""
    for seed in range(8):
        die(folder, seed)
        async with reopened(folder) as controller:
            assert [line for line in controller.restored if "not restored" in line] == []
            report = await controller.repair()
            assert (report.repaired, report.findings) == ((), ())
            check(controller)
            now = inside(controller.sandbox("steady").path)
            assert now == (before or now)
            before = now
    async with reopened(folder) as controller:
        for sandbox in controller.sandboxes():
            await sandbox.delete()
        for network in controller.networks():
            for endpoint in network.endpoints():
                await endpoint.delete()
            await network.delete()
    assert host_ends(set()) == set()
    assert sh("ip -o link show type bridge; nft list tables") == ""
    assert not (folder / "run" / "netns").exists() or list((folder / "run" / "netns").iterdir()) == []
