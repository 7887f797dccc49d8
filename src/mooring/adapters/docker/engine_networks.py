"""A network as Docker's API takes it to be made.

Rule: what is not asked for is not sent, so that an engine of any age settles it as for its own command.
"""

from __future__ import annotations

import msgspec

from mooring.core.containers import EngineNetwork, EngineSubnet


class CreatedAnswer(msgspec.Struct):
    """POST /networks/create."""

    id: str = msgspec.field(name="Id")


def creating(wanted: EngineNetwork) -> dict[str, object]:
    """The body of the request for it. CheckDuplicate: engines before API 1.44 make a second one of a name without."""
    versions = {each.subnet.version for each in wanted.subnets}
    body: dict[str, object] = {
        "Name": wanted.name, "CheckDuplicate": True, "Driver": wanted.driver, "Internal": wanted.internal,
        "EnableIPv6": 6 in versions, "Options": dict(wanted.options), "Labels": dict(wanted.labels),
        "IPAM": {
            "Driver": wanted.ipam, "Options": dict(wanted.ipam_options),
            "Config": [_config(each) for each in wanted.subnets],
        },
    }  # fmt: skip
    return body if versions != {6} else body | {"EnableIPv4": False}


def _config(part: EngineSubnet) -> dict[str, object]:
    config: dict[str, object] = {"Subnet": str(part.subnet)}
    if part.range is not None:
        config["IPRange"] = str(part.range)
    if part.gateway is not None:
        config["Gateway"] = str(part.gateway)
    if part.auxiliary:
        config["AuxiliaryAddresses"] = {name: str(address) for name, address in part.auxiliary.items()}
    return config
