"""Setting Mooring up on a host with systemd, in steps that may be taken again.

Rules: what is right already stays as it is, so that a second run changes nothing; what somebody else made is not
overwritten (a configuration, a group, a masked unit); what was made is noted, so that it can be undone, and what was
changed since stays; nothing is started before the configuration was found good.
"""

from __future__ import annotations

import grp
import json
import os
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path

from mooring.adapters.host.listeners import InstanceLock
from mooring.adapters.nft.nft_command import nft
from mooring.core.faults import Conflict, Unavailable
from mooring.removal import ENABLED, UNITS, remove_file, systemctl

UNIT_FOLDER = Path("etc/systemd/system")
CONFIGURATION = Path("etc/mooring/mooring.toml")
MANUAL = Path("usr/share/man/man1/mooring.1")
COMPLETIONS = {
    "bash": Path("usr/share/bash-completion/completions/mooring"),
    "zsh": Path("usr/share/zsh/vendor-completions/_mooring"),
    "fish": Path("usr/share/fish/vendor_completions.d/mooring.fish"),
}
# The group of each socket: who may use the engine may use the proxy; who asks Mooring need not be able to do that.
GROUPS = {"mooring-proxy.socket": "docker", "mooring-api.socket": "mooring"}
# What the units name; another program is named by a drop-in.
PROGRAM = Path("/usr/bin/mooring")
DROP_IN = "setup.conf"


@dataclass(frozen=True, slots=True)
class Target:
    """The host. program: the absolute path of the command. proxied: the proxy is to be served. root: "/", or a test's.

    state: the folder of the store, where it is noted what was made. run_dir: where the daemon has its lock.
    """

    program: Path
    state: Path
    run_dir: Path
    proxied: bool = True
    root: Path = Path("/")


@dataclass(frozen=True, slots=True)
class Step:
    """what: in words. outcome: what is done, "" when it is as it should be already. carry_out: does it.

    was: what is said when there is nothing to do.
    """

    what: str
    outcome: str
    carry_out: Callable[[], None] = lambda: None
    was: str = "unchanged"


@dataclass(slots=True)
class Made:
    """What setups have made on this host. files: path -> digest of what was written. folders: that were not there,
    outer ones first. groups: their names."""

    path: Path
    files: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, state: Path) -> Made:
        """The note, an empty one where there is none. Raises Unavailable for one that cannot be read."""
        path = state / "setup.json"
        try:
            found = json.loads(path.read_text())
            return cls(path, dict(found["files"]), list(found["folders"]), list(found["groups"]))
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"{path} cannot be read: {error}", hint="correct it by hand, or remove it") from error

    def write(self) -> None:
        """The note is on the disk, whole; none when there is nothing to note."""
        if not (self.files or self.groups):
            remove_file(self.path)
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        note = {"version": 1, "files": self.files, "folders": self.folders, "groups": self.groups}
        replace(self.path, json.dumps(note, indent=1).encode())

    def is_ours(self, path: Path) -> bool:
        """Whether the file has what a setup wrote."""
        digest = self.files.get(str(path))
        with suppress(OSError):
            return digest is not None and _digest(path.read_bytes()) == digest
        return False


def shipped(name: str) -> bytes:
    """A file that comes with the program, as `systemd/mooring.service`: installed with it, or beside the sources."""
    here = Path(__file__).resolve().parent
    for folder in (here / "shipped", here.parents[1] / "packaging"):
        with suppress(OSError):
            return (folder / name).read_bytes()
    raise Unavailable(f"{name} does not come with this installation", hint="reinstall the package")


# -- setting up --------------------------------------------------------------------------------------------------------


