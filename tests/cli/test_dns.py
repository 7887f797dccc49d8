"""`mooring dns ls|hosts|lookup|add|rm`."""

from __future__ import annotations

import json

import pytest

from mooring.cli.dns import _hosts
from mooring.client import DnsRow
from tests.cli.daemons import ServedHost
from tests.services.samples import WEB
from tests.services.test_remote_names import advertised

DB = "db.1f6b2c000000.mooring"


async def test_a_record_is_added_listed_asked_for_and_removed(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same again changes nothing."""
    add = ("dns", "add", "nas", "192.0.2.9", "192.0.2.10", "--note", "Berlin")
    assert await daemon.run(*add, "--dry-run") == 0
    assert capsys.readouterr().out == "nas.mooring (not done, only tried) has 192.0.2.9, 192.0.2.10\n"
    assert await daemon.run(*add) == 0
    assert capsys.readouterr().out == "nas.mooring has 192.0.2.9, 192.0.2.10\n"
    assert await daemon.run(*add) == 0
    assert capsys.readouterr().out == "nas.mooring has 192.0.2.9, 192.0.2.10 already\n"
    assert await daemon.run("dns", "ls") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "ADDRESSES", "NETWORK", "HOST", "ORIGIN", "NOTE"]
    assert lines[1].split()[:4] == [DB, "10.32.0.2,", "fd00:32::2", "1f6b2c000000"]
    assert lines[2].startswith("nas.mooring")
    assert await daemon.run("dns", "ls", "--filter", "network=1f6b", "-q") == 0
    assert capsys.readouterr().out == f"{DB}\n"
    assert await daemon.run("dns", "lookup", "nas") == 0
    assert capsys.readouterr().out == "192.0.2.9\n192.0.2.10\n"
    assert await daemon.run("dns", "rm", "nas", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["record"]["name"] == "nas.mooring"


async def test_the_hosts_names_are_lines_of_a_hosts_file(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each address, IPv4 first, by number and not as text; first the name that PTR tells, also where a
    container and a record have one address; the names of one network alone when it is named."""
    assert await daemon.run("dns", "add", "nas", "192.0.2.9", "9.9.9.9", "2001:db8::9") == 0
    assert await daemon.run("dns", "add", "files", "192.0.2.9") == 0
    assert await daemon.run("dns", "add", "db-old", "10.32.0.2", "--network", "1f6b") == 0
    capsys.readouterr()
    assert await daemon.run("dns", "hosts") == 0
    assert capsys.readouterr().out.splitlines() == [
        "9.9.9.9 nas.mooring",
        f"10.32.0.2 db-old.1f6b2c000000.mooring {DB}",
        "192.0.2.9 files.mooring nas.mooring",
        "2001:db8::9 nas.mooring",
        f"fd00:32::2 {DB}",
    ]
    assert await daemon.run("dns", "hosts", "--network", "1f6b") == 0
    assert capsys.readouterr().out.splitlines() == [f"10.32.0.2 db-old.1f6b2c000000.mooring {DB}", f"fd00:32::2 {DB}"]
    assert await daemon.run("dns", "hosts", "--network", "1f6b", "--format", "json") == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["db-old.1f6b2c000000.mooring", DB]


def test_aliases_stand_behind_the_name_that_a_reader_takes_for_the_canonical_one() -> None:
    """Complete, with network and zone; replicas have an address each; no name twice in a line."""
    rows = [
        DnsRow("b.web.mooring", "web", "f" * 64, ["10.0.0.3", "fd00::3"], "container", ["b", "id2", "app"]),
        DnsRow("a.web.mooring", "web", "f" * 64, ["10.0.0.2"], "container", ["a", "id1", "app"]),
        DnsRow("app.web.mooring", "web", "f" * 64, ["10.0.0.2"], "stored", ["app"]),
    ]
    assert list(_hosts(rows)) == [
        "10.0.0.2 a.web.mooring app.web.mooring id1.web.mooring",
        "10.0.0.3 b.web.mooring app.web.mooring id2.web.mooring",
        "fd00::3 b.web.mooring app.web.mooring id2.web.mooring",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nas.mooring",), "nas.mooring: nobody has the name, and no other nameserver is asked"),
        (("mooring",), "mooring: the name is there, without A records"),
        (("example.org",), "example.org: not known here: the host's nameservers are asked"),
        (("10.32.0.2",), f"{DB}."),
        (("db", "--network", "1f6b", "--type", "AAAA"), "fd00:32::2"),
    ],
)
async def test_a_lookup_says_what_and_why(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], text: str
) -> None:
    """As the server would answer."""
    assert await daemon.run("dns", "lookup", *arguments) == 0
    assert capsys.readouterr().out == text + "\n"


async def test_whose_a_name_is_stands_beside_it(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Another host's container, in the list, its filter and a look-up."""
    keeping = daemon.host.services.keeping
    assert keeping is not None
    remote = keeping.host_names.remote
    remote.begin("h0", "web0")
    remote.take_part("shared", WEB)
    remote.note("ep/h1/shared/e1", advertised("h1", "e1", "far", "10.32.0.90"))
    assert await daemon.run("dns", "ls", "--filter", "host=h1") == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "far.1f6b2c000000.mooring", "10.32.0.90", "1f6b2c000000", "h1", "container", "-",
    ]  # fmt: skip
    remote.note_silent(frozenset({"h1"}))
    assert await daemon.run("dns", "ls") == 0
    assert "h1 (not heard)" in capsys.readouterr().out
    assert await daemon.run("dns", "lookup", "far.1f6b2c000000") == 0
    assert capsys.readouterr().out == "10.32.0.90 ; on h1\n"


async def test_a_lookup_says_that_nobody_may_be_asked(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Here: after a start, while the engine has not told who is called what."""
    keeping = daemon.host.services.keeping
    assert keeping is not None
    keeping.host_names._unheard.add("f" * 64)
    assert await daemon.run("dns", "lookup", "nas.mooring") == 0
    assert capsys.readouterr().out == "nas.mooring: not known here, or not yet, and nobody else may be asked\n"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("rm", "nas"), 3, "no DNS record nas"),
        (("add", "a b", "192.0.2.9"), 2, "is not a DNS name"),
        (("add", "nas"), 2, "ADDRESS"),
        (("add", "nas", "x"), 2, "address 'x'"),
        (("add", "nas", "192.0.2.9", "--until", "soon"), 2, "is not a time"),
        (("add", "nas", "192.0.2.9", "--network", "none"), 3, "none"),
        (("hosts", "--network", "none"), 3, "none"),
        (("lookup", "db", "--type", "MX"), 2, "type 'MX' is not known"),
    ],
)
async def test_what_cannot_be_is_one_line(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, text: str
) -> None:
    """With its exit code."""
    assert await daemon.run("dns", *arguments) == code
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
