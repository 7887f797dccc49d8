"""Where plugins are: sockets and files in the folders where dockerd looks (moby pkg/plugins/discovery.go).

Rules: a plugin's name is the name of its file, whatever the file says; the first place that has it counts, and what is
wrong there is told, not passed over; the folders are read anew at each question.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import msgspec

from mooring.core.faults import BadRequest, NotFound
from mooring.wire.remote_api import shown

SOCKETS = Path("/run/docker/plugins")
SPECS = (Path("/etc/docker/plugins"), Path("/usr/lib/docker/plugins"))
# unix(7): 108 bytes with the zero at the end.
PATH_BYTES = 107
NAME_BYTES = 200
SPEC_BYTES = 1 << 16


class Kind(Enum):
    """How a plugin is connected to."""

    UNIX = "unix"
    TCP = "tcp"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Tls:
    """verify: the plugin's certificate is checked, against the host's authorities and those of the file `authorities`.
    certificate, key: files with our own. "" for none."""

    verify: bool = True
    authorities: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class PluginAddress:
    """Where one plugin listens. path: of its socket (UNIX); host, port: TCP and TLS; tls: TLS."""

    name: str
    kind: Kind
    path: str = ""
    host: str = ""
    port: int = 0
    tls: Tls = Tls()

    def __str__(self) -> str:
        if self.kind is Kind.UNIX:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.kind is Kind.TLS else 'tcp'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Places:
    """sockets: a folder; specs: folders of `.spec` and `.json` files, the first goes first."""

    sockets: Path = SOCKETS
    specs: tuple[Path, ...] = SPECS


class _TlsConfig(msgspec.Struct):
    """go-connections tlsconfig.Options."""

    InsecureSkipVerify: bool = False
    CAFile: str = ""
    CertFile: str = ""
    KeyFile: str = ""


class _Document(msgspec.Struct):
    Addr: str = ""
    TLSConfig: _TlsConfig | None = None


def find(name: str, places: Places = Places()) -> PluginAddress:
    """Where the plugin listens; nothing is connected to. Blocks for a few small files.

    Raises NotFound with the folders that were looked at, and BadRequest for a name that no plugin can have, or a file
    that cannot be read, bears no address, or one of an unknown scheme.
    """
    _check(name)
    for path in (places.sockets / f"{name}.sock", places.sockets / name / f"{name}.sock"):
        if _is_socket(path):
            return _unix(name, str(path), str(path))
    for folder in places.specs:
        for suffix, read in ((".spec", _read_spec), (".json", _read_json)):
            for path in (folder / f"{name}{suffix}", folder / name / f"{name}{suffix}"):
                if os.path.lexists(path):
                    return read(name, path)
    looked = ", ".join(str(folder) for folder in (places.sockets, *places.specs))
    raise NotFound(f"there is no plugin {name}", hint=f"looked for its socket, .spec or .json in {looked}")


def names(places: Places = Places()) -> tuple[str, ...]:
    """Of all plugins that have a socket or a file, in order; also those that `find` would find something wrong with.
    A folder that is missing has none."""
    found = {path.stem for path in _candidates(places.sockets, (".sock",)) if _is_socket(path)}
    for folder in places.specs:
        found.update(path.stem for path in _candidates(folder, (".spec", ".json")))
    return tuple(sorted(name for name in found if _refusal(name) is None))


def _candidates(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """`<folder>/x<suffix>` and `<folder>/x/x<suffix>`."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.suffix in suffixes:
            yield entry
        for suffix in suffixes:
            inner = entry / f"{entry.name}{suffix}"
            if os.path.lexists(inner):
                yield inner


def _is_socket(path: Path) -> bool:
    """Also a link to one. What cannot be looked at is none."""
    try:
        return path.is_socket()
    except OSError:
        return False


def _check(name: str) -> None:
    if (reason := _refusal(name)) is not None:
        raise BadRequest(f"{shown(name)!r} is not the name of a plugin: {reason}")


def _refusal(name: str) -> str | None:
    """Why no plugin can have the name: it becomes part of a path."""
    if not name or not name.isprintable() or len(name.encode()) > NAME_BYTES:
        return f"it must have 1 to {NAME_BYTES} bytes of printable text"
    return 'it has "/" or ".."' if "/" in name or ".." in name or name == "." else None


def _read_spec(name: str, path: Path) -> PluginAddress:
    """The whole file is one URL. A certificate is not verified: there is nothing to verify it by."""
    return _parse(name, _read(path).decode(errors="replace").strip(), path, Tls(verify=False), secure=False)


def _read_json(name: str, path: Path) -> PluginAddress:
    """Without CAFile nothing is verified, as dockerd has it (moby pkg/plugins/discovery.go)."""
    try:
        document = msgspec.json.decode(_read(path), type=_Document)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadRequest(f"plugin {name}: {path}: {shown(str(error), 200)}") from error
    given = document.TLSConfig
    if given is None:
        return _parse(name, document.Addr, path, Tls(), secure=False)
    if bool(given.CertFile) != bool(given.KeyFile):
        raise BadRequest(f"plugin {name}: {path}: CertFile and KeyFile go together")
    verify = bool(given.CAFile) and not given.InsecureSkipVerify
    return _parse(name, document.Addr, path, Tls(verify, given.CAFile, given.CertFile, given.KeyFile), secure=True)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise BadRequest(f"plugin file {path} is not a file")
        with path.open("rb") as file:
            data = file.read(SPEC_BYTES + 1)
    except OSError as error:
        raise BadRequest(f"plugin file {path} cannot be read: {error.strerror or error}") from error
    if len(data) > SPEC_BYTES:
        raise BadRequest(f"plugin file {path} is larger than {SPEC_BYTES} bytes")
    return data


def _parse(name: str, text: str, path: Path, tls: Tls, secure: bool) -> PluginAddress:
    """secure: TLS for tcp:// and http:// too. dockerd would speak in clear there, although TLS was set up for it."""
    where = f"plugin {name}: {path}"
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", _port(url)
    except ValueError:
        raise BadRequest(f"{where}: {shown(text)!r} is not a URL") from None
    if not text.isprintable() or " " in text:
        raise BadRequest(f"{where}: {shown(text)!r} is not a URL")
    if url.scheme == "unix":
        return _unix(name, url.netloc + url.path, where)
    if url.scheme not in ("tcp", "http", "https"):
        known = "unix://, tcp://, http:// or https://"
        raise BadRequest(f"{where}: {shown(text)!r} is not an address of a plugin", hint=f"begin it with {known}")
    if not host.isascii() or not host or not port:
        raise BadRequest(f"{where}: {shown(text)!r} does not say host and port")
    if not secure and url.scheme != "https":
        return PluginAddress(name, Kind.TCP, host=host, port=port)
    return PluginAddress(name, Kind.TLS, host=host, port=port, tls=tls)


def _port(url: SplitResult) -> int:
    return url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


def _unix(name: str, path: str, where: str) -> PluginAddress:
    if not path.startswith("/"):
        raise BadRequest(f"{where}: {shown(path)!r} is not an absolute path")
    if len(os.fsencode(path)) > PATH_BYTES:
        raise BadRequest(f"{where}: the path of a socket has at most {PATH_BYTES} bytes")
    return PluginAddress(name, Kind.UNIX, path=path)
