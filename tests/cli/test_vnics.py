"""`mooring vnic create|ls|inspect|rm`."""

from __future__ import annotations

import json

import pytest

from tests.cli.daemons import ServedHost

ONE = ("--subnet", "172.16.5.0/24", "--address", "172.16.5.5", "--tenant", "red")


async def test_a_vnic_is_made_listed_shown_and_removed(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Each time with what comes next."""
    assert await daemon.run("vnic", "create", *ONE, "--mtu", "1400", "--instance", "i-1") == 0
    made, network, container = capsys.readouterr().out.splitlines()
    ident = made.split()[1]
    assert made.startswith(f"VNIC {ident} (172.16.5.5 of tenant red, MAC ")
    assert network.startswith("network: to be created: docker network create -d p ")
    assert container.startswith("docker run --network mb-")
    assert await daemon.run("vnic", "create", *ONE, "--mtu", "1400", "--instance", "i-1") == 0
    assert "is there already" in capsys.readouterr().out
    assert await daemon.run("vnic", "ls") == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["VNIC", "ID", "TENANT"]
    assert line.split()[:4] == [ident, "red", "172.16.5.0/24", "172.16.5.5"]
    for given in ("tenant=red", "address=172.16.5.5", "instance=i-1", "adopted=no", "subnet=172.16.5.0/24"):
        assert await daemon.run("vnic", "ls", "-q", "--filter", given) == 0
        assert capsys.readouterr().out == f"{ident}\n"
    assert await daemon.run("vnic", "ls", "-q", "--filter", "bridge=br0") == 0
    assert capsys.readouterr().out == ""
    assert await daemon.run("vnic", "inspect", "172.16.5.5", "--tenant", "blue") == 3
    assert "there is no VNIC '172.16.5.5'" in capsys.readouterr().err
    assert await daemon.run("vnic", "inspect", "172.16.5.5", "--tenant", "red") == 0
    shown = capsys.readouterr().out
    for word in ("1400", "i-1", "172.16.5.1", "docker network create", "--mac-address"):
        assert word in shown
    assert await daemon.run("vnic", "rm", ident, "--dry-run") == 0
    assert "would be removed" in capsys.readouterr().out
    assert await daemon.run("vnic", "rm", ident, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["changed"] is True
    assert await daemon.run("vnic", "rm", ident) == 0
    assert capsys.readouterr().out == "there is no such VNIC\n"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("create", "--subnet", "fd00::/64", "--address", "fd00::5"), 2, "VNICs have IPv4"),
        (("create", *ONE, "--gateway", "172.16.5.5"), 2, "is the gateway's"),
        (("create", *ONE, "--adopt", "eth77"), 3, "there is no interface eth77"),
        (("create", "--address", "172.16.5.5"), 2, "--subnet"),
        (("create", *ONE, "--mtu", "x"), 2, "'x' is not a valid number"),
        (("create", *ONE, "--wait", "x"), 2, "'x' is not a length of time"),
        (("create", *ONE, "--wait", "21s"), 2, "from 0 to 20 seconds"),
        (("inspect", "x"), 3, "there is no VNIC 'x'"),
        (("inspect", " "), 2, "must not be empty"),
        (("rm", ""), 2, "must not be empty"),
    ],
)
async def test_what_cannot_be_is_one_line(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, text: str
) -> None:
    """With its exit code, and nothing changed."""
    assert await daemon.run("vnic", *arguments) == code
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
