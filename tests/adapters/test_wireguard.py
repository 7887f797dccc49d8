"""WireGuard on Linux: its keys' file, its device, and what is in the way. Traffic: tests/netns/test_encryption.py."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv6Interface, ip_address
from pathlib import Path

import pytest

from mooring.adapters.linux.wireguard import LinuxWireGuard
from mooring.core.faults import Conflict, Unavailable
from mooring.core.wireguard import KeyRing, Peer, WireGuardDevice, device_name, inner_address
from tests.netns.rigs import private_namespace, sh

NAME = device_name(f"adapter {os.getpid()}")
ADDRESS = IPv6Interface((inner_address("me"), 64))


@pytest.fixture
def wireguard(tmp_path: Path) -> Iterator[LinuxWireGuard]:
    """In a namespace of its own."""
    if shutil.which("wg") is None:
        pytest.skip("needs wireguard-tools")
    with private_namespace(), closing(LinuxWireGuard(tmp_path / "keys.json")) as made:
        yield made
        sh(f"ip link del {NAME} 2>/dev/null || true")


async def device(wireguard: LinuxWireGuard) -> WireGuardDevice:
    """One with two peers, one of which is about to change its key."""
    pairs = [await wireguard.make_pair() for _ in range(4)]
    one, two, three = (pair.public for pair in pairs[:3])
    peers = (
        Peer((one,), one, ip_address("192.0.2.2"), 51821, inner_address("two")),
        Peer((two, three), three, ip_address("fd00::3"), 51822, inner_address("three")),
    )
    return WireGuardDevice(NAME, "mooring:wireguard:me", ADDRESS, 51821, 1400, pairs[3].private, peers)


async def test_keys_are_kept_for_root_alone(wireguard: LinuxWireGuard, tmp_path: Path) -> None:
    """And are those of X25519, each another."""
    assert wireguard.kept() is None
    one, two = await wireguard.make_pair(), await wireguard.make_pair()
    assert len({one.public, one.private, two.public, two.private}) == 4
    ring = KeyRing(used=one, since=1.0, coming=two)
    wireguard.keep(ring)
    wireguard.keep(ring)
    assert wireguard.kept() == ring
    assert os.listdir(tmp_path) == ["keys.json"]
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


async def test_the_device_is_as_told(wireguard: LinuxWireGuard) -> None:
    """With all keys of its peers, of which one has the address; a change leaves the rest; removed, it is gone."""
    wanted = await device(wireguard)
    assert set(await wireguard.settle(wanted)) == set()
    assert set(await wireguard.settle(wanted)) == {key for peer in wanted.peers for key in peer.keys}
    one, three = wanted.peers
    shown = {line.split("\t")[0]: line.split("\t")[2:4] for line in sh(f"wg show {NAME} dump").splitlines()[1:]}
    assert shown[one.key] == ["192.0.2.2:51821", f"{one.inner}/128"]
    assert shown[three.keys[0]] == ["[fd00::3]:51822", "(none)"]
    assert shown[three.keys[1]] == ["[fd00::3]:51822", f"{three.inner}/128"]
    link = sh(f"ip link show {NAME}; ip address show dev {NAME}")
    assert all(words in link for words in ("mtu 1400", "alias mooring:wireguard:me", str(ADDRESS), ",UP"))
    assert "fe80" not in link
    back = replace(three, key=three.keys[0])
    await wireguard.settle(replace(wanted, peers=(back,)))
    allowed = {line.split("\t")[0]: line.split("\t")[3] for line in sh(f"wg show {NAME} dump").splitlines()[1:]}
    assert allowed == {three.keys[0]: f"{three.inner}/128", three.keys[1]: "(none)"}
    await wireguard.remove(NAME)
    await wireguard.remove(NAME)
    assert NAME not in sh("ip link")


async def test_there_is_one_device_a_host(wireguard: LinuxWireGuard) -> None:
    """That of a cluster which the host has left would keep the port."""
    wanted = await device(wireguard)
    former = device_name(f"former {os.getpid()}")
    await wireguard.settle(replace(wanted, name=former, alias="mooring:wireguard:former", peers=()))
    await wireguard.settle(wanted)
    await wireguard.settle(wanted)
    links = sh("ip link")
    assert former not in links
    assert NAME in links


async def test_what_is_others_is_left_alone(wireguard: LinuxWireGuard) -> None:
    """A device of that name, and a port that is taken."""
    wanted = await device(wireguard)
    sh(f"ip link add {NAME} type bridge")
    with pytest.raises(Conflict, match="not ours"):
        await wireguard.settle(wanted)
    await wireguard.remove(NAME)
    assert NAME in sh("ip link")
    sh(f"ip link del {NAME}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 51821))
        with pytest.raises(Conflict, match="UDP port 51821 is in use"):
            await wireguard.settle(wanted)
    await wireguard.settle(wanted)
    await wireguard.remove(NAME)


async def test_what_is_missing_is_said(
    wireguard: LinuxWireGuard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to install."""
    assert await wireguard.check()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match=r"encrypted=on needs WireGuard.*apt install"):
        await wireguard.check()
    with pytest.raises(Unavailable, match="wg cannot be run"):
        await wireguard.make_pair()
