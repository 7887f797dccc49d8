"""The command line as a whole: help, exit codes, errors of one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from mooring.cli.doctors import FINDINGS
from mooring.cli.root import cli, run
from mooring.core.faults import EXIT_CODE, Kind

PYTHON_ALONE = "import sys; sys.argv[0] = 'mooring'; from mooring.cli.root import run; code = run({}); "


def commands(group: click.Group = cli, path: str = "mooring") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its words."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


@pytest.mark.parametrize(("words", "command"), list(commands()), ids=[words for words, _ in commands()])
def test_every_command_has_help_with_an_example(
    words: str, command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """--help says what the command does, and shows it in use."""
    assert run([*words.split()[1:], "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: {words}" in text
    assert "Example:\n" in text
    assert f"    {words}" in text


@pytest.mark.parametrize("words", [w for w, _ in commands() if w.split()[1] not in ("serve", "completion")])
def test_every_question_can_be_answered_in_json(words: str) -> None:
    """--format table|json is everywhere."""
    assert [p.opts for p in dict(commands())[words].params if "--format" in p.opts]


CHANGES = [
    "mooring lease reserve",
    "mooring lease release",
    "mooring lease hold",
    "mooring lease move",
    "mooring doctor",
    "mooring context install",
    "mooring context rm",
    "mooring setup",
    "mooring uninstall",
]


@pytest.mark.parametrize("words", CHANGES)
def test_every_change_can_be_tried_without_being_made(words: str) -> None:
    """--dry-run is on every command that changes something."""
    assert [p.opts for p in dict(commands())[words].params if "--dry-run" in p.opts]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["lease", "reserve"],
        ["explain", " "],
        ["lease", "ls", "--state", "x"],
        ["--nothing"],
        ["network", "inspect"],
        ["status", "x"],
        ["backup", ""],
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the help that says more."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mooring: ")
    assert err.endswith("--help`\n")
    assert err.count("\n") == 1


def test_no_arguments_show_the_help_and_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The help goes to stderr, so that a pipe does not take it for an answer."""
    assert run([]) == 2
    assert "Usage: mooring" in capsys.readouterr().err


def test_the_documented_exit_codes_are_those_of_the_faults() -> None:
    """The epilogue of the help and the table of the faults agree."""
    assert cli.epilog is not None
    words = {
        Kind.BAD_REQUEST: "2 usage",
        Kind.NOT_FOUND: "3 not found",
        Kind.CONFLICT: "4 conflict",
        Kind.EXHAUSTED: "5 exhausted",
        Kind.UNAVAILABLE: "6 the daemon, or something that it needs, cannot be reached",
    }
    text = " ".join(cli.epilog.split())
    assert {kind: f"{EXIT_CODE[kind]} {said.split(' ', 1)[1]}" for kind, said in words.items()} == words
    assert all(said in text for said in words.values())
    assert f"{FINDINGS} `mooring doctor` found problems" in text


def test_help_imports_nothing_heavy() -> None:
    """`mooring --help` needs neither the JSON codec nor the loop, the server, tables or ipaddress."""
    check = "print([m for m in ('asyncio', 'msgspec', 'rich', 'http.client', 'ipaddress') if m in sys.modules])"
    code = PYTHON_ALONE.format(["--help"]) + check
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    """`mooring ... | head` ends quietly."""
    script = f"{sys.executable} -m mooring --help | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_full_disk_is_one_line() -> None:
    """Output that cannot be written is exit code 1 and no traceback."""
    script = f"{sys.executable} -m mooring --help >/dev/full"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "mooring: input or output failed: No space left on device\n")
