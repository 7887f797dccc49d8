"""The table of a door for drivers that a program brings along.

Rules: what is announced is what was given; a driver's answer is of its method's type or the program's mistake, which is
told to dockerd as every exception is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from inspect import iscoroutinefunction
from typing import Any

from mooring.core.faults import BadRequest
from mooring.plugin.drivers import IpamDriver, NetworkDriver
from mooring.servers.plugin.dispatch import Method
from mooring.wire import remote_api as api

# Method of the protocol: method of the driver, whether it is an end, which the driver may know nothing of.
_NETWORK = {
    "AllocateNetwork": ("allocate_network", False),
    "FreeNetwork": ("free_network", True),
    "CreateNetwork": ("create_network", False),
    "DeleteNetwork": ("delete_network", True),
    "CreateEndpoint": ("create_endpoint", False),
    "DeleteEndpoint": ("delete_endpoint", True),
    "EndpointOperInfo": ("endpoint_info", False),
    "Join": ("join", False),
    "Leave": ("leave", True),
    "ProgramExternalConnectivity": ("publish", False),
    "RevokeExternalConnectivity": ("unpublish", True),
    "DiscoverNew": ("discover_new", False),
    "DiscoverDelete": ("discover_delete", False),
}
_IPAM = {
    "RequestPool": ("request_pool", False),
    "ReleasePool": ("release_pool", True),
    "RequestAddress": ("request_address", False),
    "ReleaseAddress": ("release_address", True),
}


def methods_of(
    network_driver: NetworkDriver | None, ipam_driver: IpamDriver | None, threads: Executor
) -> dict[str, Method]:
    """What the plugin answers. threads: where plain methods run. Raises BadRequest when there is no driver."""
    implements: list[str] = []
    table: dict[str, Method] = {"Plugin.Activate": _always(api.Activation(implements))}
    if network_driver is not None:
        implements.append("NetworkDriver")
        scopes = api.NetworkCapabilities(network_driver.scope, network_driver.connectivity_scope)
        table["NetworkDriver.GetCapabilities"] = _always(scopes)
        table |= _bound("NetworkDriver", network_driver, _NETWORK, threads)
    if ipam_driver is not None:
        implements.append("IpamDriver")
        needs = api.IpamCapabilities(ipam_driver.requires_mac_address, ipam_driver.requires_request_replay)
        spaces = api.AddressSpaces(ipam_driver.local_space, ipam_driver.global_space)
        table["IpamDriver.GetCapabilities"] = _always(needs)
        table["IpamDriver.GetDefaultAddressSpaces"] = _always(spaces)
        table |= _bound("IpamDriver", ipam_driver, _IPAM, threads)
    if not implements:
        raise BadRequest("a plugin needs a driver", hint="give network_driver=, ipam_driver= or both")
    return table


def _always(reply: api.Message) -> Method:
    async def answer(_: api.Message) -> api.Message:
        return reply

    return Method(answer)


def _bound(
    protocol: str, driver: NetworkDriver | IpamDriver, names: dict[str, tuple[str, bool]], threads: Executor
) -> dict[str, Method]:
    table = {}
    for method, (name, ends) in names.items():
        call = _caller(getattr(driver, name), api.METHODS[f"{protocol}.{method}"][1], name, threads)
        table[f"{protocol}.{method}"] = Method(call, changes=name != "endpoint_info", forgiving=ends)
    return table


def _caller(
    work: Callable[[Any], Any], kind: type[api.Message], name: str, threads: Executor
) -> Callable[[api.Message], Awaitable[api.Message]]:
    async def call(request: api.Message) -> api.Message:
        if iscoroutinefunction(work):
            answer = await work(request)
        else:
            answer = await asyncio.get_running_loop().run_in_executor(threads, work, request)
            if isinstance(answer, Awaitable):  # a plain method that hands on what another one awaits
                answer = await answer
        return _reply(answer, kind, name)

    return call


def _reply(answer: object, kind: type[api.Message], name: str) -> api.Message:
    """Raises TypeError for what is no answer of that method."""
    if kind is api.EndpointInfo and isinstance(answer, dict):
        return api.EndpointInfo(answer)
    if isinstance(answer, kind):
        return answer
    if answer is None and kind in (api.Empty, api.EndpointCreated):
        return kind()
    wanted = {api.Empty: "None", api.EndpointInfo: "dict"}.get(kind, kind.__name__)
    raise TypeError(f"{name} returned {type(answer).__name__}, not {wanted}")
