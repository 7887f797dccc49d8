"""Where the proxy listens: what a table says, what is refused, and what holds without any."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring import config
from mooring.config import Config, ConfigurationInvalid, load
from mooring.config.proxies import ProxyListener, TlsFiles
from mooring.core.leases import ClaimPolicy
from mooring.servers.proxy.access import AccessRules, Rule

UNIX = '[[proxy]]\nlisten = "unix:///run/p.sock"\n'
TCP = '[[proxy]]\nlisten = "tcp://127.0.0.1:2375"\n'


@pytest.fixture(autouse=True)
def no_file_of_this_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file of the machine that runs the tests does not count."""
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "absent.toml")


def from_file(folder: Path, text: str, **flags: str) -> Config:
    """Load with the text as the configuration file."""
    path = folder / "mooring.toml"
    path.write_text(text)
    return load({"config": str(path), **flags}, {}, "machine")


def problems_of(folder: Path, text: str, **flags: str) -> list[str]:
    """What is wrong with the text, without the file's name."""
    with pytest.raises(ConfigurationInvalid) as caught:
        from_file(folder, text, **flags)
    return [problem.removeprefix(f"{folder}/mooring.toml: ") for problem in caught.value.problems]


def tls_files(folder: Path) -> str:
    """Three files that are there, as keys."""
    for name in ("cert", "key", "ca"):
        (folder / name).write_text("")
    return "".join(f'tls_{name} = "{folder}/{name}"\n' for name in ("cert", "key", "ca"))


def test_without_a_table_there_is_one_listener(tmp_path: Path) -> None:
    """In the run directory, for root and the API's group; everything passes, nothing is noted."""
    expected = ProxyListener("unix:///r/docker.sock", Path("/r/docker.sock"), mode=0o660, group="root")
    got = from_file(tmp_path, "", run_dir="/r", api_socket_group="root")
    assert got.proxies == (expected,)
    assert got.proxies[0].rules.everything
    assert (got.hold_time, got.claim_policy) == (86400.0, ClaimPolicy.EXPLICIT)


