"""What the docker command sends for `network create` and `run -d` with the options that tests mostly give.

Rules: the command costs up to a tenth of a second of processor time, a request nothing; what is not known here is left
to the command, and what a user reads is checked through it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

PORT = re.compile(r"(\d+):(\d+)(?:/(tcp|udp))?")
NETWORK_OPTIONS = {"--subnet", "-o", "--opt", "--ipam-opt"}
RUN_OPTIONS = {"--network", "-p", "--ip", "--ip6", "--restart", "--label", "--network-alias"}
SWITCHES = {"--ipv6", "--internal"}
MANY = {"-p", "--label", "--network-alias"}

Body = dict[str, Any]


def network_body(name: str, options: Sequence[str]) -> Body | None:
    """Of a network with both of Mooring's drivers; None when an option is not known."""
    given = _values(options, NETWORK_OPTIONS, SWITCHES)
    if given is None:
        return None
    return {
        "Name": name,
        "CheckDuplicate": True,
        "Driver": "mooring",
        "EnableIPv6": "--ipv6" in given,
        "Internal": "--internal" in given,
        "Options": dict(_pairs(given["-o"] + given["--opt"])),
        "IPAM": {
            "Driver": "mooring",
            "Config": [{"Subnet": subnet} for subnet in given["--subnet"]],
            "Options": dict(_pairs(given["--ipam-opt"])),
        },
    }


def container_body(options: Sequence[str], image: str, command: Sequence[str]) -> Body | None:
    """Of a container in at most one network; None when an option is not known."""
    given = _values(options, RUN_OPTIONS, set())
    if given is None or any(len(values) > 1 for option, values in given.items() if option not in MANY):
        return None
    ports = [PORT.fullmatch(port) for port in given["-p"]]
    network = (given["--network"] or ["default"])[0]
    if not all(ports) or "=" in network or ":" in network or ":" in "".join(given["--restart"]):
        return None
    bindings: dict[str, list[dict[str, str]]] = defaultdict(list)
    for host, inside, kind in (port.groups() for port in ports if port):
        bindings[f"{inside}/{kind or 'tcp'}"].append({"HostIp": "", "HostPort": host})
    endpoint: Body = {}
    chosen = {"IPv4Address": given["--ip"], "IPv6Address": given["--ip6"]}
    if addresses := {key: values[0] for key, values in chosen.items() if values}:
        endpoint["IPAMConfig"] = addresses
    if given["--network-alias"]:
        endpoint["Aliases"] = given["--network-alias"]
    return {
        "Image": image,
        "Cmd": list(command),
        "Labels": dict(_pairs(given["--label"])),
        "ExposedPorts": {port: {} for port in bindings},
        "HostConfig": {
            "NetworkMode": network,
            "PortBindings": bindings,
            "RestartPolicy": {"Name": (given["--restart"] or ["no"])[0]},
        },
        "NetworkingConfig": {"EndpointsConfig": {network: endpoint} if endpoint else {}},
    }


def _values(options: Sequence[str], valued: set[str], switches: set[str]) -> defaultdict[str, list[str]] | None:
    """What was given by option; None when one is not known."""
    given: defaultdict[str, list[str]] = defaultdict(list)
    words = iter(options)
    for word in words:
        if word in switches:
            given[word].append("")
        elif word in valued:
            given[word].append(next(words))
        else:
            return None
    return given


def _pairs(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        key, _, value = text.partition("=")
        yield key, value
