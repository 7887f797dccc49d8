"""The engine's configuration file: our server put into it and taken out again."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mooring.adapters.docker import engine_dns_file
from mooring.adapters.docker.engine_dns_file import (
    KEPT,
    NOTE,
    EngineDnsFile,
    EngineUse,
    Note,
    engine_flags,
    flag_values,
)
from mooring.core.faults import BadRequest, Conflict, Fault, Unavailable

OURS, HOSTS = "169.254.53.53", ["192.0.2.1", "192.0.2.2"]


class Rig:
    """A file and Mooring's folder."""

    def __init__(self, folder: Path) -> None:
        self.path, self.state = folder / "daemon.json", folder / "state"

    @property
    def file(self) -> EngineDnsFile:
        """As a command sees it."""
        return EngineDnsFile(self.path, self.state)

    def write(self, text: str) -> None:
        """Somebody did."""
        self.path.write_bytes(text.encode())

    def install(self) -> None:
        """`mooring dns install`."""
        self.file.installed(HOSTS).carry_out()

    def uninstall(self, force: bool = False) -> None:
        """`mooring dns uninstall`."""
        self.file.removed(force).carry_out()

    def left(self) -> set[str]:
        """Every file that is there."""
        return {path.name for folder in (self.path.parent, self.state) if folder.is_dir() for path in folder.iterdir()}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Nothing is there."""
    return Rig(tmp_path)


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        (None, [OURS, *HOSTS]),
        ("", [OURS, *HOSTS]),
        ('{"debug":true}\n', [OURS, *HOSTS]),
        ('{"dns": []}', [OURS, *HOSTS]),
        ('{"dns": ["127.0.0.53"]}', [OURS, *HOSTS]),
        ('{"dns": ["127.0.0.53", "10.0.0.2"]}', [OURS, "10.0.0.2"]),
        ('{\n\t"dns" : [ "10.0.0.2" ],\n\t"mtu": 1400 }\n\n', [OURS, "10.0.0.2"]),
        ('{\r\n  "debug": true\r\n}\r\n', [OURS, *HOSTS]),
        ('{\r\n  "dns": ["10.0.0.2"]\r\n}\r\n', [OURS, "10.0.0.2"]),
    ],
)
def test_the_file_is_afterwards_what_it_was_before(rig: Rig, text: str | None, servers: list[str]) -> None:
    """Letter for letter; and nothing of ours is left. A second install or uninstall does nothing."""
    if text is not None:
        rig.write(text)
    before = rig.left()
    rig.install()
    assert text is None or rig.path.with_name(rig.path.name + KEPT).read_bytes() == text.encode()
    assert json.loads(rig.path.read_text())["dns"] == servers
    assert rig.file.names_our_server()
    assert not rig.file.installed(HOSTS).changes
    rig.uninstall()
    assert (rig.path.read_bytes() if rig.path.exists() else None) == (text.encode() if text is not None else None)
    assert rig.left() - {"state"} == before
    assert not rig.file.removed().changes


def test_what_else_changed_meanwhile_stays(rig: Rig) -> None:
    """And the old value comes back as it was written."""
    rig.write('{"dns": ["10.0.0.2" ]}')
    rig.install()
    rig.write(rig.path.read_text().replace("{", '{"debug": true, '))
    rig.uninstall()
    assert rig.path.read_text() == '{"debug": true, "dns": ["10.0.0.2" ]}'


def test_a_value_that_somebody_changed_is_his(rig: Rig) -> None:
    """It is refused in one line, and with force our server alone is taken out. One who took it out himself is asked
    nothing."""
    rig.write("{}")
    rig.install()
    rig.write(f'{{"dns": ["{OURS}", "10.0.0.9"]}}')
    with pytest.raises(Conflict, match=r"was changed since .* \[\"169.254.53.53\", \"10.0.0.9\"\]"):
        rig.file.removed()
    rig.uninstall(force=True)
    assert json.loads(rig.path.read_text()) == {"dns": ["10.0.0.9"]}
    rig.install()
    rig.write("{}")
    rig.uninstall()
    assert (rig.path.read_text(), NOTE in rig.left()) == ("{}", False)


def test_without_a_note_our_server_alone_is_taken_out(rig: Rig) -> None:
    """Somebody else's program put it there, or Mooring's folder is gone."""
    rig.write(f'{{"dns": ["{OURS}"], "debug": true}}')
    rig.uninstall()
    assert json.loads(rig.path.read_text()) == {"debug": True}


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (f'{{"dns": ["{OURS}"], "debug": true}}', {"debug": True}),
        (f'{{"dns": ["10.0.0.2", "{OURS}", "10.0.0.2"]}}', {"dns": ["10.0.0.2"]}),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_was_ours_before_an_install_is_not_put_back(
    rig: Rig, text: str, after: dict[str, object], force: bool
) -> None:
    """Another program has written it: whoever uninstalls has nobody to be asked there."""
    rig.write(text)
    rig.install()
    rig.uninstall(force)
    assert json.loads(rig.path.read_text()) == after
    # A note of an earlier version has ours in it.
    rig.install()
    note = Note.read(rig.state)
    assert note is not None
    replace(note, before=f'["{OURS}"]').write(rig.state)
    rig.uninstall(force)
    assert json.loads(rig.path.read_text()) == {key: value for key, value in after.items() if key != "dns"}


def test_an_install_after_another_knows_what_was_there_before_both(rig: Rig) -> None:
    """Somebody has reordered the value, or left our server alone in it. What he has added besides is his."""
    rig.write("{ }")
    rig.install()
    installed = rig.path.read_text()
    rig.write(installed.replace(f'"{OURS}", "192.0.2.1", "192.0.2.2"', f'"192.0.2.1", "{OURS}", "192.0.2.2"'))
    rig.install()
    assert rig.path.read_text() == installed
    rig.uninstall()
    assert (rig.path.read_text(), rig.left()) == ("{ }", {"daemon.json", "state"})
    rig.install()
    rig.write(f'{{"dns": ["10.0.0.9", "{OURS}"]}}')
    rig.install()
    rig.uninstall()
    assert rig.path.read_text() == '{"dns": ["10.0.0.9"]}'
    rig.install()
    rig.write(f'{{"dns": ["{OURS}"]}}')
    rig.install()
    assert json.loads(rig.path.read_text()) == {"dns": [OURS, *HOSTS]}
    rig.uninstall()
    assert rig.path.read_text() == '{"dns": ["10.0.0.9"]}'


@pytest.mark.parametrize("text", ["{}", f'{{"dns": ["{OURS}"]}}'])
def test_the_note_of_another_file_stays(rig: Rig, text: str) -> None:
    """An uninstall of this one forgets nothing of that one."""
    rig.write('{"dns": ["10.0.0.2" ]}')
    rig.install()
    other = rig.path.with_name("other.json")
    other.write_text(text)
    EngineDnsFile(other, rig.state).removed().carry_out()
    assert json.loads(other.read_text()) == {}
    rig.uninstall()
    assert rig.path.read_text() == '{"dns": ["10.0.0.2" ]}'


def test_an_install_that_fails_leaves_the_note_of_the_one_before(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the only place that knows what was there."""
    rig.install()
    earlier = Note.read(rig.state)
    rig.write(f'{{"dns": ["10.0.0.9", "{OURS}"]}}')
    change = rig.file.installed(HOSTS)
    real = engine_dns_file.replace_like

    def full(path: Path, text: str, like: Path | None = None) -> None:
        if path == rig.path:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, text, like)

    monkeypatch.setattr(engine_dns_file, "replace_like", full)
    with pytest.raises(Unavailable, match="No space left"):
        change.carry_out()
    assert Note.read(rig.state) == earlier


