"""Where the encrypted underlay is (core/wireguard.py): its addresses, and what its devices are called.

Rule: nothing else is there, so the firewall knows by them what belongs into the devices.
"""

from __future__ import annotations

from ipaddress import IPv6Network

INNER = IPv6Network("fd6d:6f6f:7269:6e68::/64")
"""Of the hosts, each in its device: beside core/domains.py's, which begins with "mooring" in ASCII."""
LINKS = "mw-"
"""What the names of the devices begin with."""
