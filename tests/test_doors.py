"""The daemon's doors: what is told of them."""

from __future__ import annotations

from pathlib import Path

from mooring.config import ProxyListener
from mooring.doors import door_findings


def test_a_proxy_at_an_address_that_the_host_does_not_have_is_told() -> None:
    """Until it is there; of the others nothing is said."""
    proxies = [
        ProxyListener("unix:///run/mooring/docker.sock", Path("/run/mooring/docker.sock")),
        ProxyListener("tcp://127.0.0.1:2375", host="127.0.0.1", port=2375),
        ProxyListener("tcp://192.0.2.1:2376", host="192.0.2.1", port=2376),
        ProxyListener("tcp://[::]:2376", host="::", port=2376),
    ]
    (finding,) = door_findings(proxies, 7.0)
    assert finding.text == "the proxy listens at tcp://192.0.2.1:2376, and the host does not have address 192.0.2.1"
    assert finding.since == 7.0
