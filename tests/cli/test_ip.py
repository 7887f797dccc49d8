"""`mooring ip allocate|claim|lookup|release|ls`."""

from __future__ import annotations

import json

import pytest

from tests.cli.daemons import ServedHost

NET = ("--network", "1f6b2c")


async def test_an_id_has_addresses_until_they_are_released(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is printed as a script wants it: alone."""
    assert await daemon.run("ip", "allocate", "lab-1", *NET, "--wait", "1s") == 0
    first = capsys.readouterr().out
    assert await daemon.run("ip", "allocate", "lab-1", "10.32.0.0/24", *NET) == 0
    assert capsys.readouterr().out == first
    assert await daemon.run("ip", "claim", "lab-1", "10.32.0.99/24", "--space", "default") == 0
    assert capsys.readouterr().out == "10.32.0.99/24\n"
    assert await daemon.run("ip", "claim", "lab-1", "192.168.9.9/24", "--no-error-on-unknown") == 0
    capsys.readouterr()
    assert await daemon.run("ip", "lookup", "lab-1") == 0
    assert capsys.readouterr().out == f"{first.strip()} 10.32.0.99/24\n"
    assert await daemon.run("ip", "lookup", "lab-1", "10.32.0.64/26", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["addrs"] == ["10.32.0.99/24"]
    assert await daemon.run("ip", "ls", "--filter", "address=10.32.0.99") == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["lab-1", "-", first.strip(), "10.32.0.99/24"]
    assert await daemon.run("ip", "release", "lab-1", "10.32.0.99") == 0
    assert await daemon.run("ip", "release", "lab-1") == 0
    assert await daemon.run("ip", "ls", "-q", "--filter", "id=lab-1") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("lookup", "lab-1"), 3, "lab-1 has no address here"),
        (("release", "lab-1"), 3, "lab-1 has no address to release"),
        (("claim", "lab-1", "10.32.0.2/24", "--space", "default"), 4, "is not free (held by "),
        (("claim", "lab-1", "10.32.0.2"), 2, "has no prefix length; write it as 10.32.0.9/24"),
        (("claim", "lab-1", "rubbish"), 2, "has no prefix length; write it as 10.32.0.9/24"),
        (("allocate", "lab-1", "rubbish"), 2, "has no prefix length; write it as 10.32.0.0/24"),
        (("allocate", "db", *NET, "--check-alive"), 3, "Docker has no container db"),
        (("allocate", "lab-1"), 4, "subnets to choose from"),
        (("allocate", "a b"), 2, "cannot be an ID"),
    ],
)
async def test_a_refusal_is_one_line(
    daemon: ServedHost, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, says: str
) -> None:
    """With the exit code of its kind."""
    assert await daemon.run("ip", *words) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1
