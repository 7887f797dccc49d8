"""The API's door: decode, one call of a service, encode.

Rules: every refusal is `{"message": ..., "kind": ...}` with the status of its kind; a question that comes before the
store is loaded waits for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mooring.core.faults import HTTP_STATUS, Fault, Kind
from mooring.servers.http import Request, Response
from mooring.services.inspection import Inspection
from mooring.wire import api

_KIND_OF_STATUS = {status: kind for kind, status in HTTP_STATUS.items()}


class ApiDoor:
    """Handler of the API socket."""

    def __init__(
        self,
        inspection: Inspection,
        backup: Callable[[str], Awaitable[None]],
        before_call: Callable[[], Awaitable[None]],
    ) -> None:
        """backup: writes a copy of the store to a new file. before_call: returns when questions may be answered."""
        self._inspection = inspection
        self._backup = backup
        self._before_call = before_call

    async def __call__(self, request: Request) -> Response:
        """The answer; faults become refusals."""
        try:
            call = api.parse(request.method, request.path, request.query, request.body)
            await self._before_call()
            return Response(200, api.encode(await self._answer(call)))
        except Fault as fault:
            return Response(HTTP_STATUS[fault.kind], api.encode(api.error_of(fault)))

    async def _answer(self, call: api.Call) -> api.Reply:
        match call:
            case api.GetVersion():
                return self._inspection.version()
            case api.GetStatus():
                return self._inspection.status()
            case api.ListNetworks():
                return self._inspection.networks()
            case api.GetNetwork(prefix):
                return self._inspection.network(prefix)
            case api.ListLeases():
                return await self._inspection.leases(call)
            case api.GetLease(address):
                return self._inspection.lease(address)
            case api.Explain(address):
                return self._inspection.explain(address)
            case api.Backup(path):
                await self._backup(path)
                return api.BackupReply(path)


def refuse(status: int, text: str) -> Response:
    """What the server itself says when a request cannot be read at all."""
    kind = _KIND_OF_STATUS.get(status, Kind.BAD_REQUEST if status < 500 else Kind.UNAVAILABLE)
    return Response(status, api.encode(api.ErrorReply(text, kind.value)))
