"""Units and manual agree with what is served."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from mooring import __version__
from mooring.adapters.docker.engine_dns_file import NOTE
from mooring.cli.root import cli
from mooring.config import SETTINGS, load
from mooring.core.dns_places import ADDRESS4
from mooring.removal import ENABLED
from mooring.removal import UNITS as REMOVED

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
UNITS = sorted((PACKAGING / "systemd").iterdir())


def unit(name: str) -> configparser.ConfigParser:
    """A unit file; of options that are given twice the last one."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    parser.read(PACKAGING / "systemd" / name)
    return parser


def commands(group: click.Group, path: str) -> list[str]:
    """The words of every command."""
    found = []
    for name, command in group.commands.items():
        words = f"{path} {name}"
        found += commands(command, words) if isinstance(command, click.Group) else [words]
    return found


def manual() -> str:
    """The manual's text without its markup."""
    text = (PACKAGING / "man/mooring.1").read_text()
    for markup in ("\\fB", "\\fI", "\\fR", "\\"):
        text = text.replace(markup, "")
    return text


def test_every_command_and_setting_is_in_the_manual() -> None:
    """What can be typed can be read about."""
    text = manual()
    assert [words for words in commands(cli, "mooring") if words not in text] == []
    assert [setting.flag for setting in SETTINGS if setting.flag not in text] == []


def test_the_manual_leaves_the_version_to_the_command() -> None:
    """`mooring --version` says it; a second place would be forgotten."""
    assert "mooring 0" not in manual()
    assert __version__ not in manual()


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_the_manual_has_no_markup_mistakes() -> None:
    """groff has nothing to warn of."""
    command = ["man", "--warnings", "--local-file", str(PACKAGING / "man/mooring.1")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_the_units_listen_where_the_defaults_are() -> None:
    """Paths, names and modes are those that the daemon expects."""
    config = load({"config": None}, {}, "machine") if not Path("/etc/mooring/mooring.toml").exists() else None
    units = [unit(f"mooring{name}.socket")["Socket"] for name in ("", "-api", "-proxy")]
    plugin, api, proxy = units
    assert [one["FileDescriptorName"] for one in units] == ["plugin", "api", "proxy"]
    assert [one["SocketMode"] for one in units] == ["0600", "0660", "0660"]
    if config is not None:
        assert plugin["ListenStream"] == str(config.plugin_socket)
        assert api["ListenStream"] == str(config.api_socket)
        assert proxy["ListenStream"] == str(config.proxies[0].path)
        assert int(proxy["SocketMode"], 8) == config.proxies[0].mode


def test_every_unit_is_installed_by_the_instructions() -> None:
    """packaging/README.md names each of them."""
    page = (PACKAGING / "README.md").read_text()
    assert [path.name for path in UNITS if f"packaging/systemd/{path.name}" not in page] == []


def test_every_unit_is_removed_by_uninstall() -> None:
    """And those that are to be enabled are disabled."""
    assert sorted(REMOVED) == [path.name for path in UNITS]
    assert sorted(ENABLED) == [path.name for path in UNITS if "[Install]" in path.read_text()]


def test_whoever_answers_for_a_program_that_is_gone_listens_in_its_place() -> None:
    """The same socket, never both at once, and only started when the service cannot be."""
    ours, away = unit("mooring.socket"), unit("mooring-away.socket")
    assert away["Socket"]["ListenStream"] == ours["Socket"]["ListenStream"]
    assert "mooring-away.socket" in ours["Unit"]["Conflicts"]
    assert "mooring.socket" in away["Unit"]["Conflicts"].split()
    service = unit("mooring.service")
    assert service["Unit"]["OnFailure"] == "mooring-away.socket"
    # A start that hangs is counted, too.
    rounds = int(service["Unit"]["StartLimitBurst"]) * (int(service["Service"]["TimeoutStartSec"]) + 1)
    assert rounds < int(service["Unit"]["StartLimitIntervalSec"])


def test_dockerd_starts_after_socket_and_service() -> None:
    """A missing plugin would hold up dockerd's start for minutes."""
    assert "docker.service" in unit("mooring.socket")["Unit"]["Before"].split()
    assert "docker.service" in unit("mooring.service")["Unit"]["Before"].split()
    service = unit("mooring.service")["Service"]
    assert (service["Type"], service["Restart"]) == ("notify", "always")
    assert int(service["WatchdogSec"]) > 0


@pytest.mark.parametrize(("text", "there"), [('{"dns": ["169.254.53.53"]}', True), ('{"dns": ["192.0.2.1"]}', False)])
def test_the_dns_servers_address_is_there_before_the_daemon_where_it_is_named(
    tmp_path: Path, text: str, there: bool
) -> None:
    """In the engine's file, in ours about another file of the engine's, or in the host's own. Nothing of it ends the
    start."""
    line = unit("mooring.service")["Service"]["ExecStartPre"]
    assert line.startswith("-/bin/sh -c '")
    (tmp_path / "ip").write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/told\n')
    (tmp_path / "ip").chmod(0o755)
    script = re.sub(" /(etc|var)/", rf" {tmp_path}/\1/", shlex.split(line.removeprefix("-"))[2])
    told, asked = tmp_path / "told", f"address replace {ADDRESS4}/32 dev lo\n"
    for path in ("etc/docker/daemon.json", f"var/lib/mooring/{NOTE}", "etc/resolv.conf"):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        subprocess.run(["/bin/sh", "-c", script], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True)
        assert (told.read_text() if told.exists() else "") == (asked if there else "")
        told.unlink(missing_ok=True)
        file.unlink()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """systemd-analyze verify has no complaint; the binary's path is the installer's business."""
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text().replace("/usr/bin/mooring", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / path.name) for path in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if "mooring" in line]
    ours = [line for line in lines if "'RestartMode'" not in line]  # which systemd knows from 254 on
    assert (ours, done.returncode) == ([], 0)