def test_every_key_has_its_meaning(tmp_path: Path) -> None:
    """A unix listener, and one with TLS on a port; in the order of the file, in place of the default one."""
    unix = 'mode = "0600"\nowner = "root"\ngroup = 4321\nread_only = true\nallow = ["GET containers"]\n'
    unix += f'deny = ["* exec", "DELETE *"]\naudit = "{tmp_path}/audit.jsonl"\n'
    tcp = '[[proxy]]\nlisten = "tcp://[::]:2376"\n' + tls_files(tmp_path)
    assert from_file(tmp_path, UNIX + unix + tcp).proxies == (
        ProxyListener(
            "unix:///run/p.sock",
            Path("/run/p.sock"),
            mode=0o600,
            owner="root",
            group="4321",
            rules=AccessRules(
                True, (Rule("GET", ("containers",)),), (Rule("*", ("exec",)), Rule("DELETE", ("*",)))
            ),
            audit=tmp_path / "audit.jsonl",
        ),
        ProxyListener(
            "tcp://[::]:2376",
            host="::",
            port=2376,
            tls=TlsFiles(*(tmp_path / name for name in ("cert", "key", "ca"))),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:2375", "tcp://[::1]:2375", "tcp://127.9.9.9:1/"])
def test_the_loopback_may_do_without_tls_when_it_is_asked_for(tmp_path: Path, listen: str) -> None:
    """By name, so that nobody has it by accident."""
    text = f'[[proxy]]\nlisten = "{listen}"\n'
    assert "insecure_loopback = true" in problems_of(tmp_path, text)[0]
    assert from_file(tmp_path, text + "insecure_loopback = true\n").proxies[0].name == listen.rstrip("/")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[proxy]]", "proxy 1: listen: must be for example"),
        ("[[proxy]]\nlisten = 5", "proxy 5: listen: must be for example"),
        ('[[proxy]]\nlisten = "/run/p.sock"', "listen: must be for example"),
        ('[[proxy]]\nlisten = "unix://run/p.sock"', "listen: must be for example"),
        (f'[[proxy]]\nlisten = "unix:///{"x" * 120}"', "at most 107 bytes"),
        ('[[proxy]]\nlisten = "tcp://localhost:2375"', "must name an address"),
        ('[[proxy]]\nlisten = "tcp://127.0.0.1"', "listen: must be for example"),
        ('[[proxy]]\nlisten = "tcp://:2375"', "listen: must be for example"),
        ('[[proxy]]\nlisten = "tcp://127.0.0.1:0"', "a port from 1 to 65535"),
        ('[[proxy]]\nlisten = "tcp://127.0.0.1:65536"', "a port from 1 to 65535"),
        ('[[proxy]]\nlisten = "tcp://10.0.0.1:2375"\ninsecure_loopback = true', "off the loopback needs tls_cert"),
        ('[[proxy]]\nlisten = "tcp://0.0.0.0:2375"\ninsecure_loopback = true', "off the loopback needs tls_cert"),
        ('[[proxy]]\nlisten = "tcp://[::ffff:7f00:1]:2375"\ninsecure_loopback = true', "write 127.0.0.1"),
        (UNIX + "grup = 0", "proxy unix:///run/p.sock: grup: is not a setting; did you mean group?"),
        (UNIX + 'mode = "0666"', "none to the world"),
        (UNIX + 'owner = "no such user"', "owner: must be a number, or the name of an existing user"),
        (UNIX + 'group = "no such group"', "group: must be a number, or the name of an existing group"),
        (UNIX + 'read_only = "yes"', "read_only: must be true or false"),
        (UNIX + 'allow = "GET containers"', "allow: must be a list of rules"),
        (UNIX + "deny = [1]", "deny: must be a list of rules"),
        (UNIX + 'allow = ["GET container"]', "allow: 'GET container' names no section of Docker's API; did you mean"),
        (UNIX + 'deny = ["POST containers/db/kill"]', "deny: 'POST containers/db/kill' protects nothing"),
        (UNIX + 'tls_crl = "/etc/passwd"', "tls_crl: is for tcp only"),
        (UNIX + 'deny = ["GET"]', "deny: 'GET' must be a method or"),
        (UNIX + 'audit = "audit"', "audit: must be an absolute path"),
        (UNIX + 'audit = "/no/such/folder/audit"', "audit: must be in an existing directory"),
        (UNIX + 'audit = "/tmp"', "audit: must be in an existing directory"),
        (UNIX + "insecure_loopback = true", "insecure_loopback: is for tcp only"),
        (TCP + 'insecure_loopback = true\nmode = "0600"', "mode: is for unix sockets only"),
        ('[[proxy]]\nlisten = "unix:///run/mooring/api.sock"', "is the API socket"),
        ('[[proxy]]\nlisten = "unix:///run/docker/../docker/plugins/mooring.sock"', "is plugin_socket"),
        ('docker_socket = "/a/b"\n[[proxy]]\nlisten = "unix:///a//./b"', "/a/b is docker_socket"),
        (UNIX + UNIX, "is the socket of another"),
        (TCP + "insecure_loopback = true\n" + TCP + "insecure_loopback = true", "is the address of another"),
        ('docker_socket = "/r/docker.sock"\nrun_dir = "/r"', "run_dir: listen: /r/docker.sock is docker_socket"),
        ("proxy = true", "proxy: must be on or off"),
        ("proxy = []", "proxy: must be on or off"),
        ("proxy = [1]", "proxy: must be on or off, or be written as"),
        ("[proxy]", "proxy: must be on or off"),
        ("hold_time = 31622401", "hold_time: must be between 0 and 31622400 seconds"),
        ('claim_policy = "nobody"', "claim_policy: must be explicit or holders"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    """Each with what is wanted instead."""
    found = problems_of(tmp_path, text)
    assert len(found) == 1
    assert words in found[0]


def test_a_link_to_the_engines_socket_is_seen_through(tmp_path: Path) -> None:
    """In both directions, and between listeners."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for mine, theirs in (("link", "real"), ("real", "link")):
        text = f'docker_socket = "{tmp_path}/{theirs}/d.sock"\n[[proxy]]\nlisten = "unix://{tmp_path}/{mine}/d.sock"\n'
        assert "d.sock is docker_socket" in problems_of(tmp_path, text)[0]
    both = "".join(f'[[proxy]]\nlisten = "unix://{tmp_path}/{name}/p.sock"\n' for name in ("real", "link"))
    assert "another [[proxy]]" in problems_of(tmp_path, both)[0]


def test_tls_needs_all_of_its_files(tmp_path: Path) -> None:
    """What is missing is named, and what is not there; the flag of plain tcp has no place beside it."""
    text = '[[proxy]]\nlisten = "tcp://10.0.0.1:2376"\n'
    found = problems_of(tmp_path, text + f'tls_key = "{tmp_path}/absent"\n')
    label = "proxy tcp://10.0.0.1:2376"
    assert found == [
        f"{label}: tls_cert: is needed beside tls_key",
        f"{label}: tls_ca: is needed beside tls_key",
        f"{label}: tls_key: must be an existing file, got '{tmp_path}/absent'",
    ]
    both = text + tls_files(tmp_path) + "insecure_loopback = true\n"
    assert "insecure_loopback: is for tcp without TLS" in problems_of(tmp_path, both)[0]


def test_every_problem_of_every_table_is_told(tmp_path: Path) -> None:
    """One wrong table does not hide the next, nor a wrong run_dir the tables."""
    text = 'run_dir = "x"\n' + UNIX + "deny = 1\nallow = 2\n" + UNIX + "odd = 1\n" + TCP
    wanted = [
        "run_dir: must be",
        "deny: must be",
        "allow: must be",
        "odd: is not",
        "listen: /run/p.sock is",
        "tcp without",
    ]
    found = problems_of(tmp_path, text)
    assert [words for words in wanted if not any(words in problem for problem in found)] == []
    assert len(found) == len(wanted)


def test_off_is_off_whatever_is_written(tmp_path: Path) -> None:
    """By the file's word or a flag; the tables are checked all the same."""
    assert from_file(tmp_path, 'proxy = "off"').proxies == ()
    assert from_file(tmp_path, UNIX, proxy="off").proxies == ()
    assert len(from_file(tmp_path, UNIX, proxy="on").proxies) == 1
    assert problems_of(tmp_path, UNIX + "odd = 1", proxy="off")


def test_a_host_without_the_group_docker_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no reason not to start."""

    def find(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr("grp.getgrnam", find)
    got = from_file(tmp_path, UNIX + 'group = "docker"\n')
    assert got.proxies[0].group == ""
    assert "this host has no group docker" in got.warnings[0]


def test_hold_time_and_claim_policy_are_read(tmp_path: Path) -> None:
    """From the file, and from flags."""
    got = from_file(tmp_path, "hold_time = 0\n", claim_policy="HOLDERS")
    assert (got.hold_time, got.claim_policy) == (0.0, ClaimPolicy.HOLDERS)
