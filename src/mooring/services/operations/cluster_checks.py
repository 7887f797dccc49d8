"""What is not as it should be in this host's part of a cluster, for the doctor.

Rule: what was found by the cluster's turns and by the watch is told, not looked for again; only the servers are asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mooring.core.cluster_hosts import ClusterHost, other_ports
from mooring.core.datapath import LEAST_MTU6
from mooring.core.faults import Fault
from mooring.core.findings import Finding
from mooring.core.networks import Network
from mooring.core.overlays import OVERHEAD, Overlay, fitted_mtu


def turn_findings(faults: Iterable[Fault], now: float) -> Iterator[Finding]:
    """What the last turn could not do, which is tried again."""
    told = {fault.what: fault for fault in reversed([*faults])}
    for text, fault in sorted(told.items()):
        yield Finding(f"cluster {text}", text, fault.holder or "the cluster's last turn", now, fault.hint)


def unread_findings(complaints: Iterable[str], now: float) -> Iterator[Finding]:
    """What other hosts advertise and this one cannot read."""
    for text in complaints:
        remedy = "bring all hosts to one version of Mooring"
        yield Finding(f"advertisement {text.split()[0]}", text, "the cluster's store", now, remedy)


def server_findings(complaints: Iterable[str], now: float) -> Iterator[Finding]:
    """Of the servers that hold the cluster's store, those that others stand in for as yet."""
    for text in complaints:
        remedy = "see to that server: without a majority of them hosts claim nothing new (`mooring cluster status`)"
        yield Finding(f"server {text}", text, "asking each of the cluster's endpoints", now, remedy)


def port_findings(hosts: Iterable[ClusterHost], port: int, now: float) -> Iterator[Finding]:
    """Hosts whose tunnels end at another port than this one's. port: of UDP, where tunnels of this one end."""
    for host in other_ports(port, hosts):
        text = f"host {host.name} has its tunnels at UDP port {host.vxlan_port}, this one at {port}"
        remedy = "set `vxlan_port` to the same on all hosts, and restart the daemons"
        yield Finding(f"vxlan_port {host.id}", f"{text}: neither hears the other", "the host's record", now, remedy)


def narrow_findings(
    hosts: Iterable[ClusterHost], overlays: Iterable[tuple[Network, Overlay]], now: float
) -> Iterator[Finding]:
    """Hosts whose underlay is too small for what this one may send to them, which nobody tells the sender."""
    longest = max(
        (
            fitted_mtu(network, overlay) + OVERHEAD[overlay.local.version]
            for network, overlay in overlays
            if not network.options.encrypted
        ),
        default=0,
    )
    for host in hosts:
        if host.underlay.mtu < longest:
            text = f"host {host.name} has an MTU of {host.underlay.mtu} on {host.underlay.link}"
            yield Finding(
                f"narrow {host.id}",
                f"{text}: full packets of this one's containers, up to {longest} bytes in the tunnel, are lost there",
                "the host's record",
                now,
                "give the underlay of all hosts one MTU, or make the networks with `-o mtu=`",
            )


def mtu_findings(overlays: Iterable[tuple[Network, Overlay]], now: float) -> Iterator[Finding]:
    """Overlays whose underlay is too small for what is asked of them."""
    for network, overlay in overlays:
        who, room = f"network {network.name or network.id[:12]}", overlay.room
        proof = f"the routes to the other hosts have an MTU of {overlay.underlay_mtu}"
        if network.ipv6 and room < LEAST_MTU6:
            text = f"{who}: full packets go in two pieces, as IPv6 needs {LEAST_MTU6} bytes and there are {room}"
            remedy = f"give the underlay an MTU of {LEAST_MTU6 + OVERHEAD[overlay.local.version]} or more"
            yield Finding(f"mtu {network.id}", text, proof, now, remedy)
        elif network.options.mtu > room:
            text = f"{who}: its option mtu={network.options.mtu} does not fit, containers have {room}"
            remedy = f"make the network with mtu={room}, or none, or give the underlay a larger MTU"
            yield Finding(f"mtu {network.id}", text, proof, now, remedy)
