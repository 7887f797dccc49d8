"""Names as the records say at the moment of the question, and files that change only when they must."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import Conflict, Unavailable
from mooring.core.host_files import NEW_HOSTS
from mooring.core.names import AAAA, PTR, A, Answer, Question, Verdict, View, lookup, names_of
from mooring.core.networks import Address
from mooring.core.sandboxes import Member, Sandbox, in_gateway_order
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import Record, RecordCache
from mooring.services.sandboxes.dns_names import DnsNames
from mooring.testing.memory_files import MemoryFiles
from mooring.testing.memory_store import MemoryStore
from tests.core.named_records import endpoint, network, sandbox

HOST = "# the host's\nnameserver 9.9.9.9\nsearch lan\n"
RESOLVED = "nameserver 127.0.0.11\nsearch lan\noptions ndots:0\n"
HOSTS, RESOLV = "/files/c1/hosts", "/files/c1/resolv.conf"
WEB = endpoint("red", "web", "10.0.0.2/24", "fd00::2/64")
DB = endpoint("red", "db", "10.0.0.3/24", key="/run/netns/c2")


@dataclass(slots=True)
class Host:
    """A cache with what names need around it."""

    cache: RecordCache
    naming: DnsNames
    files: MemoryFiles

    @classmethod
    async def start(cls, store: MemoryStore, files: MemoryFiles) -> Host:
        """Load what the store has."""
        cache = RecordCache(store)
        naming = DnsNames(cache, EndpointIndex(cache), files)
        await cache.load()
        return cls(cache, naming, files)

    def ask(self, name: str, kind: int = A, of: str = "c1") -> Answer:
        """What the sandbox is told now."""
        return self.naming.lookup(of)(Question(name, kind))

    async def put(self, *records: Record) -> None:
        """The records are so, and the files of c1 follow."""
        await self.cache.commit(put=records)
        made = self.cache.sandbox("c1")
        assert made is not None
        await self.naming.write_files(made)


@pytest.fixture
def store() -> MemoryStore:
    """What survives a restart."""
    return MemoryStore()


@pytest.fixture
async def host(store: MemoryStore) -> Host:
    """A sandbox c1 in the network red, and another endpoint there."""
    host = await Host.start(store, MemoryFiles({"/etc/resolv.conf": HOST, "/etc/hosts": "127.0.1.1 box\n"}))
    await host.put(network("red"), sandbox(), WEB, DB, sandbox("c2", path="/run/netns/c2"))
    return host


def found(*addresses: str) -> Answer:
    """The answer with the addresses."""
    return Answer(Verdict.FOUND, tuple(ip_address(address) for address in addresses))


async def test_names_follow_the_records(host: Host, store: MemoryStore) -> None:
    """A lookup that was made before answers as things are now; a restart finds the same (TestUpdateSvcRecord)."""
    ask = host.naming.lookup("c1")
    assert ask(Question("db", A)) == found("10.0.0.3")
    await host.put(replace(DB, name="sql", aliases=("store",)))
    assert ask(Question("db", A)).verdict is Verdict.FORWARD
    assert ask(Question("store", A)) == found("10.0.0.3")
    host = await Host.start(store, host.files)
    assert host.ask("sql") == found("10.0.0.3")
    assert host.ask("3.0.0.10.in-addr.arpa", PTR) == Answer(Verdict.FOUND, names=("sql.red",))
    await host.put(replace(DB, state=State.CREATED, sandbox=""))
    assert host.ask("db").verdict is Verdict.FORWARD
    assert host.ask("3.0.0.10.in-addr.arpa", PTR).verdict is Verdict.FORWARD
    await host.cache.commit(delete=[WEB, sandbox()])
    assert host.ask("web").verdict is Verdict.REFUSED


async def test_the_gateways_network_comes_first(host: Host) -> None:
    """The priority of the sandbox's endpoints decides, and can be changed."""
    other = endpoint("blue", "web", "10.1.0.2/24", id="blue-web")
    await host.put(network("blue"), other, endpoint("blue", "db", "10.1.0.3/24", key="c9"))
    for priorities, address in (((0, 1), "10.1.0.3"), ((1, 0), "10.0.0.3")):
        await host.put(replace(WEB, priority=priorities[0]), replace(other, priority=priorities[1]))
        assert host.ask("db") == found(address)


