"""The options of networks that several hosts of a cluster take part in.

Rules: an overlay is a network of the cluster, whoever says so; what only tunnels have is refused without them, and so
is what a network of several hosts cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mooring.core.faults import BadRequest
from mooring.core.networks import GatewayMode, Ingress, Mode, Network, NetworkOptions, Scope, Subnets

VXLAN = "vxlan"
"""What `mode` is called of a network with tunnels between its hosts."""
VNI_MOST = 2**24 - 1
"""The greatest VXLAN network identifier (RFC 7348, section 5)."""
SCOPE_OPTIONS = ("scope", "mooring.scope")
"""How the option is spelled that says who takes part."""
OF_OVERLAYS = ("vni", "encrypted", "multicast", "offload", "ingress")
"""Our words for what only tunnels have."""


def cluster_words(options: NetworkOptions, scope_given: bool) -> NetworkOptions:
    """The options with what `mode=vxlan` says of the scope."""
    return replace(options, scope=Scope.CLUSTER) if options.overlay and not scope_given else options


def published(network: Network) -> bool:
    """Whether the network is the cluster's by a later word than Docker's options, which say nothing of it."""
    if network.options.scope is Scope.LOCAL or network.options.overlay:
        return False
    return all(network.raw.get(name, Scope.LOCAL.value) == Scope.LOCAL.value for name in SCOPE_OPTIONS)


def check_cluster(options: NetworkOptions, given: Mapping[str, str], internal: bool) -> None:
    """Raises BadRequest for what is wrong together. given: the options that were given, by our words for them.
    internal: of the network."""
    if not options.overlay:
        for word in OF_OVERLAYS:
            if word in given:
                raise BadRequest(f"option {given[word]} is for networks with tunnels between hosts",
                                 hint="add -o mode=vxlan")  # fmt: skip
    elif options.scope is Scope.LOCAL:
        raise BadRequest(f"option {given['scope']}=local contradicts mode=vxlan, which is for several hosts")
    if options.ingress is Ingress.ANY:
        _check_ingress(options, given, internal)
    if options.scope is Scope.LOCAL:
        return
    if options.mode is not Mode.BRIDGE:
        raise BadRequest(
            f"option {given['scope']}=cluster is not for mode {options.mode.value}", hint="leave one of them out"
        )
    if options.subnets is not Subnets.AT_CREATION:
        raise BadRequest(
            f"option {given['subnets']}={options.subnets.value} is not for networks of the cluster: hosts meet by the "
            "subnet, which is there when the network is made"
        )


def _check_ingress(options: NetworkOptions, given: Mapping[str, str], internal: bool) -> None:
    """Raises BadRequest where no other host could lead to a published port."""
    which = f"option {given['ingress']}=any"
    if internal:
        raise BadRequest(f"{which} is not for internal networks, which publish nothing")
    if not options.icc:
        raise BadRequest(
            f"{which} contradicts {given['icc']}=off: what other hosts lead to a container comes by way of the network",
            hint="leave one of them out",
        )
    if {options.gateway_mode4, options.gateway_mode6} <= {GatewayMode.ROUTED}:
        raise BadRequest(f"{which} is for address translation: a routed port is open at the container's own address")
