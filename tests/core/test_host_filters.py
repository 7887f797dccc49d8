"""What the doctor says of a chain that drops."""

from __future__ import annotations

from mooring.core.host_filters import HostFilter


def test_the_remedy_is_a_rule_or_what_firewalld_takes() -> None:
    """A rule that comes before ours does not help by itself; what firewalld writes is firewalld's to change."""
    usual = HostFilter("inet filter", "forward", 0, True, ("mr-1",))
    assert usual.remedy == (
        "`nft insert rule inet filter forward meta mark and 0x20000000 == 0x20000000 accept`, and that in "
        "/etc/nftables.conf"
    )
    early = HostFilter("inet filter", "forward", -150, True, ("mr-1",))
    assert early.remedy.endswith("in a chain of a priority above -5: before that nothing bears the mark")
    zoned = HostFilter("inet firewalld", "filter_FORWARD", 10, False, ("mr-1", "mr-2"))
    assert "--zone=trusted --add-interface=mr-1 --add-interface=mr-2`" in zoned.remedy
