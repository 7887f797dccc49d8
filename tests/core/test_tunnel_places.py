"""The places of the encrypted underlay are nobody else's."""

from __future__ import annotations

from mooring.core.dns_places import ADDRESS6
from mooring.core.domains import MOST, line
from mooring.core.tunnel_places import INNER, LINKS


def test_nothing_else_of_ours_is_there() -> None:
    """Neither a tenant's line nor the DNS server; and no other link of ours is called like that."""
    assert ADDRESS6 not in INNER
    assert not any(end.ip in INNER for number in (1, MOST) for end in line(number, 6))
    assert LINKS not in ("mr-", "mv-", "mt-", "mx-")
