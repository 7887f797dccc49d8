"""Our tables, in a namespace of the test's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from mooring.adapters.netlink.batches import Batches
from mooring.adapters.nft.nft_command import NftablesError, load
from mooring.adapters.nft.nft_tables import Table
from mooring.core import firewall
from mooring.core.faults import Conflict, NotSupported, Unavailable
from mooring.core.plumbing import Add, Alter, Member, Remove
from mooring.core.port_security import PORT_SECURITY
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

SAMPLES = [
    Member("bridges", '"mr-0123456789ab"'),
    Member("bridges", '"tcp"'),
    Member("bridges", '"1.2"'),
    Member("within", '"mr-a" . "mr-a"'),
    Member("groups", '"mr-a"', firewall.peer_group("red")),
    Member("members", f'{firewall.peer_group("red")} . "mr-a"'),
    Member("source4", '"mr-a"', "198.18.0.1"),
    Member("source6", '"mr-a"', "fd00::1"),
    Member("hairpin4", '10.1.0.0/24 . "mr-a"'),
    Member("hairpin4", '10.1.1.0/24 . "mr-a"'),
    Member("hairpin4", '10.9.0.7 . "mr-a"'),
    Member("hairpin6", 'fd00:1::/64 . "mr-a"'),
    Member("wildcard4", "6 . 8080", "10.1.0.2 . 80"),
    Member("wildcard4", "17 . 8080", "10.1.0.2 . 53"),
    Member("wildcard6", "132 . 8080", "fd00:1::2 . 80"),
    Member("published4", "6 . 127.0.0.1 . 443", "10.1.0.2 . 443"),
    Member("published6", "17 . fd00::1 . 443", "fd00:1::2 . 443"),
    Member("routed4", "6 . 10.1.0.2 . 80"),
    Member("routed6", "132 . fd00:1::2 . 80"),
]


@pytest.fixture
def batches(namespace: Namespace) -> Iterator[Batches]:
    """A socket in a namespace of its own."""
    made = Batches()
    yield made
    made.close()


@pytest.fixture
def table(batches: Batches) -> Table:
    """Our table, written."""
    made = Table(batches)
    made.write()
    return made


def test_elements_are_read_as_they_were_written(table: Table) -> None:
    """Every spelling that core uses comes back the same."""
    table.change([Add(member) for member in SAMPLES])
    ruleset, members = table.observe()
    assert ruleset == firewall.ruleset()
    assert set(members) == set(SAMPLES)


def test_undoing_takes_back_only_what_was_done(table: Table) -> None:
    """What was there before stays, what was taken away comes back with its value."""
    table.change([Add(SAMPLES[0]), Add(SAMPLES[12])])
    undo = table.change([Add(SAMPLES[0]), Add(SAMPLES[1]), Remove(SAMPLES[12]), Remove(SAMPLES[13])])
    assert set(table.observe()[1]) == {SAMPLES[0], SAMPLES[1]}
    table.change(undo)
    assert set(table.observe()[1]) == {SAMPLES[0], SAMPLES[12]}


def test_a_key_with_another_value_is_a_conflict_and_changes_nothing(table: Table) -> None:
    """All of the ops or none; an Alter is what changes a value."""
    table.change([Add(SAMPLES[12])])
    other = Member("wildcard4", "6 . 8080", "10.1.0.9 . 80")
    with pytest.raises(Conflict, match="8080"):
        table.change([Add(SAMPLES[0]), Add(other)])
    assert table.observe()[1] == [SAMPLES[12]]
    table.change([Alter(SAMPLES[12], other)])
    assert table.observe()[1] == [other]


def test_one_bad_element_changes_nothing(table: Table) -> None:
    """The fault is one line."""
    with pytest.raises(Unavailable, match="inet mooring") as refused:
        table.change([Add(SAMPLES[0]), Add(Member("wildcard4", "nonsense", "x"))])
    assert "\n" not in str(refused.value)
    assert table.observe()[1] == []


def test_without_the_table_additions_fail_and_removals_do_not(batches: Batches) -> None:
    """What is gone is removed already."""
    table = Table(batches)
    with pytest.raises(Unavailable):
        table.change([Add(SAMPLES[0])])
    assert table.change([Remove(SAMPLES[0])]) == []
    assert table.observe() == (None, [])
    assert not table.is_current()


def test_writing_keeps_elements_and_other_tables(table: Table, batches: Batches) -> None:
    """The table is made anew in one transaction, with what it had."""
    sh("nft add table inet others")
    table.change([Add(member) for member in SAMPLES])
    sh("nft flush chain inet mooring inward")
    damaged, _ = table.observe()
    assert damaged != firewall.ruleset()
    table.write()
    assert table.is_current()
    assert set(table.observe()[1]) == set(SAMPLES)
    table.remove()
    assert sh("nft list tables").split() == ["table", "inet", "others"]


def test_tables_of_other_names_are_apart(table: Table, batches: Batches) -> None:
    """Each is written, filled, damaged, mended and removed without the other; a fault names the table."""
    other = Table(batches, "mooring-web-1")
    assert other.observe() == (None, [])
    other.write()
    other.change([Add(SAMPLES[0]), Add(SAMPLES[12])])
    table.change([Add(SAMPLES[1])])
    sh("nft flush chain inet mooring-web-1 inward")
    assert table.observe() == (firewall.ruleset(), [SAMPLES[1]])
    assert other.observe()[0] != firewall.ruleset()
    other.write()
    assert other.observe() == (firewall.ruleset(), [SAMPLES[0], SAMPLES[12]])
    table.remove()
    assert other.is_current()
    with pytest.raises(Unavailable, match="inet mooring-web-1 cannot"):
        other.change([Add(Member("wildcard4", "nonsense", "x"))])


@pytest.mark.parametrize(
    "stranger",
    [
        "add element inet mooring hairpin4 { 10.8.0.5-10.8.0.9 . mr-b }",
        "add element inet mooring hairpin6 { fd00:8::5-fd00:8::9 . mr-b }",
        "add set inet mooring ports { type inet_service; flags interval; elements = { 80-90 }; }",
        "add set inet mooring typed { typeof ip saddr . tcp dport; flags interval; elements = { 10.0.0.1 . 80-90 }; }",
        "add map inet mooring verdicts { type ifname : verdict; elements = { mr-b : drop }; }",
    ],
)
def test_elements_in_a_form_of_others_are_damage(table: Table, batches: Batches, stranger: str) -> None:
    """No exception, neither in reading nor in changing; a table written anew is without them and has all of ours."""
    table.change([Add(member) for member in SAMPLES])
    sh(f"nft '{stranger}'")
    damaged, members = table.observe()
    assert damaged not in (None, firewall.ruleset())
    assert set(members) == set(SAMPLES)
    table.change([Add(SAMPLES[10]), Remove(SAMPLES[8])])
    table.change([Add(SAMPLES[8])])
    table.write()
    ruleset, members = table.observe()
    assert ruleset == firewall.ruleset()
    assert set(members) == set(SAMPLES)


def test_elements_of_others_in_a_form_of_ours_can_be_removed(table: Table, batches: Batches) -> None:
    """Also when they have a comment."""
    sh("nft 'add element inet mooring hairpin4 { 10.8.0.0/16 . mr-b comment \"hi\" }'")
    sh("nft 'add element inet mooring bridges { mr-b comment \"hi\" }'")
    ruleset, members = table.observe()
    assert ruleset == firewall.ruleset()
    assert set(members) == {Member("hairpin4", '10.8.0.0/16 . "mr-b"'), Member("bridges", '"mr-b"')}
    table.change([Remove(member) for member in members])
    assert table.observe()[1] == []


def test_a_kernel_that_cannot_filter_in_bridges_is_told_from_one_that_fails(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the smallest table that there can be, of which nothing is left."""
    table = Table(batches, text=PORT_SECURITY)

    def lack(commands: str) -> None:
        if "table bridge" in commands:
            raise NftablesError("Could not process rule: Operation not supported")
        load(commands)

    def fail(commands: str) -> None:
        if "sources6" in commands:
            raise NftablesError("Could not process rule: No buffer space available")
        load(commands)

    with monkeypatch.context() as patch:
        patch.setattr("mooring.adapters.nft.nft_tables.load", lack)
        with pytest.raises(NotSupported, match="port_security=off"):
            table.write()
        patch.setattr("mooring.adapters.nft.nft_tables.load", fail)
        with pytest.raises(Unavailable, match="No buffer space") as caught:
            table.write()
        assert not isinstance(caught.value, NotSupported)
    assert sh("nft list tables") == ""
    table.write()
    assert table.is_current()


