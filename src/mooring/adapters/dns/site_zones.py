"""What the site's nameservers get of this host's names: zones to transfer, notice of changes, dynamic updates.

Rules: dnspython is loaded here, when something is configured, and by nothing else; what cannot be had is one line, and
is tried again, while the daemon goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mooring.adapters.host.machine_ids import FIRST_NAME, first_name, machine_id
from mooring.core.faults import Fault
from mooring.core.findings import Finding
from mooring.core.networks import Address
from mooring.core.zones import Place, ZoneSettings, is_reverse, owner_mark
from mooring.ports import Clock
from mooring.services.assembly import Keeping
from mooring.services.containers.zone_export import ZoneExport
from mooring.services.records.record_cache import RecordCache

if TYPE_CHECKING:
    from mooring.adapters.dns.tsig import KeyFile
    from mooring.adapters.dns.zone_transfers import ZoneAnswers

log = logging.getLogger(__name__)

# Seconds before an address that cannot be had is tried again, and a secondary that does not answer, longer each time.
PERIOD, SOONEST, LATEST = 10.0, 1.0, 60.0


class SiteZones:
    """`run` for as long as the daemon lives. export: what is given out. own: what is kept at the site's server, the
    same where it is not given. owner: of marks. now: seconds since the epoch."""

    def __init__(
        self,
        settings: ZoneSettings,
        export: ZoneExport,
        owner: str,
        now: Callable[[], float],
        own: ZoneExport | None = None,
    ) -> None:
        self._settings = settings
        self._export = export
        self._own = own or export
        self._owner = owner
        self._now = now
        self._troubles: dict[str, tuple[float, str]] = {}

    async def run(self) -> None:
        """For ever. Whatever goes wrong here, the rest of the daemon does not end with it."""
        while True:
            try:
                await self._run()
            except ModuleNotFoundError as error:
                text = f"the site's nameservers get no names: {error}: pip install 'mooring-net[dns]'"
                self._tell("dns-zones", f"{text}, or Debian's python3-dnspython, and restart the daemon")
            except Exception as error:
                log.exception("the site's nameservers get no names for a while")
                self._tell("dns-zones", f"the site's nameservers get no names: {_in_words(error)}")
            await asyncio.sleep(LATEST)

    async def _run(self) -> None:
        await asyncio.to_thread(import_module, "mooring.adapters.dns.zone_updates")  # 0.28 s
        from mooring.adapters.dns.tsig import KeyFile
        from mooring.adapters.dns.zone_transfers import ZoneAnswers
        from mooring.adapters.dns.zone_updates import ZoneUpdates

        settings = self._settings
        assert settings.keys is not None
        keys = KeyFile(settings.keys)
        served = tuple(address for address, _ in settings.notify or settings.transfer)
        answers = ZoneAnswers(self._export, keys, served)
        parts: dict[str, Callable[[], Awaitable[None]]] = {}
        if settings.transfer or self._own is self._export:
            parts["snapshots of names"] = self._export.run
        for place in settings.transfer:
            parts[f"zone transfers at {place[0]}"] = partial(self._serve, place, answers)
        for place in settings.notify:
            changed = asyncio.Event()
            self._export.listen(changed.set)
            parts[f"NOTIFY to {place[0]}"] = partial(self._notify, place, keys, answers, changed)
        if settings.update is not None:
            if self._own is not self._export:
                parts["snapshots of this host's names"] = self._own.run
            updates = ZoneUpdates(self._own, keys, settings.update, settings.update_zones, self._owner, self._tell)
            parts[f"DNS updates at {settings.update[0]}"] = updates.run
        async with asyncio.TaskGroup() as tasks:
            for name, work in parts.items():
                tasks.create_task(self._keep_going(name, work), name=name)

    async def _keep_going(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """For ever: an error of ours in one part ends no other, and is tried again. (It must not reach the group: that
        would cancel who waits for it, and on Python 3.11 and 3.12 nobody can tell that from a stop of the daemon.)"""
        subject = f"dns-zones {name}"
        while True:
            sound = asyncio.get_running_loop().call_later(2 * LATEST, self._tell, subject, "")
            try:
                await work()
            except Exception as error:
                log.exception("%s: an internal error", name)
                self._tell(subject, f"{name}: {_in_words(error)}")
            finally:
                sound.cancel()
            await asyncio.sleep(LATEST)

    def findings(self) -> Iterator[Finding]:
        """What does not work, each with since when."""
        for subject, (since, text) in self._troubles.items():
            yield Finding(subject, text, "the last try", since, "it is tried again by itself; see docs/names.md")

    async def _serve(self, place: Place, answers: ZoneAnswers) -> None:
        from mooring.adapters.dns.zone_transfers import ZoneServer, in_words

        subject, server = f"dns-transfer {place[0]}:{place[1]}", ZoneServer(answers)
        while True:
            try:
                await server.open(place)
                break
            except OSError as error:
                self._tell(subject, f"zones are not given out: {in_words(place, error)}")
            await asyncio.sleep(PERIOD)
        self._tell(subject, "")
        try:
            await asyncio.Event().wait()
        finally:
            await server.close()

    async def _notify(self, place: Place, keys: KeyFile, answers: ZoneAnswers, changed: asyncio.Event) -> None:
        """The secondary hears of every change; of several while it does not answer, once."""
        pause = SOONEST
        if self._export.current is not None:
            changed.set()
        subject, others = f"dns-notify {place[0]}:{place[1]}", set[str]()
        while True:
            await changed.wait()
            changed.clear()
            if trouble := await self._notify_of_zones(place, keys, answers, others):
                self._tell(subject, f"secondary {place[0]} is not told of changes: {trouble}")
                changed.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, LATEST)
            else:
                self._tell(subject, "")
                pause = SOONEST

    async def _notify_of_zones(self, place: Place, keys: KeyFile, answers: ZoneAnswers, others: set[str]) -> str:
        """Every zone once; the first trouble, "" for none. others: reverse zones that other secondaries have asked for,
        as it turns out: this one is not told of them again."""
        from mooring.adapters.dns.zone_exchanges import NoPrimary, notify

        trouble = ""
        for zone in (self._export.zone, *answers.asked):
            if zone in others:
                continue
            try:
                await notify(place, self._source(place[0]), zone, keys.first())
            except NoPrimary as fault:
                if is_reverse(zone) and fault.zone_is_unknown:
                    others.add(zone)
                else:
                    trouble = trouble or str(fault)
            except Fault as fault:  # it does not answer, whatever the zone
                return str(fault)
        return trouble

    def _source(self, address: Address) -> Address:
        """Where the secondary takes us to be: our first address of its family."""
        transfer = self._settings.transfer
        return next((each for each, _ in transfer if each.version == address.version), transfer[0][0])

    def _tell(self, subject: str, text: str) -> None:
        known = self._troubles.get(subject, (0.0, ""))
        if known[1] == text:
            return
        if text:
            log.warning("%s", text)
            # The reason may be another one meanwhile: it does not work since the first.
            self._troubles[subject] = (known[0] or self._now(), text)
        else:
            log.info("%s works again", subject)
            with contextlib.suppress(KeyError):
                del self._troubles[subject]


def _in_words(error: Exception) -> str:
    return f"internal error ({type(error).__name__}: {error}), see the log"


def site_zones(
    settings: ZoneSettings, keeping: Keeping | None, cache: RecordCache, clock: Clock, state: Path
) -> SiteZones | None:
    """What the site's nameservers get; None where nothing is configured, or nobody follows an engine.

    state: the daemon's folder. Marks are this host's by its machine-id, and by its name, as machines are cloned with
    their ids; and by the first name that it had, as a host that is renamed has the names all the same.
    """
    if keeping is None or not settings.wanted:
        return None
    export = partial(ZoneExport, cache, keeping.host_names, clock, settings.zone, settings.export)
    owner = owner_mark(f"{machine_id()} {first_name(state / FIRST_NAME)}")
    return SiteZones(settings, export(everybody=True), owner, clock.now, export())