def test_owner_mode_and_links_stay(rig: Rig, tmp_path: Path) -> None:
    """A link is followed, and stays one."""
    target = tmp_path / "managed" / "docker.json"
    target.parent.mkdir()
    target.write_text("{}")
    target.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(target, 12, 34)
    facts = target.stat()
    rig.path.symlink_to(target)
    rig.install()
    assert rig.path.is_symlink()
    now = target.stat()
    assert (now.st_mode, now.st_uid, now.st_gid) == (facts.st_mode, facts.st_uid, facts.st_gid)
    kept = target.with_name(target.name + KEPT)
    assert (kept.read_text(), kept.stat().st_mode) == ("{}", facts.st_mode)


def test_a_change_is_shown_before_it_is_made(rig: Rig) -> None:
    """As a diff; nothing is written. One that somebody else makes first is not overwritten."""
    rig.write('{"dns": ["10.0.0.2", "10.0.0.3", "10.0.0.4"]}')
    change = rig.file.installed(HOSTS)
    assert change.diff()[-2:] == [
        '-{"dns": ["10.0.0.2", "10.0.0.3", "10.0.0.4"]}',
        f'+{{"dns": ["{OURS}", "10.0.0.2", "10.0.0.3", "10.0.0.4"]}}',
    ]
    assert "no longer 10.0.0.4" in change.remark
    assert rig.left() == {"daemon.json"}
    rig.write("{}")
    with pytest.raises(Conflict, match="changed just now"):
        change.carry_out()
    assert rig.left() == {"daemon.json"}


