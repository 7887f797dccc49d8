"""The configuration: order of sources, every problem at once, defaults that need no file."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from mooring import config
from mooring.config import Config, ConfigurationInvalid, load
from mooring.core.networks import HostOverlap

MACHINE = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def no_file_of_this_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file of the machine that runs the tests does not count."""
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "absent.toml")


def from_file(tmp_path: Path, text: str, *, env: dict[str, str] | None = None, **flags: str) -> Config:
    """Load with the text as the configuration file."""
    path = tmp_path / "mooring.toml"
    path.write_text(text)
    return load({"config": str(path), **flags}, env or {}, MACHINE)


def problems_of(tmp_path: Path, text: str, *, env: dict[str, str] | None = None, **flags: str) -> tuple[str, ...]:
    """What is wrong with the text."""
    with pytest.raises(ConfigurationInvalid) as caught:
        from_file(tmp_path, text, env=env, **flags)
    return caught.value.problems


def test_nothing_is_needed() -> None:
    """Without a file, variables or flags every setting has its documented default."""
    got = load({}, {}, MACHINE)
    assert got.file is None
    assert got.state_dir == Path("/var/lib/mooring")
    assert got.api_socket == Path("/run/mooring/api.sock")
    assert got.plugin_socket == Path("/run/docker/plugins/mooring.sock")
    assert (got.cooldown, got.host_overlap, got.deny) == (60.0, HostOverlap.REFUSE, ())
    assert got.api_socket_mode == 0o660
    assert [pool.name for pool in got.subnet_pools] == ["default-v4", "default-v6"]
    assert got.warnings == ()


def test_flags_win_over_environment_over_file_over_default(tmp_path: Path) -> None:
    """Each source wins over those before it, setting by setting."""
    text = 'log_level = "error"\ncooldown = 1\nrun_dir = "/file"\n'
    got = from_file(tmp_path, text, env={"MOORING_COOLDOWN": "2", "MOORING_RUN_DIR": "/env"}, run_dir="/flag")
    assert (got.log_level, got.cooldown, got.run_dir) == ("error", 2.0, Path("/flag"))


def test_the_file_may_be_named_by_variable(tmp_path: Path) -> None:
    """MOORING_CONFIG names the file, and a flag wins over it."""
    path = tmp_path / "a.toml"
    path.write_text("cooldown = 5")
    assert load({}, {"MOORING_CONFIG": str(path)}, MACHINE).cooldown == 5
    with pytest.raises(ConfigurationInvalid, match=r"other\.toml: does not exist"):
        load({"config": str(tmp_path / "other.toml")}, {"MOORING_CONFIG": str(path)}, MACHINE)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """Wrong values in file, environment and flags are all in the list, each with the place where it was set."""
    text = 'colldown = 5\nstate_dir = "relative"\ndeny = ["10.0.0.1/8"]\nlog_level = 3\n'
    found = problems_of(tmp_path, text, env={"MOORING_COOLDOWN": "soon"}, host_overlap="maybe")
    path = tmp_path / "mooring.toml"
    assert found == (
        f"{path}: state_dir: must be an absolute path, got 'relative'",
        f"{path}: log_level: must be debug, info, warning or error, got 3",
        "MOORING_COOLDOWN: must be a number of seconds, or a length of time such as 90s, 15m, 24h or 7d, got 'soon'",
        "--host-overlap: must be warn or refuse, got 'maybe'",
        f"{path}: deny: '10.0.0.1/8' has host bits set; did you mean 10.0.0.0/8?, got ['10.0.0.1/8']",
        f"{path}: colldown: is not a setting; did you mean cooldown?",
    )


