"""`mooring dns ls|lookup|add|rm`."""

from __future__ import annotations

import json

import pytest

from tests.cli.daemons import ServedHost

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
    assert lines[0].split() == ["NAME", "ADDRESSES", "NETWORK", "ORIGIN", "NOTE"]
    assert lines[1].split()[:4] == [DB, "10.32.0.2,", "fd00:32::2", "1f6b2c000000"]
    assert lines[2].startswith("nas.mooring")
    assert await daemon.run("dns", "ls", "--filter", "network=1f6b", "-q") == 0
    assert capsys.readouterr().out == f"{DB}\n"
    assert await daemon.run("dns", "lookup", "nas") == 0
    assert capsys.readouterr().out == "192.0.2.9\n192.0.2.10\n"
    assert await daemon.run("dns", "rm", "nas", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["record"]["name"] == "nas.mooring"


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


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("rm", "nas"), 3, "no DNS record nas"),
        (("add", "a b", "192.0.2.9"), 2, "is not a DNS name"),
        (("add", "nas"), 2, "ADDRESS"),
        (("add", "nas", "x"), 2, "address 'x'"),
        (("add", "nas", "192.0.2.9", "--until", "soon"), 2, "is not a time"),
        (("add", "nas", "192.0.2.9", "--network", "none"), 3, "none"),
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
