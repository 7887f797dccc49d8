"""A link's sysctls as rtnetlink tells them: what the files below /proc/sys say."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.adapters.linux.link_settings import link_settings, no_own_address
from mooring.adapters.linux.links import Links
from mooring.adapters.linux.sysctls import read_setting
from mooring.core.datapath import BRIDGE_SETTINGS
from tests.adapters.test_links import BRIDGE
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

PATHS = [pattern.format(BRIDGE.name) for pattern in BRIDGE_SETTINGS]


def told() -> dict[str, str]:
    """By the kernel together with the bridge."""
    links = Links()
    try:
        link = links.find(BRIDGE.name)
        assert link is not None
        return dict(link_settings(link.name, link.families))
    finally:
        links.close()


@pytest.fixture
def bridge(namespace: Namespace) -> None:
    """It is there."""
    links = Links()
    links.add_bridge(BRIDGE)
    links.close()


@pytest.mark.parametrize("value", ["0", "1"])
@pytest.mark.parametrize("path", PATHS)
def test_each_is_what_its_file_says(bridge: None, path: str, value: str) -> None:
    """Whichever is changed, and no other one."""
    before = told()
    assert before == {each: read_setting(each) for each in PATHS}
    Path(f"/proc/sys/{path}").write_text(value)
    assert told() == before | {path: value}


def test_those_of_ipv6_are_not_there_without_it(bridge: None) -> None:
    """As on a bridge with an MTU below the least of IPv6 (RFC 8200, section 5)."""
    sh(f"ip link set {BRIDGE.name} mtu 1000")
    assert list(told()) == [path for path in PATHS if "/ipv4/" in path]


def test_a_kernel_without_ipv6_is_told_nothing_of_its_addresses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would refuse the whole message."""
    assert no_own_address(1280) != b""
    assert no_own_address(1279) == b""
    monkeypatch.setattr("mooring.adapters.linux.link_settings._IPV6", tmp_path / "ipv6")
    assert no_own_address(1500) == b""
