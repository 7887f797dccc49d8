"""`mooring dns status|install|uninstall`: what they say. What they do to the file is tested in tests/adapters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mooring.adapters.dns import host_forwarding
from mooring.adapters.docker import engine_dns_file
from mooring.adapters.host.host_resolver import HostResolver
from mooring.cli import dns_serving
from mooring.cli.root import run
from tests.cli.daemons import ServedHost


class Engine:
    """Its file, and the flags of the dockerd that runs."""

    def __init__(self, folder: Path) -> None:
        self.file, self.flags = folder / "daemon.json", list[tuple[str, ...]]()
        self.config = folder / "mooring.toml"
        self.config.write_text(f'state_dir = "{folder}/state"\ndocker_socket = "{folder}/absent.sock"\n')

    def run(self, *words: str) -> int:
        """With the file, and away from this machine's daemon."""
        return run(["--run-dir", "/nowhere", "dns", *words, "--config", str(self.config)])


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    """This machine's do not count."""
    made = Engine(tmp_path)

    def flags() -> Sequence[tuple[str, ...]]:
        return made.flags

    monkeypatch.setattr(engine_dns_file, "engine_flags", flags)
    monkeypatch.setattr(engine_dns_file, "CONFIGURATION", made.file)
    monkeypatch.setattr(host_forwarding, "host_nameservers", lambda: ["192.0.2.1"])
    return made


def test_an_install_is_shown_done_and_taken_back(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run has the diff; what has to happen next is said, and whether anybody answers."""
    engine.file.write_text('{"live-restore": true}')
    assert engine.run("install", "--dry-run") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[3:5] == [
        '-{"live-restore": true}', '+{"live-restore": true, "dns": ["169.254.53.53", "192.0.2.1"]}',
    ]  # fmt: skip
    assert shown[5] == f"{engine.file}: would be changed"
    assert engine.run("install") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{engine.file}: changed"
    assert said[1].startswith("nobody answers there until the daemon runs")
    assert "containers keep running (live-restore)" in said[2]
    assert said[3].startswith("no dockerd runs here, so its flags were not seen")
    assert engine.run("install", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False
    assert engine.run("uninstall") == 0
    assert engine.file.read_text() == '{"live-restore": true}'
    assert "restart Docker" in capsys.readouterr().out


def test_a_flag_of_the_engines_is_in_the_way(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """With both, dockerd would not start; where it has another file, that one is changed, and two are asked about."""
    engine.flags = [("--dns", "8.8.8.8")]
    assert engine.run("install") == 4
    assert "dockerd was started with --dns 8.8.8.8" in capsys.readouterr().err
    assert not engine.file.exists()
    # Also where the file is a link.
    target = engine.file.with_name("managed.json")
    target.write_text("{}")
    engine.file.symlink_to(target)
    assert engine.run("install") == 4
    assert "and does not start with that in" in capsys.readouterr().err
    assert target.read_text() == "{}"
    engine.file.unlink()
    other = engine.file.with_name("other.json")
    engine.flags = [(f"--config-file={other}",)]
    assert engine.run("install") == 0
    said = capsys.readouterr().out
    assert "which stops containers" in said
    assert "flags were not seen" not in said
    assert (other.exists(), engine.file.exists()) == (True, False)
    engine.flags = [(f"--config-file={other}",), ("--config-file", "/etc/else.json")]
    assert engine.run("install") == 4
    assert "choose one with --config-file" in capsys.readouterr().err
    assert engine.run("uninstall", "--config-file", str(other)) == 0
    assert not other.exists()


async def test_the_server_says_how_it_is(daemon: ServedHost, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is off is told to nobody."""
    assert await daemon.run("dns", "status") == 0
    assert capsys.readouterr().out == "answers at: nowhere\nzone: -\nwanted by: nobody (dns = off)\n"
    assert await daemon.run("dns", "install", "--config-file", "/nowhere/daemon.json") == 4
    assert 'is set to `dns = "off"`' in capsys.readouterr().err


def test_the_hosts_own_resolver_asks_and_asks_no_more(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run has the unit; what stands in the way of the host's programs is said."""
    for folder in ("etc/systemd/system", "run/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    resolver = HostResolver(tmp_path, lambda *_words, check=True: True)
    monkeypatch.setattr(dns_serving, "_resolver", lambda: resolver)
    monkeypatch.setattr(host_forwarding, "stub_asked", lambda: False)
    assert engine.run("install", "--host", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "'~mooring'" in shown
    assert "mooring-dns.service: would be written and started" in shown
    assert not resolver.installed
    assert engine.run("install", "--host") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "mooring-dns.service: written and started"
    assert "do not ask systemd-resolved" in said[1]
    assert engine.run("install", "--host") == 0
    assert capsys.readouterr().out.startswith("mooring-dns.service: unchanged")
    assert not engine.file.exists()
    for outcome in ("removed", "not there"):
        assert engine.run("uninstall", "--host") == 0
        assert capsys.readouterr().out == f"mooring-dns.service: {outcome}\n"