def test_a_wrong_value_is_told_though_another_source_wins(tmp_path: Path) -> None:
    """An override does not hide what is wrong below it."""
    assert len(problems_of(tmp_path, "cooldown = -1", cooldown="5")) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cooldown = true", "must be a number of seconds"),
        ("cooldown = nan", "must be between 0 and 2592000 seconds"),
        ('api_socket_group = "no such group"', "must be the name of an existing group"),
        ('deny = "10.0.0.0/33"', "must be a subnet such as"),
        ("deny = [5]", "must be a subnet such as 10.0.0.0/8, in quotes"),
        ("api_socket_mode = 432", "must be a mode in octal and in quotes"),
        ('api_socket_mode = "0666"', "none to the world"),
        (f'plugin_socket = "/{"x" * 120}"', "at most 107 bytes"),
        (f'run_dir = "/{"x" * 100}"', "too long for the sockets in it"),
        ("cooldown = ", "is not TOML"),
        ('plugin_names = ["../ciao"]', "'../ciao' is not the name of a driver"),
        ('plugin_names = ["bridge"]', "'bridge' is a driver of Docker's own"),
        ("plugin_names = 5", "must be a list of names"),
        ("[subnet_pools]", r"must be written as \[\[subnet_pools\]\]"),
        ("[[subnet_pools]]", "name: must be a word"),
        ('[[subnet_pools]]\nname = "a"', "prefixes: must name at least one subnet"),
        ('[[subnet_pools]]\nname = "a"\nprefixes = ["10.0.0.0/8", "fd00::/48"]', "must be of one family"),
        ('[[subnet_pools]]\nname = "a"\nprefixes = ["10.0.0.0/8"]\nlength = 33', "a prefix length from 1 to 32"),
        ('[[subnet_pools]]\nname = "a"\nprefixes = ["10.0.0.0/8"]\nlength = 7', "a /7 does not fit into a /8"),
        ('[[subnet_pools]]\nname = "a"\nprefixes = ["10.0.0.0/8"]\nlength = 12\nmin_length = 16', "is not between"),
        ('[[subnet_pools]]\nname = "a"\nprefixes = ["10.0.0.0/8"]\nlenght = 24', "did you mean length"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """Each kind of mistake is one line that says what is wanted."""
    found = problems_of(tmp_path, text)
    assert len(found) == 1
    with pytest.raises(ConfigurationInvalid, match=words):
        from_file(tmp_path, text)


def test_subnet_pools_must_not_overlap_in_one_space(tmp_path: Path) -> None:
    """Two pools of one address space are told apart; in different ones they may overlap."""
    one = '[[subnet_pools]]\nname = "a"\nprefixes = ["10.0.0.0/8"]\n'
    two = '[[subnet_pools]]\nname = "{}"\nspace = "{}"\nprefixes = ["10.1.0.0/16"]\n'
    assert "10.1.0.0/16 overlaps 10.0.0.0/8 of a" in problems_of(tmp_path, one + two.format("b", "default"))[0]
    assert "name: is given twice" in problems_of(tmp_path, one + two.format("a", "other"))[0]
    assert [pool.name for pool in from_file(tmp_path, one + two.format("b", "other")).subnet_pools][:2] == ["a", "b"]


def test_a_bad_subnet_pool_is_still_in_the_way_of_others(tmp_path: Path) -> None:
    """What is wrong with one pool does not hide that another overlaps it, or has its name."""
    one = '[[subnet_pools]]\nname = "a"\nprefixes = ["10.0.0.0/8"]\nlength = 99\n'
    two = '[[subnet_pools]]\nname = "a"\nprefixes = ["10.1.0.0/16"]\ncolour = 1\n'
    found = [problem.partition("subnet_pools ")[2] for problem in problems_of(tmp_path, one + two)]
    assert found == [
        "a: length: must be a prefix length from 1 to 32, got 99",
        "a: colour: is not a setting; known are name, space, prefixes, length, min_length, max_length, "
        "default, position, note",
        "a: name: is given twice",
        "a: prefixes: 10.1.0.0/16 overlaps 10.0.0.0/8 of a",
    ]


def test_the_prefixes_of_one_pool_must_not_overlap(tmp_path: Path) -> None:
    """The same addresses are not named twice."""
    pool = '[[subnet_pools]]\nname = "a"\nprefixes = ["10.0.0.0/8", "10.1.0.0/16"]\n'
    assert "10.1.0.0/16 overlaps 10.0.0.0/8 of a" in problems_of(tmp_path, pool)[0]


def test_what_was_set_outside_of_the_file_is_known(tmp_path: Path) -> None:
    """Variables and flags that set something are named, also those that another source overrides."""
    got = from_file(tmp_path, "cooldown = 1", env={"MOORING_COOLDOWN": "2"}, cooldown="3", log_level="debug")
    assert got.overrides == ("--log-level", "MOORING_COOLDOWN", "--cooldown")
    assert load({}, {}, MACHINE).overrides == ()


def test_a_named_subnet_pool_replaces_the_default_of_its_family(tmp_path: Path) -> None:
    """Who names a pool for IPv4 keeps the default one for IPv6, and pools of other spaces replace nothing."""
    pool = '[[subnet_pools]]\nname = "lab"\nprefixes = ["192.168.0.0/16"]\nlength = 26\nmin_length = 20\n'
    got = from_file(tmp_path, pool)
    assert [one.name for one in got.subnet_pools] == ["lab", "default-v6"]
    assert (got.subnet_pools[0].length, got.subnet_pools[0].shortest) == (26, 20)
    other = from_file(tmp_path, pool + 'space = "tenant"\n')
    assert [one.name for one in other.subnet_pools] == ["lab", "default-v4", "default-v6"]


def test_a_declared_subnet_pool_may_be_used_by_name_only(tmp_path: Path) -> None:
    """It stands in for nothing: the default one of the family stays, without what the other one has of it."""
    pool = '[[subnet_pools]]\nname = "lab"\nprefixes = ["10.33.0.0/16"]\ndefault = false\nnote = " tests "\n'
    lab, six, four = sorted(from_file(tmp_path, pool).subnet_pools, key=lambda one: one.name != "lab")
    assert (lab.position, lab.note, lab.declared) == (None, "tests", True)
    four, six = sorted((four, six), key=lambda one: one.version)
    assert (four.name, len(four.prefixes), str(four.prefixes[0])) == ("default-v4", 4, "10.32.0.0/16")
    assert ip_network("10.33.0.0/16") not in four.prefixes
    whole = from_file(tmp_path, pool.replace("10.33.0.0/16", "10.0.0.0/8"))
    assert [one.name for one in whole.subnet_pools] == ["lab", "default-v6"]
    named = from_file(tmp_path, pool.replace("10.33.0.0/16", "10.99.0.0/16").replace("lab", "default-v4"))
    assert [one.name for one in named.subnet_pools] == ["default-v4", "default-v6"]
    assert from_file(tmp_path, pool.replace("default = false", "position = 7")).subnet_pools[0].position == 7


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('default = "no"', "default: must be true or false"),
        ("position = 0", "position: must be a number from 1 to 9999"),
        ("position = true", "position: must be a number from 1 to 9999"),
        ("default = false\nposition = 5", "position: has no meaning with default = false"),
        ('note = "a\\nb"', "note: must be one line"),
        ("note = 5", "note: must be one line"),
    ],
)
def test_a_turn_or_a_note_that_cannot_be_is_told(tmp_path: Path, line: str, text: str) -> None:
    """In one line."""
    (problem,) = problems_of(tmp_path, f'[[subnet_pools]]\nname = "a"\nprefixes = ["10.0.0.0/8"]\n{line}\n')
    assert text in problem


