"""Requests of one moment, sent as one transaction: each with its own condition, and its own answer.

Rules: nobody waits for others to come; a key is in a group once, since etcd takes no more; what is refused to a group
is asked by each for itself, at once, and what became of a group that was not answered is unknown to each.
Source: etcd, api/etcdserverpb/rpc.proto (RequestOp, ResponseOp); server/etcdserver/api/v3rpc/key.go (what is refused).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from mooring.adapters.etcd.member import Outcome, Refused
from mooring.adapters.etcd.messages import answers_of, header_number, transaction_request
from mooring.core.faults import Unavailable

MOST = 64
"""Requests in a group: etcd takes 128 by default."""
LONG = 256 << 10
"""Bytes of a group; whoever asks more goes alone. etcd takes 1.5 MiB by default."""


class Answer(NamedTuple):
    """What was answered to one request. revision: of the store, after it."""

    data: bytes
    revision: int


@dataclass(slots=True, eq=False)
class _Request:
    key: bytes
    data: bytes
    done: asyncio.Future[Answer]

    def finish(self, answer: Answer) -> None:
        """Whoever asked goes on, if he still waits."""
        if not self.done.done():
            self.done.set_result(answer)


class RequestGroups:
    """Requests of one kind. kind: the field of RequestOp that such a one is. alone: sends it by itself. together: sends
    a transaction. grouping: whether there are groups at all; not, until that is said."""

    def __init__(
        self, kind: int, alone: Callable[[bytes], Awaitable[bytes]], together: Callable[[bytes], Awaitable[bytes]]
    ) -> None:
        self._kind, self._alone, self._together = kind, alone, together
        self.grouping = False
        self._waiting: list[_Request] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def ask(self, key: bytes, data: bytes) -> Answer:
        """Ask it, with whatever else is asked before the loop comes round. Raises Unavailable. It is asked also when
        nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        request = _Request(key, data, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._send_all)
        self._waiting.append(request)
        return await request.done

    def _send_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        while waiting:
            group, waiting = _first_group(waiting, MOST if self.grouping else 1)
            task = asyncio.get_running_loop().create_task(self._send(group))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, group: list[_Request]) -> None:
        try:
            if len(group) == 1 or not await self._answered(group):
                # At once: where the store refuses every group, the last would else wait for all that came before.
                await asyncio.gather(*map(self._send_alone, group))
        except Unavailable as fault:
            _fail(group, fault)
        except BaseException:
            _fail(group, Refused("the request was broken off", Outcome.UNKNOWN))
            raise

    async def _answered(self, group: list[_Request]) -> bool:
        """Whether the group was; not, where nothing of it was done and each may be more lucky by itself."""
        data = transaction_request(self._kind, [request.data for request in group])
        try:
            answer = await self._together(data)
        except Refused as refused:
            if refused.outcome is not Outcome.REFUSED:
                raise
            return False
        each = answers_of(answer, self._kind)
        if len(each) != len(group):
            raise Refused("the answer is not one of etcd's", Outcome.UNKNOWN)
        revision = header_number(answer, 3)
        for request, own in zip(group, each, strict=True):
            request.finish(Answer(own, revision))
        return True

    async def _send_alone(self, request: _Request) -> None:
        try:
            answer = await self._alone(request.data)
            request.finish(Answer(answer, header_number(answer, 3)))
        except Unavailable as fault:
            _fail([request], fault)


def _fail(group: list[_Request], fault: Unavailable) -> None:
    """Whoever of them still waits gets the fault."""
    for request in group:
        if not request.done.done():
            request.done.set_exception(fault)


def _first_group(waiting: list[_Request], most: int) -> tuple[list[_Request], list[_Request]]:
    """What goes together, in the order of asking, and what is left for the next group."""
    group: list[_Request] = []
    left: list[_Request] = []
    keys: set[bytes] = set()
    size = 0
    for request in waiting:
        if request.key in keys or len(group) == most or (group and size + len(request.data) > LONG):
            left.append(request)
            continue
        group.append(request)
        keys.add(request.key)
        size += len(request.data)
    return group, left