async def test_upstreams_are_the_sandboxs_or_the_hosts(host: Host) -> None:
    """None when every network is internal, none for a sandbox that is gone."""
    assert host.naming.upstreams("c1") == (ip_address("9.9.9.9"),)
    host.files.texts["/etc/resolv.conf"] = "nameserver 127.0.0.53\n"
    await host.put(sandbox())
    assert host.naming.upstreams("c1") == (ip_address("127.0.0.53"),)
    await host.put(sandbox(dns=(ip_address("1.1.1.1"),)))
    assert host.naming.upstreams("c1") == (ip_address("1.1.1.1"),)
    await host.put(network("red", internal=True))
    assert host.naming.upstreams("c1") == host.naming.upstreams("gone") == ()
    assert host.ask("example.com").verdict is Verdict.REFUSED
    assert host.ask("db") == found("10.0.0.3")


async def test_ndots_is_the_sandboxs_own(host: Host) -> None:
    """Only when its user has set it is a single label not forwarded."""
    assert host.ask("printer").verdict is Verdict.FORWARD
    await host.put(sandbox(dns_options=("ndots:1",)))
    assert host.ask("printer", AAAA).verdict is Verdict.EMPTY


async def test_files_say_what_the_records_say(host: Host) -> None:
    """Both families in the hosts file; the resolver and the host's search list in resolv.conf (TestResolvConf)."""
    assert host.files.texts[HOSTS] == f"{NEW_HOSTS}10.0.0.2\tweb\nfd00::2\tweb\n"
    assert host.files.texts[RESOLV] == RESOLVED
    await host.put(replace(WEB, ipv6=None), sandbox(hosts=(("db", ip_address("10.0.0.3")),), domain="lan"))
    assert host.files.texts[HOSTS] == f"{NEW_HOSTS}10.0.0.3\tdb\n10.0.0.2\tweb.lan web\n"
    await host.put(replace(WEB, state=State.CREATED, sandbox=""), sandbox())
    assert host.files.texts[HOSTS] == NEW_HOSTS


async def test_nothing_is_written_that_is_there_already(host: Host, store: MemoryStore) -> None:
    """Neither at once nor after a restart."""
    for _ in range(2):
        host.files.changed.clear()
        await host.naming.write_files(sandbox())
        await host.put(DB, sandbox())
        assert host.files.changed == []
        host = await Host.start(store, host.files)


async def test_lines_of_others_stay(host: Host, store: MemoryStore) -> None:
    """Who adds to the hosts file keeps it through joins, leaves and restarts; also a line that is like one of ours."""
    theirs = "# mine\n10.0.0.9 printer\n10.1.0.2\tweb\n"
    host.files.texts[HOSTS] = NEW_HOSTS + theirs + "10.0.0.2\tweb\n"
    host = await Host.start(store, host.files)
    other = endpoint("blue", "web", "10.1.0.2/24", id="blue-web")
    await host.put(network("blue"), other)
    assert host.files.texts[HOSTS] == f"{NEW_HOSTS}{theirs}10.0.0.2\tweb\nfd00::2\tweb\n"
    host = await Host.start(store, host.files)
    await host.put(*(replace(one, state=State.CREATED, sandbox="") for one in (WEB, other)))
    assert host.files.texts[HOSTS] == NEW_HOSTS + theirs


async def test_an_edited_resolv_conf_is_never_written_again(host: Host, store: MemoryStore) -> None:
    """Not after a change of the host's, not after a restart (TestResolvConf); an emptied one is no edit."""
    host.files.texts[RESOLV] = edited = "nameserver 113.34.56.78\n"
    for _ in range(2):
        host.files.texts["/etc/resolv.conf"] += "search wan\n"
        await host.put(sandbox())
        assert host.files.texts[RESOLV] == edited
        host = await Host.start(store, host.files)
    host.files.texts[RESOLV] = ""
    await host.put(sandbox())
    assert host.files.texts[RESOLV] == RESOLVED.replace("lan", "wan")


