"""Names of this host's containers kept in the site's zones, by dynamic updates (RFC 2136).

Rules: a name that somebody else has is left alone, and of one that we have only those records are changed or removed
that our mark says we wrote: each update says what must be so before (RFC 4703's way, with a TXT record for the DHCID);
what there is of ours is asked of the server, at the start, after each time without it, and every hour, so that nothing
has to be kept here; a server that is away or refuses is asked less and less often, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from mooring.adapters.dns.tsig import KeyFile
from mooring.adapters.dns.zone_exchanges import ask, texts_in, texts_of
from mooring.core.faults import Fault, Unavailable
from mooring.core.zones import TTL, Place, Record, Snapshot, is_hostname, mark, marked, zone_of
from mooring.services.containers.zone_export import ZoneExport

# Seconds between two updates at least; before a name that is another's is tried again; and between looks at the whole.
PACE, AGAIN, WHOLE = 0.01, 300.0, 3600.0
# Seconds before the next try when the server is away: doubled each time, up to the second.
SOONEST, LATEST = 1.0, 60.0
# Refusals one after another after which it is the server that refuses, and not a name that is refused.
MOST_REFUSALS = 5
# Names that are said.
_SHOWN = 3

_OTHERS = (dns.rcode.YXDOMAIN, dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN)
_WORDS = {
    dns.rcode.REFUSED: "REFUSED: it does not let the key change {zone}",
    dns.rcode.NOTAUTH: "NOTAUTH: it is not the primary server of {zone}",
    dns.rcode.NOTZONE: "NOTZONE: it has no zone {zone}",
}

Owned = dict[str, frozenset[Record]]


class ZoneUpdates:
    """`run` for as long as the daemon lives. owner: what our marks begin with.

    tell: is told after each round, by what it is about, what does not work, "" where all is well; the same again and
    again.
    """

    def __init__(
        self,
        export: ZoneExport,
        keys: KeyFile,
        place: Place,
        zones: tuple[str, ...],
        owner: str,
        tell: Callable[[str, str], None],
    ) -> None:
        self._export = export
        self._keys = keys
        self._place = place
        self._zones = zones
        self._owner = owner
        self._tell = tell
        self._owned: Owned | None = None
        self._looked = 0.0
        self._refusals = 0
        self._later: dict[str, tuple[float, str]] = {}
        self._changed = asyncio.Event()
        export.listen(self._changed.set)

    async def run(self) -> None:
        """For ever."""
        subject, pause = f"dns-update {self._place[0]}", SOONEST
        while True:
            self._changed.clear()
            try:
                await self.once()
            except Fault as fault:
                self._owned = None  # what it did not answer for, it may have done or not
                self._tell(subject, f"names are not kept at {self._place[0]}: {fault}")
                await asyncio.sleep(pause)
                pause = min(pause * 2, LATEST)
                continue
            pause = SOONEST
            self._tell(subject, "")
            self._tell(f"{subject} names", self._not_kept())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN):
                    await self._changed.wait()

    async def once(self) -> None:
        """The server has what it should have, but for names that are another's, or there is another snapshot before
        that. Raises Fault when it cannot be."""
        snapshot = self._export.current
        if snapshot is None:
            return
        loop_time = asyncio.get_running_loop().time
        if self._owned is None or loop_time() - self._looked > WHOLE:
            self._owned = await self._look(self._keys.first())
            self._looked = loop_time()
        wanted = await self._wanted(snapshot)
        if not snapshot.whole:  # what is missing may be somebody's who is not known yet
            for name, records in self._owned.items():
                wanted[name] = wanted.get(name, frozenset()) | records
        self._later = {name: each for name, each in self._later.items() if name in wanted and each[0] > loop_time()}
        work = [name for name in self._owned if name not in wanted]
        # The newest first: who has just started does not wait for thousands that are there already.
        work += [name for name, records in reversed(wanted.items()) if self._owned.get(name) != records]
        for name in work:
            if name not in self._later:
                try:
                    await self._put(name, self._owned, wanted.get(name, frozenset()))
                except (dns.exception.DNSException, ValueError) as error:  # too much for a message, or for a mark
                    self._put_off(name, f"it cannot be written: {error or type(error).__name__}")
                await asyncio.sleep(PACE)
            if self._changed.is_set():
                return

    async def _wanted(self, snapshot: Snapshot) -> Owned:
        """What the server should have: names in its zones, as far as a server may take them; those of hosts last."""
        found: Owned = {}
        for every in (snapshot.reverse, snapshot.forward):
            for number, (name, records) in enumerate(every.items()):
                if number % 256 == 0:
                    await asyncio.sleep(0)
                sound = frozenset(each for each in records if is_hostname(each[1]))
                if sound and is_hostname(name) and zone_of(name, self._zones):
                    found[name] = sound
        return found

    async def _look(self, key: dns.tsig.Key) -> Owned:
        """What is ours there, by its marks: nothing of a zone that is not given out. Raises Unavailable."""
        found: Owned = {}
        unseen = ""

        def read(zone: str) -> None:
            for name, strings in texts_of(self._place, zone, key):
                if (records := marked(self._owner, strings)) is not None:
                    found[name] = records

        for zone in self._zones:
            try:
                await asyncio.to_thread(read, zone)
            except Unavailable as fault:
                if not str(fault).startswith(("REFUSED", "NOTAUTH")):
                    raise
                unseen = str(fault)
        text = f"names that were left at {self._place[0]} before the start cannot be found: {unseen}"
        self._tell(f"dns-update {self._place[0]} zones", text if unseen else "")
        return found

    def _not_kept(self) -> str:
        """Names that are not kept there, with the reason for some."""
        some = [f"{name}: {why}" for name, (_, why) in self._later.items()][:_SHOWN]
        more = f" and {len(self._later) - _SHOWN} more" if len(self._later) > _SHOWN else ""
        return f"names that are not kept at {self._place[0]}: {'; '.join(some)}{more}" if some else ""

    async def _put(self, name: str, owned: Owned, records: frozenset[Record]) -> None:
        """The name has the records there, and of ours no others; or it is another's. Raises Unavailable."""
        rcode = await self._try(name, owned.get(name), records)
        if rcode in _OTHERS:  # it is not as we thought: look once
            seen = await self._mark_at(name)
            rcode = await self._try(name, seen, records) if records or seen else dns.rcode.NOERROR
        if rcode == dns.rcode.NOERROR:
            self._refusals = 0
            owned.pop(name, None)
            if records:
                owned[name] = records
            return
        if rcode in _OTHERS:
            owned.pop(name, None)
            why = "another wrote it"
        else:
            why = _WORDS.get(rcode, "{rcode}: it takes no update of {zone}").format(
                zone=zone_of(name, self._zones), rcode=dns.rcode.to_text(rcode)
            )
            self._refusals += 1
            if self._refusals >= MOST_REFUSALS or rcode in (dns.rcode.NOTAUTH, dns.rcode.NOTZONE, dns.rcode.SERVFAIL):
                raise Unavailable(why)
        self._put_off(name, why)

    def _put_off(self, name: str, why: str) -> None:
        self._later[name] = (asyncio.get_running_loop().time() + AGAIN, why)

    async def _try(self, name: str, before: frozenset[Record] | None, after: frozenset[Record]) -> dns.rcode.Rcode:
        message = update(zone_of(name, self._zones), name, self._owner, before, after)
        return (await ask(message, self._place, self._keys.first())).rcode()

    async def _mark_at(self, name: str) -> frozenset[Record] | None:
        """What our mark at the name says; None where there is none. Raises Unavailable."""
        reply = await ask(dns.message.make_query(name, dns.rdatatype.TXT), self._place, self._keys.first())
        texts = [strings for rrset in reply.answer for found, strings in texts_in(rrset) if found == name]
        return marked(self._owner, texts[0]) if len(texts) == 1 else None


def update(
    zone: str, name: str, owner: str, before: frozenset[Record] | None, after: frozenset[Record]
) -> dns.update.UpdateMessage:
    """The name has those records and the mark for them, if it has those before and the mark for these; before: None
    where nobody may have the name yet. after: empty, for none, and no mark."""
    message = dns.update.UpdateMessage(f"{zone}.")
    place = dns.name.from_text(f"{name}.")
    if before is None:
        message.absent(place)
    else:
        message.present(place, "TXT", _mark(owner, before))
        for kind, text in sorted(before - after):
            message.delete(place, kind, text)
        message.delete(place, "TXT", _mark(owner, before))
    for kind, text in sorted(after - (before or frozenset())):
        message.add(place, TTL, kind, text)
    if after:
        message.add(place, TTL, "TXT", _mark(owner, after))
    return message


def _mark(owner: str, records: frozenset[Record]) -> str:
    return " ".join(f'"{each}"' for each in mark(owner, records))
