"""`mooring context install|rm`, with and without the `docker` command."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from mooring.cli.root import run

HOST = "unix:///run/mooring/docker.sock"
META = Path("contexts/meta") / sha256(b"mooring").hexdigest() / "meta.json"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for what is the user's, and a PATH without `docker`."""
    (tmp_path / "bin").mkdir()
    for name in ("DOCKER_HOST", "MOORING_RUN_DIR", "MOORING_SOCKET", "MOORING_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path / "docker"


@pytest.fixture
def command(tmp_path: Path, config: Path) -> Path:
    """A `docker` command that writes down how it was called, and fails when there is a file `refuse`."""
    script = tmp_path / "bin/docker"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ -e {tmp_path}/refuse ] && echo "no way" >&2 && exit 1\nexit 0\n'
    )
    script.chmod(0o755)
    return tmp_path / "calls"


def test_without_the_command_the_file_is_as_docker_writes_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Byte for byte what `docker context create` of Docker 28 makes; a second time nothing changes."""
    assert run(["context", "install"]) == 0
    assert (config / META).read_text() == (
        '{"Name":"mooring","Metadata":{},"Endpoints":{"docker":'
        '{"Host":"unix:///run/mooring/docker.sock","SkipTLSVerify":false}}}'
    )
    assert run(["context", "install"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"context mooring ({HOST}): created", f"context mooring ({HOST}): unchanged",
    ]  # fmt: skip


def test_a_dry_run_writes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would be done."""
    assert run(["context", "install", "--dry-run", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "mooring", "host": HOST, "outcome": "created", "dry_run": True,
    }  # fmt: skip
    assert not config.exists()


def test_a_context_that_points_elsewhere_stays(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A conflict names where it points; with --force it is changed, and what else it has stays."""
    (config / META).parent.mkdir(parents=True)
    theirs = {"Name": "mooring", "Metadata": {"Description": "mine"}, "Endpoints": {"docker": {"Host": "tcp://x:1"}}}
    (config / META).write_text(json.dumps(theirs))
    assert run(["context", "install"]) == 4
    assert "held by tcp://x:1" in capsys.readouterr().err
    assert run(["context", "rm"]) == 4
    assert json.loads((config / META).read_text()) == theirs
    assert run(["context", "install", "--force"]) == 0
    found = json.loads((config / META).read_text())
    assert (found["Metadata"], found["Endpoints"]["docker"]["Host"]) == ({"Description": "mine"}, HOST)


def test_the_socket_follows_the_run_directory(config: Path) -> None:
    """--run-dir moves it, --socket says it; a relative path is made absolute."""
    assert run(["--run-dir", "/run/lab", "context", "install", "--name", "lab"]) == 0
    assert run(["context", "install", "--name", "two", "--socket", "x.sock"]) == 0
    hosts = {json.loads(path.read_text())["Name"]: json.loads(path.read_text()) for path in config.rglob("meta.json")}
    assert hosts["lab"]["Endpoints"]["docker"]["Host"] == "unix:///run/lab/docker.sock"
    assert hosts["two"]["Endpoints"]["docker"]["Host"] == f"unix://{Path.cwd()}/x.sock"


def test_a_context_is_removed_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of it is left; what is not there is success."""
    assert run(["context", "install"]) == 0
    assert run(["context", "rm", "--dry-run"]) == 0
    assert (config / META).exists()
    assert run(["context", "rm"]) == 0
    assert list(config.rglob("meta.json")) == []
    assert run(["context", "rm"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("does not exist")


def test_a_context_in_use_is_removed_by_force_only(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `docker context rm` has it; the configuration does not name it after that, and keeps the rest and its mode."""
    assert run(["context", "install"]) == 0
    settings = config / "config.json"
    settings.write_text('{"auths": {"x": {}}, "currentContext": "mooring"}')
    settings.chmod(0o600)
    assert run(["context", "rm"]) == 4
    assert "is in use" in capsys.readouterr().err
    assert run(["context", "rm", "--force"]) == 0
    assert json.loads(settings.read_text()) == {"auths": {"x": {}}}
    assert settings.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["default", "a b", "", "x", "-a", "../x"])
def test_a_name_that_docker_does_not_take_is_a_usage_error(
    config: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:  # fmt: skip
    """Nothing is written."""
    assert run(["context", "install", "--name", name]) == 2
    assert "not a valid name of a Docker context" in capsys.readouterr().err
    assert not config.exists()


def test_a_file_that_cannot_be_read_is_one_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is left as it is."""
    (config / META).parent.mkdir(parents=True)
    for text in ("{", "[]"):
        (config / META).write_text(text)
        assert run(["context", "install", "--force"]) == 6
        assert capsys.readouterr().err.count("\n") == 1
        assert (config / META).read_text() == text


def test_the_docker_command_does_it_where_there_is_one(command: Path, config: Path) -> None:
    """It is called once for each change, and not for what is so already."""
    assert run(["context", "install"]) == 0
    assert not config.exists()
    (config / META).parent.mkdir(parents=True)
    (config / META).write_text(json.dumps({"Name": "mooring", "Endpoints": {"docker": {"Host": "tcp://x"}}}))
    assert run(["context", "install", "--force"]) == 0
    assert run(["context", "rm", "--force"]) == 0
    assert command.read_text().splitlines() == [
        f"context create mooring --docker host={HOST}",
        f"context update mooring --docker host={HOST}",
        "context rm --force mooring",
    ]


def test_what_the_docker_command_says_is_passed_on(
    command: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the exit code of something that is needed and does not work."""
    (tmp_path / "refuse").touch()
    assert run(["context", "install"]) == 6
    assert "says: no way" in capsys.readouterr().err


def test_a_variable_that_wins_over_contexts_is_told(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DOCKER_HOST makes `docker` ignore them all."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    assert run(["context", "install"]) == 0
    assert "DOCKER_HOST is set and overrides every context" in capsys.readouterr().err