async def test_what_was_there_before_the_sandbox_is_taken_over(host: Host) -> None:
    """A resolv.conf without a note of ours was edited by nobody."""
    made = sandbox(hosts_path="", resolv_conf_path="/elsewhere/resolv.conf")
    host.files.texts["/elsewhere/resolv.conf"] = "nameserver 6.6.6.6\n"
    await host.put(made)
    assert host.files.texts["/elsewhere/resolv.conf"] == RESOLVED


@pytest.mark.parametrize("cut", range(4))
async def test_an_update_that_was_cut_off_is_made_good(host: Host, store: MemoryStore, cut: int) -> None:
    """Wherever it was, a restart and the next pass give what an uninterrupted run does."""
    changed = sandbox(hostname="www", search=("elsewhere",))
    host.files.die_after(cut)
    with pytest.raises(Unavailable, match="cannot"):
        await host.put(changed)
    assert len(host.files.changed) == 4 + cut
    host.files.die_after(None)
    host = await Host.start(store, host.files)
    await host.put(changed)
    assert host.files.texts[HOSTS] == f"{NEW_HOSTS}10.0.0.2\twww\nfd00::2\twww\n"
    assert host.files.texts[RESOLV] == RESOLVED.replace("lan", "elsewhere")


async def test_the_hosts_sandbox_has_copies_of_the_hosts_files(host: Host) -> None:
    """With its extra hosts; its endpoints add no line (TestHost)."""
    await host.put(sandbox(kind="host", hosts=(("db", ip_address("10.0.0.3")),)))
    assert host.files.texts[RESOLV] == HOST
    host.files.texts.pop(HOSTS)
    await host.put(sandbox(kind="host", hosts=(("db", ip_address("10.0.0.3")),)))
    assert host.files.texts[HOSTS] == "127.0.1.1 box\n10.0.0.3\tdb\n"


async def test_removed_files_leave_nothing(host: Host) -> None:
    """Neither files nor notes; twice is fine; who has no files has none to remove."""
    for _ in range(2):
        await host.naming.remove_files(sandbox())
        assert set(host.files.texts) == {"/etc/hosts", "/etc/resolv.conf"}
    host.files.changed.clear()
    await host.naming.remove_files(sandbox(hosts_path="", resolv_conf_path=""))
    await host.naming.write_files(sandbox(hosts_path="", resolv_conf_path=""))
    assert host.files.changed == []


async def test_what_was_there_before_the_sandbox_is_there_after_it(store: MemoryStore) -> None:
    """As it was, with the lines that others have added meanwhile, whatever was restarted."""
    before = {HOSTS: "10.0.0.9 printer\n", RESOLV: "nameserver 6.6.6.6\n\nsearch mine\n"}
    host = await Host.start(store, MemoryFiles(before))
    await host.put(network("red"), sandbox(), WEB)
    await host.put(sandbox(hostname="www", search=("elsewhere",)))
    assert "search elsewhere" in (host.files.texts[RESOLV] or "")
    host.files.texts[HOSTS] += "# more\n"
    host = await Host.start(store, host.files)
    await host.naming.remove_files(sandbox())
    assert host.files.texts == before | {HOSTS: "10.0.0.9 printer\n# more\n"}


async def test_only_files_that_are_not_used_any_more_go(host: Host) -> None:
    """Of two versions of a sandbox with one path in common."""
    moved = sandbox(hosts_path="/mine/hosts")
    await host.put(moved)
    await host.naming.remove_unused(sandbox(), moved)
    assert {HOSTS, f"{HOSTS}.hash"}.isdisjoint(host.files.texts)
    assert {"/mine/hosts", RESOLV, f"{RESOLV}.hash"} <= set(host.files.texts)


async def test_what_somebody_has_put_in_the_place_of_a_file_keeps_no_sandbox(host: Host) -> None:
    """It stays, and the other file goes; a failure of the host's is told."""
    host.files.failing.add(RESOLV)
    with pytest.raises(Unavailable):
        await host.naming.remove_files(sandbox())
    host.files.failing.clear()
    host.files.texts[f"{HOSTS}/folder"] = "theirs"
    await host.naming.remove_files(sandbox())
    assert f"{HOSTS}/folder" in host.files.texts
    assert RESOLV not in host.files.texts


