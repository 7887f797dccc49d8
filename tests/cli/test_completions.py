"""`mooring completion`."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from mooring.cli.completions import script
from mooring.cli.root import cli, run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It calls the command back with click's variable."""
    assert run(["completion", shell]) == 0
    assert f"_MOORING_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_an_unknown_shell_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The known ones are named."""
    assert run(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words", "answer", "replies"),
    [
        ("mooring expl", "mooring\nexpl", "plain,explain", ["explain"]),
        ("mooring explain ", "mooring\nexplain\n", "plain,db", ["db"]),
        ("mooring explain fd00:32::", "mooring\nexplain\nfd00:32::", "plain,fd00:32::2", ["2"]),
        ("mooring explain key:d", "mooring\nexplain\nkey:d", "plain,key:db", ["db"]),
        ("mooring lease ls --network=w", "mooring\nlease\nls\n--network=w", "plain,web", ["web"]),
        ("mooring lease ls -f st", "mooring\nlease\nls\n-f\nst", "plain,state=", ["state="]),
        ("mooring explain 10.32.0.2 and more", "mooring\nexplain\n10.3", "plain,10.32.0.2", ["10.32.0.2"]),
    ],
)
def test_bash_takes_an_ipv6_address_for_one_word(
    tmp_path: Path, line: str, words: str, answer: str, replies: list[str]
) -> None:
    """Bash breaks words at colons, and puts what it is told behind the last one. The line counts to the cursor."""
    fake = tmp_path / "mooring"
    fake.write_text(f'#!/bin/sh\nprintf %s "$COMP_WORDS" > {tmp_path}/words\necho "{answer}"\n')
    fake.chmod(0o755)
    script_path = tmp_path / "completion"
    script_path.write_text(script(cli, "bash"))
    point = line.index(".0.2 and") - 1 if " and more" in line else len(line)
    call = f"COMP_LINE={shlex.quote(line)} COMP_POINT={point} _mooring_completion {fake}"
    body = f"compopt() {{ :; }}; source {script_path}; {call}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", body], capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines(), done.stderr) == (replies, "")
    assert (tmp_path / "words").read_text() == words