def steps(target: Target, made: Made, files: Mapping[Path, bytes], completions: Mapping[str, bytes]) -> Iterator[Step]:
    """What is to be done, in order; each is looked at when its turn comes.

    files: below the root, for a host that has none there. completions: by shell. Raises Unavailable or Conflict for a
    host on which it cannot be done.
    """
    check_host(target)
    for group in dict.fromkeys(GROUPS.values()):
        there = _has_group(group)
        yield Step(f"group {group}", "" if there else "created", partial(_add_group, group, made), "already exists")
    folder = target.root / UNIT_FOLDER
    for path, content in files.items():
        yield _file(made, target.root / path, content, keep=True)
    changed = False
    for name, content in unit_files(target).items():
        step = _unit(target, made, folder / name, content)
        changed |= bool(step.outcome)
        yield step
    proxy = folder / "mooring-proxy.socket"
    if not target.proxied and made.is_ours(proxy):  # the service wants it, as long as it is there
        yield Step(str(proxy), "removed, since the proxy is off", partial(_take_away, made, proxy))
        changed = True
    for path, content in {MANUAL: shipped("man/mooring.1"), **_completions(completions)}.items():
        if (target.root / path).parent.is_dir():
            yield _file(made, target.root / path, content)
    yield from _start(target, changed)


def check_host(target: Target) -> None:
    """Raises Unavailable for a host where Mooring's units cannot run; Conflict when another daemon serves there."""
    if os.geteuid():
        raise Unavailable("setting up needs root", hint="`sudo mooring setup`; --dry-run only shows what would be done")
    if not (target.root / "run/systemd/system").is_dir():
        raise Unavailable("this host does not use systemd", hint="run `mooring serve` from its service manager")
    if not os.access(target.program, os.X_OK):
        raise Unavailable(f"there is no program {target.program}", hint="give its path with --program")
    nft()  # says which package is missing
    lock = target.run_dir / "mooring.lock"
    if lock.exists() and not systemctl("is-active", "mooring.service", check=False):
        InstanceLock(lock).close()


def unit_files(target: Target) -> dict[str, bytes]:
    """Units and drop-ins, by their names below the folder of units."""
    units = [unit for unit in UNITS if target.proxied or unit != "mooring-proxy.socket"]
    found = {unit: shipped(f"systemd/{unit}") for unit in units}
    for unit, group in GROUPS.items():
        if unit in found:
            found[f"{unit}.d/{DROP_IN}"] = f"[Socket]\nSocketGroup={group}\n".encode()
    if target.program != PROGRAM:
        line = f"[Service]\nExecStart=\nExecStart={target.program} serve\n"
        found[f"mooring.service.d/{DROP_IN}"] = line.encode()
    return found


def _completions(scripts: Mapping[str, bytes]) -> dict[Path, bytes]:
    return {COMPLETIONS[shell]: content for shell, content in scripts.items()}


def _unit(target: Target, made: Made, path: Path, content: bytes) -> Step:
    packaged = [target.root / each / path.name for each in ("usr/lib/systemd/system", "lib/systemd/system")]
    if path.parent.suffix != ".d" and any(each.exists() for each in packaged):
        return Step(f"unit {path.name}", "", was="installed by a package")
    if path.is_symlink() and os.readlink(path) == "/dev/null":
        return Step(f"unit {path.name}", "", was="masked, left alone")
    return _file(made, path, content)


def _file(made: Made, path: Path, content: bytes, keep: bool = False) -> Step:
    """keep: one that is there stays as it is, unless a setup wrote it."""
    there = path.exists()
    if there and path.read_bytes() == content:
        return Step(str(path), "")
    if there and keep and not made.is_ours(path):
        return Step(str(path), "", was="already exists, left unchanged")
    return Step(str(path), "changed" if there else "written", partial(_write, made, path, content))


def _write(made: Made, path: Path, content: bytes) -> None:
    made.files[str(path)] = _digest(content)
    made.write()  # before the file, so that nothing is ever there that no note tells of
    try:
        for folder in reversed([each for each in path.parents if not each.exists()]):
            made.folders.append(str(folder))
            made.write()
            folder.mkdir(mode=0o755)
        replace(path, content)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error