@pytest.mark.parametrize("taken", [HOSTS, RESOLV, f"{HOSTS}.hash"])
async def test_a_file_belongs_to_one_sandbox(host: Host, store: MemoryStore, taken: str) -> None:
    """Also one that is only reserved, or a note, or after a restart; free again when the sandbox is gone."""

    async def refused(*versions: Sandbox) -> str:
        with pytest.raises(Conflict, match="is in use") as caught:
            async with host.naming.reserved(*versions):
                pass
        return caught.value.holder

    other = sandbox("c3", hosts_path="", resolv_conf_path=taken)
    for _ in range(2):
        assert await refused(other) == "sandbox c1"
        host = await Host.start(store, host.files)
    await host.cache.commit(delete=[sandbox()])
    async with host.naming.reserved(other):
        assert await refused(sandbox("c4", hosts_path=f"{taken}.hash")) == "sandbox c3"
        assert await refused(sandbox(), sandbox(hosts_path="/mine")) == "sandbox c3"
    async with host.naming.reserved(sandbox(), sandbox(hosts_path="/mine")):
        pass


async def test_a_host_without_files_is_no_obstacle(store: MemoryStore) -> None:
    """Public nameservers, an empty copy."""
    host = await Host.start(store, MemoryFiles())
    await host.put(network("red"), sandbox(), WEB)
    assert [str(address) for address in host.naming.upstreams("c1")] == ["8.8.8.8", "8.8.4.4"]
    await host.naming.write_files(sandbox("c9", kind="host"))
    assert host.files.texts["/files/c9/resolv.conf"] == host.files.texts["/files/c9/hosts"] == ""


NAMES = st.sampled_from(["a", "B", "a.red", ""])
ENDPOINTS = st.builds(
    lambda where, number, name, alias, attached: endpoint(
        where, name, f"10.0.0.{number}/24", f"fd00::{number}/64", id=f"e{number}", aliases=(alias,),
        key=f"/run/netns/{number}" if attached else "",
    ),
    st.sampled_from(["red", "blue"]), st.integers(1, 4), NAMES, NAMES, st.booleans(),
)  # fmt: skip
ASKERS = [endpoint("red", "me", "10.0.0.9/24"), endpoint("blue", "me", "10.0.0.9/24")]
QUESTIONS = [
    *(Question(name, kind) for name in ("a", "b", "a.red", "b.blue", "a.red.blue", "c") for kind in (A, AAAA)),
    *(Question(ip_address(f"10.0.0.{number}").reverse_pointer, PTR) for number in range(1, 6)),
]


def scanned(records: Collection[Endpoint]) -> View:
    """What c1 sees, by looking at every record for every name."""

    def named(where: str, name: str) -> list[Endpoint]:
        return [one for one in records if one.network == where and name in names_of(one)]

    def at(where: str, address: Address) -> Endpoint | None:
        return next((one for one in records if one.network == where and address in one.addresses), None)

    return View(in_gateway_order(Member(network(one.network), one) for one in ASKERS), named, at, out=True)


@settings(max_examples=50)
@given(st.lists(st.tuples(ENDPOINTS, st.booleans()), max_size=10))
def test_an_answer_is_what_a_scan_of_the_records_gives(changes: list[tuple[Endpoint, bool]]) -> None:
    """After any changes, for every name and address; and nothing is left in the index of what is gone."""

    async def carry_out() -> None:
        host = await Host.start(MemoryStore(), MemoryFiles())
        await host.put(network("red"), network("blue"), sandbox(hosts_path="", resolv_conf_path=""), *ASKERS)
        for made, there in changes:
            known = host.cache.endpoint(made.network, made.id)
            await host.cache.commit(put=[made] if there else [], delete=[known] if known and not there else [])
        view = scanned(list(host.cache.every(Endpoint)))
        assert [host.ask(question.name, question.kind) for question in QUESTIONS] == [
            lookup(question, view) for question in QUESTIONS
        ]
        await host.cache.commit(delete=host.cache.every(Endpoint))
        assert host.naming._index == {}

    asyncio.run(carry_out())
