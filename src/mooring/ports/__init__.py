"""What we need of the world: a few methods each, in core's words.

Rules: a port says what is true afterwards and which faults it raises; the real adapter and the double in
mooring.testing pass the same contract tests (tests/contracts).
"""

from mooring.ports.clusters import Change, Cluster, ClusterSetup, WireGuard
from mooring.ports.drivers import Driver, IpamDriver, PluginFinder
from mooring.ports.hosts import Clock, Echoes, Engine, HostNet, Kernel, PortGuard
from mooring.ports.sandboxes import Counters, Files, Lookup, Namespaces, Resolver
from mooring.ports.stores import Entry, Store, Transaction, check_key

__all__ = [
    "Change",
    "Clock",
    "Cluster",
    "ClusterSetup",
    "Counters",
    "Driver",
    "Echoes",
    "Engine",
    "Entry",
    "Files",
    "HostNet",
    "IpamDriver",
    "Kernel",
    "Lookup",
    "Namespaces",
    "PluginFinder",
    "PortGuard",
    "Resolver",
    "Store",
    "Transaction",
    "WireGuard",
    "check_key",
]
