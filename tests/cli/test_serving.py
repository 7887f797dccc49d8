"""`mooring serve`: its flags and the configuration's check. What it serves is tested in tests/test_daemon.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring import config
from mooring.cli.root import run
from mooring.cli.serving import serve


@pytest.fixture(autouse=True)
def no_file_of_this_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file of the machine that runs the tests does not count."""
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "absent.toml")


def test_every_setting_has_a_flag_and_every_flag_a_setting() -> None:
    """The flags are written down for a quick --help; this holds them to the settings, with their defaults."""
    flags = {option.opts[0]: option for option in serve.params}
    assert set(flags) == {setting.flag for setting in config.SETTINGS} | {"--config", "--check"}
    for setting in config.SETTINGS:
        if setting.default and setting.default != []:
            assert f"[{setting.default}]" in str(getattr(flags[setting.flag], "help", ""))


def test_check_says_that_a_configuration_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started."""
    assert run(["serve", "--check"]) == 0
    assert capsys.readouterr().out == "configuration OK (no file, all defaults)\n"


def test_check_says_what_was_set_and_what_is_odd(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting from the environment or a flag is no default, and a warning is not kept for the daemon's log."""
    monkeypatch.setenv("MOORING_COOLDOWN", "5")
    monkeypatch.setenv("MOORING_LOG_LEVLE", "debug")
    assert run(["serve", "--deny", "10.9.0.0/16", "--check"]) == 0
    out, err = capsys.readouterr()
    assert out == "configuration OK (no file, MOORING_COOLDOWN, --deny)\n"
    assert err == "mooring: warning: unknown environment variable MOORING_LOG_LEVLE; did you mean MOORING_LOG_LEVEL?\n"


def test_check_fails_where_nft_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon could not work there: one line that says what to install."""
    monkeypatch.setattr("mooring.adapters.nft.nft_command.shutil.which", lambda *_, **__: None)
    assert run(["serve", "--check"]) == 6
    assert "apt-get install nftables" in capsys.readouterr().err


def test_every_problem_is_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, as for any wrong usage."""
    path = tmp_path / "mooring.toml"
    path.write_text('state-dir = "/x"\ncooldown = "soon"\n')
    assert run(["serve", "--config", str(path), "--log-level", "loud", "--check"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "mooring: --log-level: must be debug, info, warning or error, got 'loud'",
        f"mooring: {path}: cooldown: must be a number of seconds, or a length of time such as 90s, 15m, 24h or 7d, "
        "got 'soon'",
        f"mooring: {path}: state-dir: is not a setting; did you mean state_dir?",
    ]


def test_the_run_dir_may_be_given_before_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`mooring --run-dir X serve` means the same X."""
    assert run(["--run-dir", "relative", "serve", "--check"]) == 2
    assert capsys.readouterr().err == "mooring: --run-dir: must be an absolute path, got 'relative'\n"
