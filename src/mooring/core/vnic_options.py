"""The options of a network whose interfaces a launcher makes.

Rules: the bridge that VNICs share says that a network is for them, though nobody says the mode; what is the launcher's
to decide is no option here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mooring.core.faults import BadRequest
from mooring.core.networks import Mode, NetworkOptions

# How the bridges begin that VNICs share.
VNIC_BRIDGE = "mb-"
_BRIDGE = re.compile(rf"{VNIC_BRIDGE}[0-9a-f]{{12}}")
WORDS = frozenset({"mode", "overlay", "bridge", "interface_prefix", "routes", "tenant", "scope"})


def is_vnic_bridge(name: str) -> bool:
    """Whether VNICs share a bridge of that name, or may."""
    return _BRIDGE.fullmatch(name) is not None


def check_handoff(options: NetworkOptions, given: Mapping[str, str]) -> None:
    """Raises BadRequest for what only the launcher can decide, and for bridges that are not, or only, of VNICs. given:
    the options that were given, by our words for them."""
    vnics = is_vnic_bridge(options.bridge)
    if options.mode is not Mode.HANDOFF:
        if vnics:
            raise BadRequest(f"option {given['bridge']}={options.bridge} is for mode handoff only")
        return
    for word, name in given.items():
        if word not in WORDS:
            raise BadRequest(f"option {name} has no effect in mode handoff: the launcher makes the interfaces")
    if options.bridge and not vnics:
        raise BadRequest(
            f"option {given['bridge']}={options.bridge} is no bridge of VNICs",
            hint="see `mooring vnic ls`, or leave it out",
        )
