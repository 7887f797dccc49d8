"""This host's session, and whether others have one.

Rules: the moment that counts is the one before the refresh was sent, and of others, the one since when their session
was seen to be gone, at every look: two looks count as one silence only when no session fits between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mooring.core.faults import StaleRevision, Unavailable
from mooring.core.sessions import SessionRule, Standing
from mooring.ports import Clock
from mooring.services.cluster.shared_values import Member, SharedValues


class Sessions:
    """The sessions of a cluster as one host sees them."""

    def __init__(
        self,
        values: SharedValues,
        clock: Clock,
        member: Member,
        rule: SessionRule,
        heard: Callable[[], float | None] | None = None,
    ) -> None:
        """heard: when this host asked for the last refresh that was confirmed, where somebody else refreshes its
        session (cluster.membership); without it, `refresh` does."""
        self._hosts, self._clock, self._member = values.hosts, clock, member
        self.rule = rule
        self._heard = heard
        self._confirmed: float | None = None
        self._silent: dict[str, tuple[float, float]] = {}  # host -> since when, and when it was last looked for

    @property
    def confirmed(self) -> float | None:
        """When this host asked for the last refresh that was confirmed, seconds since its boot; None for never."""
        return self._heard() if self._heard is not None else self._confirmed

    async def refresh(self) -> None:
        """The others hear this host for the rule's time from now on. Where somebody else sees to that, the cluster is
        only asked whether it answers. Raises Unavailable."""
        if self._heard is not None:
            await self._hosts.session(self._member.host)
            return
        asked = self._clock.boot()
        _, revision = await self._hosts.session(self._member.host)
        try:
            await self._hosts.put_session(self._member.host, self._member.boot, revision, self.rule.ttl)
        except StaleRevision:
            raise Unavailable(f"the session of host {self._member.host} is written by somebody else, too") from None
        self._confirmed = asked

    async def standing(self, host: str) -> Standing:
        """Whether the host is heard. Raises Unavailable."""
        if (await self._hosts.session(host))[1]:
            self._silent.pop(host, None)
            return Standing(heard=True)
        return self._silence(host, self._clock.boot())

    def _silence(self, host: str, now: float) -> Standing:
        since, last = self._silent.get(host, (now, now))
        # A session lasts for its time to live: one that came and went since the last look takes longer than that.
        self._silent[host] = (since if now - last < self.rule.ttl else now, now)
        return Standing(heard=False, silent=now - self._silent[host][0])

    async def watch(self, hosts: Iterable[str] = ()) -> None:
        """Whether these hosts are heard, and those that were silent when somebody asked for them, is known, and since
        when not. Raises Unavailable."""
        asked = {*hosts, *self._silent} - {self._member.host}
        if not asked:
            return
        heard, now = await self._hosts.heard(), self._clock.boot()
        for host in asked:
            if host in heard:
                self._silent.pop(host, None)
            else:
                self._silence(host, now)
