"""The shares of open files."""

from __future__ import annotations

import resource

import pytest

from mooring.adapters.host.descriptors import raise_limit, shares


@pytest.mark.parametrize("limit", [256, 1024, 4096, 20_000, 65_536, 524_288, 1 << 20])
def test_ports_and_clients_together_leave_something_to_the_daemon(limit: int) -> None:
    """Two files for each client of the proxy."""
    found = shares(limit)
    assert min(found.ports, found.proxies, found.api) > 0
    assert found.ports + 2 * found.proxies + found.api <= limit - min(limit // 64, 1024)


def test_the_limit_is_raised_to_what_is_allowed() -> None:
    """And as it was once this test is over."""
    soft, hard = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        assert raise_limit().limit == (hard if hard != resource.RLIM_INFINITY else 1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
