"""Names as an operator sees, tries, adds and removes them.

Rules: what he tries is what the DNS server itself would say, to the host or to who is in a network; a name is written
with or without the zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from itertools import chain

from mooring.core.addresses import parse_address
from mooring.core.dns_records import DnsRecord
from mooring.core.dns_views import CONTAINER, STORED, DnsAnswer, DnsRow
from mooring.core.faults import BadRequest, Unavailable
from mooring.core.filters import DnsFilter, DnsQuestion, Page
from mooring.core.host_names import Asker, Entry, parse_name, splits
from mooring.core.names import AAAA, PTR, SRV, A, Answer, Question, Target, Verdict, address_of
from mooring.services.assembly import Keeping
from mooring.services.containers.dns_records import DnsRecords
from mooring.services.containers.host_names import HOST, HostNames
from mooring.services.operations.pages import Place, page_of
from mooring.services.operations.references import network_meant
from mooring.services.records.engine_names import EngineNames
from mooring.services.records.record_cache import RecordCache

TYPES = {"A": A, "AAAA": AAAA, "PTR": PTR, "SRV": SRV}


class DnsRows:
    """`mooring dns`. keeping: None where there is no engine whose containers have names."""

    def __init__(self, cache: RecordCache, keeping: Keeping | None) -> None:
        self._cache = cache
        self._keeping = keeping

    async def page(self, query: DnsFilter, names: EngineNames) -> Page[DnsRow]:
        """The names that match, in their order. Raises BadRequest, NotFound for a network that nobody knows."""
        network = network_meant(query.network, self._cache, names).id if query.network else ""
        if query.origin not in ("", CONTAINER, STORED):
            raise BadRequest(f"origin {query.origin[:40]!r} is not known", hint=f"use {CONTAINER} or {STORED}")
        address = parse_address(query.address, "address") if query.address else None
        remote = self._host_names.remote
        return await page_of(
            chain(self._host_names.rows(), remote.rows()),
            query,
            self._place,
            self._row,
            lambda each: (
                network in ("", each[1])
                and query.name in each[2].full_name(self._host_names.zone)
                and (address is None or address in each[2].addresses)
                and query.origin in ("", STORED if _is_record(each) else CONTAINER)
                and query.host in ("", remote.host_name(each[2].host))
            ),
        )

    def lookup(self, query: DnsQuestion, names: EngineNames) -> DnsAnswer:
        """What the host, or who is in the network, is told. Raises BadRequest, NotFound."""
        asker, who = HOST, "the host"
        if query.network:
            network = network_meant(query.network, self._cache, names)
            asker, who = self._host_names.asker_in(network.id), f"who is in network {names.words(network)}"
        name, kind = _question(query)
        answer = self._host_names.lookup(Question(name, TYPES[kind]), asker)
        if answer.verdict in (Verdict.FORWARD, Verdict.REFUSED) and kind != "PTR":
            # People leave the zone out.
            inside = self._host_names.lookup(Question(f"{name}.{self._host_names.zone}", TYPES[kind]), asker)
            answer = inside if inside.verdict in (Verdict.FOUND, Verdict.EMPTY) else answer
        return DnsAnswer(name, kind, who, answer.verdict.value, _records(answer), self._hosts(name, answer, asker))

    def _hosts(self, name: str, answer: Answer, asker: Asker) -> dict[str, str]:
        """The other hosts whose the records are, as far as the asker may know of them."""
        names, found = self._host_names, dict[str, str]()
        records = [(each, str(each)) for each in answer.addresses]
        records += [(each.address, _service(each)) for each in answer.targets]
        reverse = address_of(name)
        records += [(reverse, "")] if reverse is not None else []
        for address, record in records:
            for network, entry in names.at(address):
                if entry.host and asker.may_see(network):
                    found[record or f"{entry.full_name(names.zone)}."] = names.remote.host_name(entry.host)
        return found

    async def add(
        self, name: str, addresses: Sequence[str], network: str, note: str, until: float | None, dry: bool,
        names: EngineNames,
    ) -> tuple[DnsRow, bool]:  # fmt: skip
        """The name has these addresses; the record, and whether something changed or would. Raises as DnsRecords.add,
        BadRequest for what is no name or address, or for everybody's name among those of a network, NotFound for a
        network."""
        where = network_meant(network, self._cache, names).id if network else ""
        relative = self._relative(name, where)
        if not where:
            self._check_everybodys(relative)
        record, changed = await self._dns_records.add(
            relative, where, [parse_address(each, "address") for each in addresses], note=note, until=until,
            dry=dry,
        )  # fmt: skip
        return self._shown(record), changed

    async def remove(self, name: str, network: str, dry: bool, names: EngineNames) -> DnsRow:
        """The name has no record in the network; what there was. Raises as DnsRecords.remove, and as `add`."""
        where = network_meant(network, self._cache, names).id if network else ""
        return self._shown(await self._dns_records.remove(self._relative(name, where), where, dry=dry))

    @property
    def _host_names(self) -> HostNames:
        return self._kept.host_names

    @property
    def _dns_records(self) -> DnsRecords:
        return self._kept.dns_records

    @property
    def _kept(self) -> Keeping:
        if self._keeping is None:
            raise Unavailable("there are no names: no engine's containers are followed here")
        return self._keeping

    def _relative(self, name: str, network_id: str) -> str:
        """The name in the network, or everybody's; a complete one may have the network in it."""
        zone = self._host_names.zone
        parsed = parse_name("name", name)
        if parsed == zone:
            raise BadRequest(f"name {parsed} is the zone", hint="write a name in it")
        relative = parsed.removesuffix(f".{zone}")
        if network_id and relative != parsed:
            return relative.removesuffix(f".{self._host_names.network_name(network_id)}")
        return relative

    def _check_everybodys(self, relative: str) -> None:
        """Raises BadRequest for a name that looks like one of a network: it would stand among the network's names."""
        for wanted, network in splits(relative):
            if self._host_names.networks_named(network):
                raise BadRequest(
                    f"{relative}.{self._host_names.zone} is a name in network {network}, and without --network a name "
                    "is for everybody",
                    hint=f"name it {wanted}, with `--network {network}`",
                )

    def _place(self, row: tuple[str, str, Entry]) -> Place:
        key, _, entry = row
        return 0.0, entry.full_name(self._host_names.zone), 0, b"", key

    def _row(self, row: tuple[str, str, Entry]) -> DnsRow:
        _, network_id, entry = row
        record = self._cache.dns_record(network_id, entry.names[0]) if _is_record(row) else None
        if record is not None:
            return self._shown(record)
        remote = self._host_names.remote
        return DnsRow(
            entry.full_name(self._host_names.zone), entry.network, network_id, list(map(str, entry.addresses)),
            CONTAINER, list(entry.names), host=remote.host_name(entry.host), heard=not remote.is_silent(entry.host),
        )  # fmt: skip

    def _shown(self, record: DnsRecord) -> DnsRow:
        entry = Entry((record.name,), record.addresses, self._host_names.network_name(record.network))
        return DnsRow(
            entry.full_name(self._host_names.zone), entry.network, record.network, list(map(str, record.addresses)),
            STORED, [record.name], record.note, record.created, record.until, self._host_names.remote.host_name(""),
        )  # fmt: skip


def _is_record(row: tuple[str, str, Entry]) -> bool:
    key, _, entry = row
    return "/" in key and not entry.host


def _question(query: DnsQuestion) -> tuple[str, str]:
    """The name and the type. An address is a question for its name."""
    kind = query.type.upper() or "A"
    if kind not in TYPES:
        raise BadRequest(f"type {query.type[:20]!r} is not known", hint=f"use {', '.join(TYPES)}")
    try:
        return ip_address(query.name).reverse_pointer, "PTR"
    except ValueError:
        return parse_name("name", query.name), kind


def _records(answer: Answer) -> list[str]:
    services = set(map(_service, answer.targets))
    return [*map(str, answer.addresses), *(f"{name}." for name in answer.names), *sorted(services)]


def _service(target: Target) -> str:
    return f"0 0 {target.port} {target.name}."
