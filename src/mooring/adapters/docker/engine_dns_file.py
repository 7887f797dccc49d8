"""The engine's configuration file on this host, and its `dns` with the host's DNS server in it: put there, taken back.

Rules: what was there is noted before the file changes, in Mooring's own folder, so that it comes back letter for
letter, but never our own address, whoever put that there before; a file is replaced whole, with its owner, mode and
extended attributes, and the one before is kept beside it; what somebody has changed since is his, unless he says
otherwise.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from mooring.core.dns_places import ADDRESS4
from mooring.core.engine_dns import (
    MOST_ASKED,
    names_our_server,
    nameservers_in,
    reached_by_containers,
    settings_in,
    value_in,
    value_without_our_server,
    with_our_server,
    with_value,
    without_our_server,
    written,
)
from mooring.core.faults import BadRequest, Conflict, Unavailable

# dockerd(8), --config-file.
CONFIGURATION = Path("/etc/docker/daemon.json")
# In the folder of what ends with the next boot.
MARK = "engine-dns"
# In Mooring's folder, and behind the name of the file that was there.
NOTE, KEPT = "engine-dns.json", ".before-mooring"


@dataclass(frozen=True, slots=True)
class Note:
    """What was done. file: absolute. before: the value as it was written, None for none. there: whether there was a
    file. servers: what was written."""

    file: str
    before: str | None
    there: bool
    servers: tuple[str, ...]

    @classmethod
    def read(cls, state: Path) -> Note | None:
        """None where nothing was done. Raises Unavailable for one that cannot be read."""
        path = state / NOTE
        try:
            found = json.loads(path.read_bytes())
            return cls(str(found["file"]), found["before"], bool(found["there"]), tuple(found["servers"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"{path} cannot be read: {error}", hint="correct it by hand, or remove it") from error

    def covers(self, servers: Sequence[str]) -> bool:
        """What was written, in any order, or nothing besides our server: nobody's value of his own."""
        others = set(without_our_server(servers))
        return not others or others == set(without_our_server(self.servers))

    def write(self, state: Path) -> None:
        """It is on the disk. Raises Unavailable."""
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_like(state / NOTE, json.dumps({"version": 1, **asdict(self)}, indent=1))
        except OSError as error:
            raise Unavailable(f"cannot write {state / NOTE}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to the file. after: None when it goes; like `before` when there is nothing to do. remark: what
    a person should know, "" for nothing. carry_out: does it; raises Conflict, Unavailable."""

    path: Path
    before: str | None
    after: str | None
    carry_out: Callable[[], None]
    remark: str = ""

    @property
    def changes(self) -> bool:
        """Whether the file is another afterwards."""
        return self.before != self.after

    def diff(self) -> list[str]:
        """As of `diff -u`."""
        old, new = ((text or "").splitlines() for text in (self.before, self.after))
        was, becomes = (str(self.path) if text is not None else "/dev/null" for text in (self.before, self.after))
        return list(difflib.unified_diff(old, new, was, becomes, lineterm=""))


class EngineDnsFile:
    """path: of the engine's configuration file, through its symbolic links. state: Mooring's folder."""

    def __init__(self, path: Path, state: Path) -> None:
        self.path = path.resolve()
        self._state = state

    @classmethod
    def noted(cls, state: Path, otherwise: Path = CONFIGURATION) -> EngineDnsFile:
        """The one that was changed, or the other."""
        note = Note.read(state)
        return cls(Path(note.file) if note is not None else otherwise, state)

    def names_our_server(self) -> bool:
        """Whether the engine's containers are told to ask it. False also for a file that cannot be read."""
        with contextlib.suppress(Unavailable):
            return names_our_server(self._text() or "")
        return False

    def installed(self, hosts: Sequence[str]) -> Change:
        """Our server first, and behind it what is there and of use to a container, or else `hosts`: the host's
        nameservers that containers reach.

        Raises BadRequest for a file that dockerd could not use, Conflict when another file was changed before or when
        nothing can stand behind, Unavailable.
        """
        text, note = self._text(), Note.read(self._state)
        if note is not None and Path(note.file) != self.path and EngineDnsFile.noted(self._state).names_our_server():
            raise Conflict(
                f"{note.file} names the host's DNS server already", hint="`mooring dns uninstall` takes it back first"
            )
        with self._naming():
            old = nameservers_in(text or "")
            behind = reached_by_containers(without_our_server(old)) or without_our_server(hosts)
            if not behind:
                raise Conflict(
                    "this host has no nameserver that a container reaches, so with the daemon down there would be none",
                    hint=f'write one into "dns" of {self.path} first',
                )
            servers = with_our_server(behind)
            if old == servers:
                return Change(self.path, text, text, lambda: None)
            after = with_value(text or "", written(servers))
            before = value_without_our_server(value_in(text or ""))
        fresh = Note(str(self.path), before, text is not None, servers)
        again = note is not None and note.file == fresh.file and names_our_server(text or "") and note.covers(old)
        if note is not None and again:
            fresh = replace(note, servers=servers)
        remark = ""
        if len(servers) > MOST_ASKED:
            remark = f"a resolver asks three nameservers at the most, so no longer {', '.join(servers[MOST_ASKED:])}"
        return Change(self.path, text, after, partial(self._install, fresh, text, after, keep=not again), remark)

    def removed(self, force: bool = False) -> Change:
        """What was there before; without a note of it, or when the value was changed since and force is set, our server
        alone is taken out. Raises Conflict when it was changed since, BadRequest, Unavailable."""
        text, note = self._text(), Note.read(self._state)
        if note is not None and Path(note.file) != self.path:
            note = None
        with self._naming():
            servers = nameservers_in(text or "")
            rest = without_our_server(servers)
            if text is None or not names_our_server(text):
                return Change(self.path, text, text, self._forget)
            if note is None or note.servers != servers:
                if note is not None and not force:
                    raise Conflict(
                        f'"dns" of {self.path} was changed since `mooring dns install`: it is {written(servers)}',
                        hint=f"`mooring dns uninstall --force` takes {ADDRESS4} out of it and leaves the rest",
                    )
                after: str | None = with_value(text, written(rest) if rest else None)
            else:
                after = with_value(text, value_without_our_server(note.before))
                kept = self._kept()
                if not note.there and not settings_in(after or ""):
                    after = None
                elif kept is not None and settings_in(kept) == settings_in(after or ""):
                    after = kept
        return Change(self.path, text, after, partial(self._remove, text, after))

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """A fault in the file says which."""
        try:
            yield
        except BadRequest as fault:
            raise BadRequest(f"{self.path}: {fault.what}", hint=fault.hint) from fault

    def _text(self) -> str | None:
        try:
            return self.path.read_bytes().decode()  # with the ends of its lines as they are
        except FileNotFoundError:
            return None
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise Unavailable(f"cannot read {self.path}: {why}") from error

    def _kept(self) -> str | None:
        with contextlib.suppress(OSError, UnicodeError, BadRequest):
            text = self._beside.read_bytes().decode()
            settings_in(text)
            return text
        return None

    @property
    def _beside(self) -> Path:
        return self.path.with_name(self.path.name + KEPT)

    def _install(self, note: Note, before: str | None, after: str, keep: bool) -> None:
        """keep: this file is the one before; else that is kept already."""
        self._unchanged(before)
        earlier = Note.read(self._state)
        note.write(self._state)
        try:
            if before is not None and keep:
                replace_like(self._beside, before, self.path)
            replace_like(self.path, after)
        except OSError as error:
            if keep:
                self._forget()
            if earlier is not None:
                earlier.write(self._state)
            raise Unavailable(f"cannot write {self.path}: {error.strerror}") from error

    def _remove(self, before: str | None, after: str | None) -> None:
        self._unchanged(before)
        try:
            if after is None:
                self.path.unlink()
            else:
                replace_like(self.path, after)
        except OSError as error:
            raise Unavailable(f"cannot write {self.path}: {error.strerror}") from error
        self._forget()

    def _unchanged(self, before: str | None) -> None:
        if self._text() != before:
            raise Conflict(f"{self.path} was changed just now", hint="try again")

    def _forget(self) -> None:
        """The note of another file stays: it says what was there."""
        note = Note.read(self._state)
        noted = [self._state / NOTE] if note is not None and note.file == str(self.path) else []
        for path in (*noted, self._beside):
            with contextlib.suppress(OSError):
                path.unlink()


class EngineUse:
    """Whether the host's DNS server is the engine's. state: Mooring's folder. mark: a file that ends with the next
    boot; it is there once the engine was seen to use it, since containers that run then ask the server until they end.
    configuration: of the engine, where no note names another.
    """

    def __init__(self, state: Path, mark: Path, configuration: Path = CONFIGURATION) -> None:
        self._state = state
        self._mark = mark
        self._configuration = self._named = configuration
        self._seen: tuple[object, ...] | None = None
        self._says = False

    def now(self) -> bool:
        """As its configuration says. False also for what cannot be read. Nothing is read that is as it was."""
        seen = self._named, _stamp(self._state / NOTE), _stamp(self._named)
        if seen != self._seen:
            self._says = False
            with contextlib.suppress(Unavailable):
                note = Note.read(self._state)
                self._named = Path(note.file) if note is not None else self._configuration
                self._says = EngineDnsFile(self._named, self._state).names_our_server()
            self._seen = seen
        return self._says

    def since_boot(self) -> bool:
        """Now, or at any time since the host started."""
        if self.now():
            with contextlib.suppress(OSError):
                self._mark.touch()
            return True
        return self._mark.exists()

    def reason(self) -> str:
        """Who asks, in words; "" for nobody."""
        if self.now():
            return "Docker's own setting"
        return "containers that may have been started with Docker's own setting" if self.since_boot() else ""


def _stamp(path: Path) -> tuple[int, ...]:
    """Another one once the file is another, or has another text; () where it cannot be seen. A link is followed."""
    with contextlib.suppress(OSError):
        facts = path.stat()
        return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
    return ()


def replace_like(path: Path, text: str, like: Path | None = None) -> None:
    """The file has the text, whole or not at all, and the owner, mode and extended attributes that `like`, or else the
    file itself, has; 0644 where neither is there. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8", newline="") as file:
            model = like or path
            if model.exists():
                facts = model.stat()
                os.chown(fresh, facts.st_uid, facts.st_gid)
                shutil.copystat(model, fresh)
            else:
                fresh.chmod(0o644)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


# -- the engine that runs ----------------------------------------------------------------------------------------------


def engine_flags(processes: Path = Path("/proc")) -> list[tuple[str, ...]]:
    """The arguments of each dockerd in our PID namespace. Reads a file of every process. proc(5), comm, cmdline."""
    found = []
    for comm in sorted(processes.glob("[0-9]*/comm")):
        with contextlib.suppress(OSError):
            if comm.read_bytes() == b"dockerd\n":
                words = comm.with_name("cmdline").read_bytes().decode(errors="replace").split("\0")
                found.append(tuple(word for word in words[1:] if word))
    return found


def flag_values(flags: Sequence[str], name: str) -> list[str]:
    """`--name value` and `--name=value`."""
    found = [word.partition("=")[2] for word in flags if word.startswith(f"--{name}=")]
    return found + [after for word, after in pairwise(flags) if word == f"--{name}"]
