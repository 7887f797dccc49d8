"""The driver options of an endpoint, as a user gives them to `docker run` and `docker network connect`.

Rule: as in core/options.py: each is understood or refused by its name, but for what the engine sends of itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mooring.core.faults import BadRequest
from mooring.core.options import parse_subnet, shown, unknown

# The subnet of the network that the endpoint's address shall be from.
SUBNET = "mooring.subnet"
# The network port that the endpoint is to have, by its id or name (core/network_ports.py).
PORT = "mooring.port"
ENDPOINT_PREFIX = "com.docker.network.endpoint."
ENDPOINT_SYSCTLS = ENDPOINT_PREFIX + "sysctls"
ENDPOINT_IFNAME = ENDPOINT_PREFIX + "ifname"
LONGEST_PORT = 128
# linux/net/core/dev.c, dev_valid_name, but for characters that no terminal shows.
_LINK_NAME = re.compile(r"(?!\.{1,2}$)[!-.0-9;-~]{1,15}")
# These the engine sends of itself; the plugin door reads them with mooring.wire.remote_api.
ENDPOINT_BY_ENGINE = frozenset(
    {ENDPOINT_PREFIX + word for word in ("exposedports", "macaddress", "dnsservers", "name")}
    | {"com.docker.network.portmap"}
)


def parse_endpoint_options(raw: Mapping[str, object]) -> dict[str, str]:
    """The endpoint's driver options that Mooring keeps: those of `--network name=n,driver-opt=k=v`.

    raw: everything that CreateEndpoint bears; what the engine sends of itself is left out here. A user's option is
    always text, and is refused when it is unknown. Raises BadRequest.
    """
    kept: dict[str, str] = {}
    for name, value in sorted(raw.items()):
        if name in ENDPOINT_BY_ENGINE or not isinstance(value, str):
            continue
        if name == ENDPOINT_IFNAME and not _LINK_NAME.fullmatch(value):
            raise BadRequest(f"{name}={shown(value)} is not the name of an interface", hint="1 to 15 characters")
        if name == SUBNET:
            parse_subnet(name, value)
        elif name == PORT:
            if not value.strip() or len(value) > LONGEST_PORT or not value.isprintable():
                raise BadRequest(f"{name}={shown(value)} is neither the id nor the name of a port")
        elif name not in (ENDPOINT_SYSCTLS, ENDPOINT_IFNAME):
            raise unknown("endpoint option", name, [SUBNET, PORT, ENDPOINT_SYSCTLS, ENDPOINT_IFNAME])
        kept[name] = value  # the engine (27 and up) applies the sysctls itself
    return kept
