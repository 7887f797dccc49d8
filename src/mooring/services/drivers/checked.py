"""A program's own drivers, held to what they promise.

Rules: an answer of the wrong kind, and an error that is no fault, become a fault that names the driver and the method,
so that a mistake in a driver is never a traceback of ours; what a driver does right is passed on as it is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.faults import Fault, Unavailable
from mooring.core.networks import Network
from mooring.core.requests import EndpointGrant, JoinRequest, NetworkSpec
from mooring.ports import Driver

log = logging.getLogger(__name__)

T = TypeVar("T")

# What the kernel takes as an interface's name (net/core/dev.c, dev_valid_name), and what is nobody's to give.
_LINK = re.compile(r"[^\s/:]{1,15}")
_PREFIX = re.compile(r"[^\s/:]{1,12}")  # leaves room for a number
_NOT_GIVEN = frozenset({".", "..", "lo"})


class CheckedDriver(Driver):
    """The driver under its name."""

    def __init__(self, name: str, driver: Driver) -> None:
        self._name = name
        self._driver = driver
        self.remembers, self.forwards, self.returns = driver.remembers, driver.forwards, driver.returns

    async def _ask(self, method: str, call: object, kind: type[T]) -> T:
        """What the call answers, of that kind. Raises Unavailable for another, and for what is no fault."""
        if not isinstance(call, Awaitable):
            raise self._mistake(method, "is not a coroutine: it must be an async def")
        try:
            answer: object = await call
        except Fault:
            raise
        except Exception as error:
            log.exception("driver %s: %s failed", self._name, method)
            raise self._mistake(method, f"failed: {type(error).__name__}: {error}") from error
        if not isinstance(answer, kind):
            raise self._mistake(method, f"answered {type(answer).__name__}, not {kind.__name__}")
        return answer

    def _mistake(self, method: str, what: str) -> Unavailable:
        return Unavailable(f"driver {self._name}: {method} {what}")

    async def wants_gateways(self, spec: NetworkSpec) -> tuple[bool, bool]:
        """See Driver."""
        answer = await self._ask("wants_gateways", self._driver.wants_gateways(spec), tuple)
        if [type(word) for word in answer] != [bool, bool]:
            raise self._mistake("wants_gateways", f"answered {answer!r}, not two truth values")
        return answer[0], answer[1]

    async def create_network(self, network: Network) -> None:
        """See Driver."""
        await self._ask("create_network", self._driver.create_network(network), object)

    async def delete_network(self, network: Network, endpoints: Sequence[Endpoint]) -> None:
        """See Driver."""
        await self._ask("delete_network", self._driver.delete_network(network, endpoints), object)

    async def create_endpoint(self, network: Network, endpoint: Endpoint) -> EndpointGrant:
        """See Driver."""
        return await self._ask("create_endpoint", self._driver.create_endpoint(network, endpoint), EndpointGrant)

    async def delete_endpoint(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        await self._ask("delete_endpoint", self._driver.delete_endpoint(network, endpoint), object)

    async def join(self, network: Network, endpoint: Endpoint, request: JoinRequest) -> Attachment:
        """See Driver."""
        answer = await self._ask("join", self._driver.join(network, endpoint, request), Attachment)
        if answer.link and (answer.link in _NOT_GIVEN or not _LINK.fullmatch(answer.link)):
            raise self._mistake("join", f"answered link {answer.link!r}, which no interface of its own can have")
        if not _PREFIX.fullmatch(answer.prefix):
            raise self._mistake("join", f"answered prefix {answer.prefix!r}, which no interface can have")
        for version in (4, 6):
            gateway = answer.gateway(version)
            if gateway is not None and getattr(gateway, "version", 0) != version:
                raise self._mistake("join", f"answered gateway{version} {gateway!r}, not an IPv{version} address")
        return answer

    async def leave(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        await self._ask("leave", self._driver.leave(network, endpoint), object)

    async def publish(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        await self._ask("publish", self._driver.publish(network, endpoint), object)

    async def unpublish(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        await self._ask("unpublish", self._driver.unpublish(network, endpoint), object)

    async def info(self, network: Network, endpoint: Endpoint) -> dict[str, str]:
        """See Driver."""
        answer = await self._ask("info", self._driver.info(network, endpoint), dict)
        return {str(key): str(value) for key, value in answer.items()}
