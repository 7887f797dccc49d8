"""Docker plugins for programs: libnetwork's remote network and IPAM drivers without the protocol.

A program hands `serve` a NetworkDriver, an IpamDriver or both, and is a plugin. Nothing of Mooring's daemon runs.
"""

from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, Forbidden, NotFound, Unavailable
from mooring.plugin.drivers import IpamDriver, NetworkDriver
from mooring.plugin.serving import serve, serve_async
from mooring.wire.remote_api import (
    CONNECTED,
    NEXT_HOP,
    AddressAnswer,
    AddressQuery,
    AddressReference,
    Discovery,
    EndpointCreated,
    EndpointCreation,
    EndpointInterface,
    EndpointReference,
    ExternalConnectivity,
    InterfaceName,
    IpamData,
    Joined,
    Joining,
    NetworkAllocated,
    NetworkCreation,
    NetworkReference,
    PoolAnswer,
    PoolQuery,
    PoolReference,
    Route,
)

__all__ = [
    "CONNECTED",
    "NEXT_HOP",
    "AddressAnswer",
    "AddressQuery",
    "AddressReference",
    "BadRequest",
    "Conflict",
    "Discovery",
    "EndpointCreated",
    "EndpointCreation",
    "EndpointInterface",
    "EndpointReference",
    "Exhausted",
    "ExternalConnectivity",
    "Fault",
    "Forbidden",
    "InterfaceName",
    "IpamData",
    "IpamDriver",
    "Joined",
    "Joining",
    "NetworkAllocated",
    "NetworkCreation",
    "NetworkDriver",
    "NetworkReference",
    "NotFound",
    "PoolAnswer",
    "PoolQuery",
    "PoolReference",
    "Route",
    "Unavailable",
    "serve",
    "serve_async",
]
