"""What the doctor tells of the host's own firewall, where that cuts containers off.

Rule: a firewall that cannot be read is nobody's fault: then nothing is told.
"""

from __future__ import annotations

from mooring.core.faults import Unavailable
from mooring.core.findings import Finding
from mooring.core.networks import Network
from mooring.ports import Kernel
from mooring.services.records.record_cache import RecordCache

# Networks that are named in one line.
NAMED = 5


async def filter_findings(cache: RecordCache, kernel: Kernel, now: float) -> list[Finding]:
    """One for each chain that drops what our networks forward. Internal ones forward nothing."""
    names = {
        network.bridge: network.name or network.id[:12]
        for network in cache.every(Network)
        if network.bridged and not network.internal and not network.domain
    }
    try:
        filters = await kernel.dropping_filters(names.keys())
    except Unavailable:
        return []
    found = []
    for each in filters:
        cut_off = sorted(names[bridge] for bridge in each.bridges if bridge in names)
        more = f" and {len(cut_off) - NAMED} more" if len(cut_off) > NAMED else ""
        how = "has the policy drop" if each.by_policy else "has a rule that drops everything"
        found.append(
            Finding(
                f"host filter {each.place}",
                f"the host's firewall cuts off containers in {', '.join(cut_off[:NAMED])}{more}: chain {each.chain} of "
                f"the table {each.table} {how}, and accepts nothing of theirs before",
                f"`nft list chain {each.place}`",
                now,
                each.remedy,
            )
        )
    return found
