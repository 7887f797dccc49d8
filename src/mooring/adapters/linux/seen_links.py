"""One interface of the host, whoever made it, as somebody sees it who may want to use it.

Rule: nothing is changed; the other end of a veth of ours is as good as ours, and goes with it.
"""

from __future__ import annotations

from collections.abc import Collection

from mooring.adapters.linux.links import Links
from mooring.core.plumbing import HostLink


def host_link(links: Links, name: str, doomed: Collection[str] = ()) -> HostLink | None:
    """The link of that name, None when there is none. doomed: names of links of ours that are on their way out, and
    count as gone, with their other ends. Raises NetlinkError."""
    found = links.find(name)
    if found is None or (found.ours and found.name in doomed):
        return None
    beside = links.at(found.other) if found.kind == "veth" and found.beyond is None else None
    pair = beside is not None and beside.ours
    if pair and beside is not None and beside.name in doomed:
        return None
    addresses = tuple(interface for index, interface, _ in links.addresses() if index == found.index)
    return HostLink(
        found.name, found.kind, found.mac, found.mtu, bool(found.master), found.ours or pair, addresses
    )  # fmt: skip