def _start(target: Target, changed: bool) -> Iterator[Step]:
    enabled = [unit for unit in ENABLED if target.proxied or unit != "mooring-proxy.socket"]
    enabled = [unit for unit in enabled if not _is_masked(unit)]
    missing = [unit for unit in enabled if not systemctl("is-enabled", unit, check=False)]
    if changed or missing:
        yield Step("units", "enabled", partial(_enable, enabled))
    else:
        yield Step("units", "", was="already enabled")
    idle = [unit for unit in enabled if not systemctl("is-active", unit, check=False)]
    words = " ".join(enabled)
    if (changed and len(idle) < len(enabled)) or (idle and "mooring.service" not in idle):
        yield Step(words, "restarted", lambda: _run("restart", enabled))
    else:
        yield Step(words, "started" if idle else "", lambda: _run("start", enabled), "already running")


def _enable(units: Sequence[str]) -> None:
    systemctl("daemon-reload")
    systemctl("enable", *units)


def _run(verb: str, units: Sequence[str]) -> None:
    """All of them in one job, since a socket is not started while its service runs."""
    systemctl("reset-failed", "mooring*", check=False)
    systemctl(verb, *units)


def _is_masked(unit: str) -> bool:
    done = subprocess.run(["systemctl", "is-enabled", unit], capture_output=True, text=True, check=False)
    return done.stdout.startswith("masked")


def serving() -> str:
    """What the service says of itself: `serving`, or why it does not. Raises Unavailable when it does not run."""
    done = subprocess.run(
        ["systemctl", "show", "--property=ActiveState,StatusText", "mooring.service"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    if said.get("ActiveState") != "active":
        raise Unavailable("mooring.service is not running", hint="see `systemctl status mooring`")
    return said.get("StatusText", "")


# -- undoing -----------------------------------------------------------------------------------------------------------


def undo_steps(made: Made, kept: Collection[Path] = ()) -> Iterator[Step]:
    """What is left of the setups when Mooring itself is gone (mooring.removal): files as they were written, folders
    that are empty then, groups without members. kept: files that stay."""
    for path in map(Path, list(made.files)):
        if path in kept:
            continue
        if made.is_ours(path):
            yield Step(str(path), "removed", partial(_take_away, made, path))
        elif path.exists():
            yield Step(str(path), "", was="changed since, left unchanged")
    for group in list(made.groups):
        members = _members(group)
        if members:
            yield Step(f"group {group}", "", was=f"has members ({', '.join(members)}), left unchanged")
        elif _has_group(group):
            yield Step(f"group {group}", "removed", partial(_remove_group, group, made))


def forget(made: Made) -> None:
    """What is gone is noted no more, and folders that were made for it and are empty go, too."""
    made.files = {name: digest for name, digest in made.files.items() if Path(name).exists()}
    for folder in reversed(made.folders):
        with suppress(OSError):
            os.rmdir(folder)
    made.folders = [folder for folder in made.folders if Path(folder).exists()]
    made.write()


def _take_away(made: Made, path: Path) -> None:
    remove_file(path)
    made.files.pop(str(path))
    made.write()


# -- groups and files --------------------------------------------------------------------------------------------------


def _has_group(name: str) -> bool:
    with suppress(KeyError):
        return bool(grp.getgrnam(name))
    return False


def _members(name: str) -> Sequence[str]:
    return grp.getgrnam(name).gr_mem if _has_group(name) else ()


def _add_group(name: str, made: Made) -> None:
    _command("groupadd", "--system", name)
    made.groups.append(name)
    made.write()


def _remove_group(name: str, made: Made) -> None:
    _command("groupdel", name)
    made.groups.remove(name)
    made.write()


def _command(*words: str) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Unavailable(f"{words[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise Conflict(f"`{' '.join(words)}` says: {done.stderr.strip() or done.returncode}")


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def replace(path: Path, content: bytes) -> None:
    """The file has the content, whole or not at all, and everybody may read it, unless its folder says no."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(content)
        fresh.chmod(0o644)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
