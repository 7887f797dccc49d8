"""Networks for programs: the Container Network Model as a library.

A Controller has Networks and Sandboxes, a Network has Endpoints, and an Endpoint joins a Sandbox. Everything is told to
a Driver and granted by an IpamDriver, of which the program may bring its own.
"""

from mooring.cnm.controllers import Controller
from mooring.cnm.objects import Endpoint, Network, Sandbox
from mooring.cnm.values import AddressLike, EndpointInfo, SandboxSettings, Subnet, SubnetLike
from mooring.core import faults
from mooring.core.endpoints import Attachment, State
from mooring.core.endpoints import Endpoint as EndpointRecord
from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, Forbidden, NotFound, Unavailable
from mooring.core.findings import Report
from mooring.core.networks import Network as NetworkRecord
from mooring.core.networks import StaticRoute
from mooring.core.pools import SubnetPool
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import AddressRequest, EndpointGrant, JoinRequest, NetworkSpec, PoolGrant, PoolRequest, Role
from mooring.core.sandboxes import Kind
from mooring.ports import Counters, Driver, IpamDriver

__all__ = [
    "AddressLike",
    "AddressRequest",
    "Attachment",
    "BadRequest",
    "Conflict",
    "Controller",
    "Counters",
    "Driver",
    "Endpoint",
    "EndpointGrant",
    "EndpointInfo",
    "EndpointRecord",
    "Exhausted",
    "Fault",
    "Forbidden",
    "IpamDriver",
    "JoinRequest",
    "Kind",
    "Network",
    "NetworkRecord",
    "NetworkSpec",
    "NotFound",
    "PoolGrant",
    "PoolRequest",
    "PortRequest",
    "Protocol",
    "Report",
    "Role",
    "Sandbox",
    "SandboxSettings",
    "State",
    "StaticRoute",
    "Subnet",
    "SubnetLike",
    "SubnetPool",
    "Unavailable",
    "faults",
]
