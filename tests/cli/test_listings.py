"""What every `ls` has: -o wide, -q, --filter, --no-trunc and templates."""

from __future__ import annotations

import json

import pytest

from tests.cli.daemons import ServedHost
from tests.services.samples import ALIEN, WEB


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["lease", "ls", "-q", "--state", "cooling"], ["10.32.0.4"]),
        (["lease", "ls", "--filter", "state=cooling", "--format", "{{.Address}}"], ["10.32.0.4"]),
        (["lease", "ls", "-q", "-f", "state=cooling", "-f", "state=reserved"], ["10.32.0.4", "10.32.0.6"]),
        (["lease", "ls", "-q", "-f", "state=gateway", "-f", "pool=p6"], ["fd00:32::1"]),
        (["lease", "ls", "-q", "-f", "state=gateway", "-f", "network=1f6b"], ["10.32.0.1", "fd00:32::1"]),
        (["lease", "ls", "-q", "-f", "address=fd00::/16"], ["fd00:32::1", "fd00:32::2"]),
        (["lease", "ls", "-q", "-f", "container=db", "-f", "space=tenant"], ["10.32.0.2"]),
        (["lease", "ls", "-q", "-f", "fixed=true", "-f", "used=false", "-f", "key=db-0"], ["10.32.0.5"]),
        (["lease", "ls", "-q", "-f", "mac=02:00:00:00:00:03"], ["10.32.0.3"]),
        (["network", "ls", "-q"], ["1f6b2c000000", "aaaaaa000000"]),
        (["network", "ls", "-q", "--no-trunc", "--filter", "internal=true"], [ALIEN]),
        (["network", "ls", "--format", "{{.ID}} {{.Bridge}}", "-f", "subnet=10.32.0.0/24"], [f"{WEB} mr-1f6b2c000000"]),
        (["pool", "ls", "-q", "-f", "space=default"], ["p4", "p6"]),
        (["pool", "ls", "--format", "{{.Percent}} {{.Subnet}}", "-f", "id=p"], ["2.4 10.32.0.0/24", "0 fd00:32::/64"]),
        (["pool", "ls", "--format", "{{.Subnet}}", "-f", "source=default-v4"], ["10.32.0.0/24"]),
        (["pool", "inspect", "p4", "--format", "{{.Pool.Used}} {{.Claim}}"], ["6 explicit"]),
        (
            ["network", "inspect", "1f6b", "--format", "{{range .Endpoints}}{{.Name}} {{.IPv4}}{{end}}"],
            ["db 10.32.0.2/24"],
        ),
        (["lease", "inspect", "10.32.0.5", "--format", '{{.State}} {{join .Holders "+"}}'], ["fixed cccccccccccc"]),
        (["status", "--format", "{{.Networks}} {{.Leases.gateway}}"], ["2 2"]),
    ],
)
async def test_programs_get_what_they_ask_for(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], words: list[str], lines: list[str]
) -> None:
    """Filters of one key are alternatives, of several all must hold; a template is a line for each."""
    assert await daemon.run(*words) == 0
    assert capsys.readouterr().out.splitlines() == lines


async def test_every_row_is_a_line_of_json(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """`{{json .}}` as Docker has it, and --format json the API's list, which the filters leave, too."""
    assert await daemon.run("pool", "ls", "--format", "{{json .}}", "--filter", "space=tenant") == 0
    assert json.loads(capsys.readouterr().out)["id"] == "t4"
    for words in (("--format", "json"), ("-o", "json")):
        assert await daemon.run("pool", "ls", *words, "--filter", "space=tenant") == 0
        assert [row["id"] for row in json.loads(capsys.readouterr().out)] == ["t4"]


async def test_a_table_of_a_template_has_headers(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """A backslash and a t, as a shell passes it on, is a tab."""
    assert await daemon.run("pool", "ls", "--format", r"table {{.Subnet}}\t{{.Used}}", "-f", "id=p") == 0
    assert capsys.readouterr().out.splitlines() == ["SUBNET         USED", "10.32.0.0/24   6", "fd00:32::/64   2"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["lease", "ls", "--filter", "colour=red"], 2, "where KEY is one of address, container, fixed"),
        (["lease", "ls", "--filter", "state"], 2, "write KEY=VALUE"),
        (["lease", "ls", "--filter", "used=perhaps"], 2, "neither true nor false"),
        (["lease", "ls", "--filter", "state=rubbish"], 2, "--filter: 'rubbish' is not one of gateway, auxiliary"),
        (["network", "ls", "--filter", "mode=macvlan"], 2, "'macvlan' is not one of bridge, vxlan, handoff, null"),
        (["lease", "ls", "--filter", "address=db"], 2, "does not appear to be an IPv4"),
        (["lease", "ls", "--filter", "network=nosuch"], 3, "has no network 'nosuch'"),
        (["lease", "ls", "--format", "{{.Adress}}"], 2, "there is no field .Adress; there are .Address"),
        (["lease", "ls", "--format", "yaml"], 2, "'yaml' is not one of 'table', 'json' and a template"),
    ],
)
async def test_what_cannot_be_is_refused(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], words: list[str], code: int, text: str
) -> None:
    """A line on stderr, with what there is."""
    assert await daemon.run(*words) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err


async def test_wide_has_more_columns(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """MAC, key, end and endpoint of leases."""
    assert await daemon.run("lease", "ls", "-o", "wide", "10.32.0.2") == 0
    header, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == [
        "ADDRESS",
        "STATE",
        "HOLDER",
        "NETWORK",
        "SINCE",
        "SPACE",
        "MAC",
        "KEY",
        "UNTIL",
        "ENDPOINT",
    ]


@pytest.mark.parametrize("kind", ["lease", "port", "dns", "pool", "deny"])
async def test_a_network_that_is_nowhere_is_an_error_in_every_list(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """An empty list would say that it has nothing; a network that is there has nothing, perhaps."""
    assert await daemon.run(kind, "ls", "--filter", "network=nope") == 3
    assert "Mooring has no network 'nope'" in capsys.readouterr().err
    assert await daemon.run(kind, "ls", "-q", "--filter", f"network={ALIEN}") == 0


@pytest.mark.parametrize("kind", ["lease", "pool", "subnet-pool"])
async def test_an_address_space_that_is_nowhere_is_an_error_in_every_list(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Likewise."""
    assert await daemon.run(kind, "ls", "--filter", "space=nope") == 3
    assert "there is no address space 'nope'" in capsys.readouterr().err
    assert await daemon.run(kind, "ls", "-q", "--filter", "space=default") == 0
