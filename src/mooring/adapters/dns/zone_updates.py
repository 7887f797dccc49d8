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
NEVER = float("-inf")
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
        self._owned: Owned = {}
        self._looked = NEVER
        self._refusals = 0
        self._later: dict[str, tuple[float, str]] = {}
        self._changed = asyncio.Event()
        export.listen(self._changed.set)

    async def run(self) -> None:
        """For ever."""
        self._looked = NEVER
        subject, pause = f"dns-update {self._place[0]}", SOONEST
        while True:
            self._changed.clear()
            try:
                await self.once()
            except Fault as fault:
                self._looked = NEVER  # what it did not answer for, it may have done or not
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
        if loop_time() - self._looked > WHOLE:
            self._owned = await self._look(self._keys.first())
            self._looked = loop_time()
        wanted = await self._wanted(snapshot)
        if not snapshot.whole:  # what is missing may be somebody's who is not known yet
            for name, records in self._owned.items():
                wanted[name] = wanted.get(name, frozenset()) | records
        work = [name for name in self._owned if name not in wanted]
        # The newest first: who has just started does not wait for thousands that are there already.
        work += [name for name, records in reversed(wanted.items()) if self._owned.get(name) != records]
        self._later = {name: self._later[name] for name in work if name in self._later}
        work.sort(key=self._later.__contains__)  # refused ones last, so that they are in nobody's way
        for name in work:
            if self._later.get(name, (NEVER,))[0] <= loop_time():
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
                sound = frozenset(each for each in records if each[0] != "PTR" or is_hostname(each[1]))
                if sound and is_hostname(name) and zone_of(name, self._zones):
                    found[name] = sound
        return found

    async def _look(self, key: dns.tsig.Key) -> Owned:
        """What is ours there, by its marks; of a zone that is not given out, what we know. Raises Unavailable."""
        found: Owned = {}
        unseen: dict[str, str] = {}

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
                unseen[zone] = str(fault)
        text = f"names that were left at {self._place[0]} before the start cannot be found: "
        self._tell(f"dns-update {self._place[0]} zones", text + next(iter(unseen.values())) if unseen else "")
        kept = {name: each for name, each in self._owned.items() if zone_of(name, self._zones) in unseen}
        return kept | found

    def _not_kept(self) -> str:
        """Names that are not kept there, with the reason for some."""
        some = [f"{name}: {why}" for name, (_, why) in self._later.items()][:_SHOWN]
        more = f" and {len(self._later) - _SHOWN} more" if len(self._later) > _SHOWN else ""
        return f"names that are not kept at {self._place[0]}: {'; '.join(some)}{more}" if some else ""

    async def _put(self, name: str, owned: Owned, records: frozenset[Record]) -> None:
        """The name has the records there, and of ours no others; or it is another's. Raises Unavailable."""
        rcode = await self._try(name, owned.get(name), records)
        if rcode in _OTHERS:  # it is not as we thought: look once
            before, beside = await self._texts_at(name)
            owned.pop(name, None)
            if before is not None:
                owned[name] = before
            if records or before is not None:
                rcode = await self._try(name, before, records, beside)
            else:
                rcode = dns.rcode.NOERROR
        if rcode == dns.rcode.NOERROR:
            self._refusals = 0
            self._later.pop(name, None)
            owned.pop(name, None)
            if records:
                owned[name] = records
        elif rcode in _OTHERS:
            self._put_off(name, "another wrote it")
        else:
            self._refuse(name, rcode)

    def _refuse(self, name: str, rcode: dns.rcode.Rcode) -> None:
        """The name is put off, for a while or behind all others. Raises Unavailable when it is not about the name."""
        zone, word = zone_of(name, self._zones), dns.rcode.to_text(rcode)
        why = _WORDS.get(rcode, "{rcode}: it takes no update of {zone}").format(zone=zone, rcode=word)
        self._refusals += 1
        if self._refusals >= MOST_REFUSALS or rcode in (dns.rcode.NOTAUTH, dns.rcode.NOTZONE, dns.rcode.SERVFAIL):
            self._refusals = 0
            self._put_off(name, why, 0.0)
            raise Unavailable(why)
        self._put_off(name, why)

    def _put_off(self, name: str, why: str, pause: float = AGAIN) -> None:
        self._later[name] = (asyncio.get_running_loop().time() + pause, why)

    async def _try(
        self, name: str, before: frozenset[Record] | None, after: frozenset[Record], beside: tuple[str, ...] = ()
    ) -> dns.rcode.Rcode:
        message = update(zone_of(name, self._zones), name, self._owner, before, after, beside)
        try:
            return (await ask(message, self._place, self._keys.first())).rcode()
        except Fault:
            self._owned[name] = frozenset()  # done or not: no mark is like this, so that the next try looks
            raise

    async def _texts_at(self, name: str) -> tuple[frozenset[Record] | None, tuple[str, ...]]:
        """What our mark at the name says, None where there is none, and the TXT records that others wrote there, as in
        a zone file. Raises Unavailable."""
        reply = await ask(dns.message.make_query(name, dns.rdatatype.TXT), self._place, self._keys.first())
        before, beside = None, list[str]()
        for rrset in reply.answer:
            for (found, strings), rdata in zip(texts_in(rrset), rrset, strict=False):
                records = marked(self._owner, strings) if found == name else None
                if records is not None:
                    before = records
                elif found == name:
                    beside.append(rdata.to_text())
        return before, tuple(beside)


def update(
    zone: str,
    name: str,
    owner: str,
    before: frozenset[Record] | None,
    after: frozenset[Record],
    beside: tuple[str, ...] = (),
) -> dns.update.UpdateMessage:
    """The name has those records and the mark for them, if it has those before and the mark for these; before: None
    where nobody may have the name yet. after: empty, for none, and no mark. beside: other TXT records that are there,
    which stay: what must be so can only be said of all of them (RFC 2136, 2.4.2)."""
    message = dns.update.UpdateMessage(f"{zone}.")
    place = dns.name.from_text(f"{name}.")
    if before is None:
        message.absent(place)
    else:
        message.present(place, "TXT", _mark(owner, before), *beside)
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