@pytest.mark.parametrize(
    ("text", "fault", "said"),
    [
        ("{,", BadRequest, r"daemon.json: it is not JSON"),
        ('{"dns": "10.0.0.2"}', BadRequest, "no list of addresses"),
        ("\udcff", Unavailable, "it is not UTF-8"),
        (f'{{"dns": ["{OURS}"]}}', Conflict, "no nameserver that a container reaches"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_nothing_changes(
    rig: Rig, text: str, fault: type[Fault], said: str
) -> None:
    """It names the file."""
    rig.path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(fault, match=said):
        rig.file.installed([])
    assert rig.left() == {"daemon.json"}


def test_a_folder_that_is_not_there_leaves_no_note(rig: Rig) -> None:
    """What could not be written was not done."""
    file = EngineDnsFile(rig.path.parent / "absent" / "daemon.json", rig.state)
    with pytest.raises(Unavailable, match=r"cannot write .*daemon.json: No such file"):
        file.installed(HOSTS).carry_out()
    assert Note.read(rig.state) is None


def test_one_file_at_a_time_and_a_note_that_cannot_be_read_is_told(rig: Rig) -> None:
    """The note leads to the file later on."""
    rig.install()
    assert EngineDnsFile.noted(rig.state).path == rig.path
    with pytest.raises(Conflict, match="names the host's DNS server already"):
        EngineDnsFile(rig.path.parent / "other.json", rig.state).installed(HOSTS)
    (rig.state / NOTE).write_text("{")
    with pytest.raises(Unavailable, match="cannot be read"):
        rig.file.removed()


def test_the_engine_uses_the_server_until_the_next_boot(rig: Rig) -> None:
    """Containers that run go on to ask it after the file was changed back."""
    use = EngineUse(rig.state, rig.path.parent / "mark")
    assert (use.now(), use.since_boot()) == (False, False)
    rig.install()
    assert (use.now(), use.since_boot()) == (True, True)
    assert use.reason() == "Docker's own setting"
    rig.uninstall()
    assert (use.now(), use.since_boot()) == (False, True)
    assert use.reason().startswith("containers that may have been started")


def test_the_engines_file_is_read_when_it_is_another(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon looks often: written anew, replaced, gone, damaged or behind another link it is seen at once."""
    reads = list[Path]()
    real = EngineDnsFile.names_our_server

    def names_our_server(file: EngineDnsFile) -> bool:
        reads.append(file.path)
        return real(file)

    monkeypatch.setattr(EngineDnsFile, "names_our_server", names_our_server)
    link = rig.path.with_name("link.json")
    use = EngineUse(rig.state, rig.path.with_name("mark"), link)
    for text, says in (("{}", False), (f'{{"dns": ["{OURS}"]}}', True), ("{,", False), (f'["{OURS}"]', False)):
        rig.write(text)
        link.unlink(missing_ok=True)
        link.symlink_to(rig.path)
        assert [use.now() for _ in range(3)] == [says] * 3
    other = rig.path.with_name("other.json")
    other.write_text(f'{{"dns": ["{OURS}"]}}')
    link.unlink()
    link.symlink_to(other)
    assert use.now()
    link.unlink()
    assert [use.now() for _ in range(3)] == [False] * 3
    assert len(reads) == 6
    # With a note it is that file, whichever it is, and the note's end is seen, too.
    rig.write("{}")
    rig.install()
    assert [use.now() for _ in range(3)] == [True] * 3
    rig.write("{}")
    assert not use.now()
    rig.install()
    assert use.now()
    rig.uninstall()
    assert not use.now()


def test_the_flags_of_engines_that_run_are_read(tmp_path: Path) -> None:
    """Of those alone that are called so; both ways to write one."""
    for pid, comm, line in (
        ("7", "dockerd\n", "dockerd\0--dns\0" "1.1.1.1\0--dns=8.8.8.8\0--config-file=/etc/d.json\0"),
        ("8", "bash\n", "bash\0--dns\0" "9.9.9.9\0"),
    ):  # fmt: skip
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "comm").write_text(comm)
        (tmp_path / pid / "cmdline").write_text(line)
    (flags,) = engine_flags(tmp_path)
    assert sorted(flag_values(flags, "dns")) == ["1.1.1.1", "8.8.8.8"]
    assert flag_values(flags, "config-file") == ["/etc/d.json"]