def test_a_small_prefix_is_carved_as_it_is(tmp_path: Path) -> None:
    """Without a length, a prefix smaller than the usual one gives one subnet: itself."""
    got = from_file(tmp_path, '[[subnet_pools]]\nname = "lab"\nprefixes = ["192.168.7.128/25"]\n')
    assert got.subnet_pools[0].length == 25


def test_odd_things_are_warned_of(tmp_path: Path) -> None:
    """A misspelt variable and a subnet pool that is denied are told, and do not stop the start."""
    got = from_file(
        tmp_path, 'deny = ["10.0.0.0/8"]', env={"MOORING_COLDOWN": "5", "MOORING_LOOP": "asyncio", "MOORING_LOPO": ""}
    )
    assert got.deny == (ip_network("10.0.0.0/8"),)
    assert got.warnings == (
        "unknown environment variable MOORING_COLDOWN; did you mean MOORING_COOLDOWN?",
        "unknown environment variable MOORING_LOPO; did you mean MOORING_LOOP?",
        "subnet pool default-v4: the deny list covers 10.32.0.0/12, nothing is carved from it",
    )


def test_every_setting_is_in_the_documentation() -> None:
    """docs/configuration.md names every key, and its example is a good configuration."""
    page = (Path(__file__).resolve().parents[1] / "docs/configuration.md").read_text()
    assert [key for key in (*config.KEYS, *config.POOL_KEYS, *config.PROXY_KEYS) if f"`{key}`" not in page] == []


def test_the_documented_example_is_a_good_configuration(tmp_path: Path) -> None:
    """What a reader copies works: the listeners, and the whole."""
    page = (Path(__file__).resolve().parents[1] / "docs/configuration.md").read_text()
    proxies, example = (part.split("```")[0] for part in page.split("```toml\n")[1:])
    assert [one.rules.everything for one in from_file(tmp_path, proxies).proxies] == [True, False, False, False]
    assert [pool.name for pool in from_file(tmp_path, example).subnet_pools][:2] == ["apps", "apps-v6"]
