"""`mooring completion`."""

from __future__ import annotations

import pytest

from mooring.cli.root import run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It calls the command back with click's variable."""
    assert run(["completion", shell]) == 0
    assert f"_MOORING_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_an_unknown_shell_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The known ones are named."""
    assert run(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err