def test_a_program_with_very_many_files_open_goes_on(namespace: Namespace) -> None:
    """Descriptors of any number will do; where there are none left, that is what is said."""
    program = """
import os, resource
from mooring.adapters.linux.kernel_facts import Tools
from mooring.core.faults import Unavailable
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (1300, hard))
files = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
tools = Tools.open()
for table in tools.tables:
    table.write()
    assert table.is_current() and table.observe()[0] == table._text.ruleset
resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
for attempt in (Tools.open, tools.tables[0].write):
    try:
        attempt()
    except Unavailable as fault:
        print(fault)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Too many open files") == 2


def test_what_is_read_again_is_read_anew_where_it_differs(table: Table, batches: Batches) -> None:
    """An element that went, one that came, one with another value."""
    table.change([Add(SAMPLES[0]), Add(SAMPLES[12])])
    assert set(table.observe()[1]) == {SAMPLES[0], SAMPLES[12]}
    sh("nft delete element inet mooring bridges { mr-0123456789ab }; nft add element inet mooring bridges { mr-b }")
    sh("nft delete element inet mooring wildcard4 { 6 . 8080 }")
    sh("nft add element inet mooring wildcard4 { 6 . 8080 : 10.1.0.9 . 80 }")
    assert set(table.observe()[1]) == {Member("bridges", '"mr-b"'), Member("wildcard4", "6 . 8080", "10.1.0.9 . 80")}


def test_ten_thousand_elements_go_in_one_transaction(table: Table) -> None:
    """More than fit into a message, into a write and into the buffer for refusals; refused as one as well."""
    many = [
        Member("wildcard4", f"{protocol} . {port}", "10.1.0.2 . 80") for port in range(1, 5001) for protocol in (6, 17)
    ]
    bridges = [Member("bridges", f'"mr-{number}"') for number in range(5000)]
    mixed = [Add(member) for pair in zip(many, bridges, strict=False) for member in pair]
    table.change(mixed)
    assert set(table.observe()[1]) == set(many[:5000] + bridges)
    undo = table.change([Add(member) for member in many])
    assert len(undo) == 5000
    table.change([Remove(member) for member in (*many, *bridges)])
    assert table.observe()[1] == []
