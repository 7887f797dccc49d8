"""The `[[proxy]]` tables: where the proxy in front of the engine's socket listens, and what it lets pass there.

Rules: no listener takes the place of another socket, least of all of the engine's own; a port that anybody on the
network could use has TLS in both directions, and one on the loopback without TLS was asked for by name.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, TypeVar

from mooring.config.readers import absolute_path, collect, known_group, numeric_or, socket_mode, socket_path, unknown
from mooring.core.addresses import unmapped
from mooring.servers.proxy.access import EVERYTHING, AccessRules, Rule

PROXY_KEYS = (
    "listen", "mode", "owner", "group", "tls_cert", "tls_key", "tls_ca", "tls_crl", "insecure_loopback",
    "read_only", "allow", "deny", "audit", "show_ports",
)  # fmt: skip
TLS_KEYS = ("tls_cert", "tls_key", "tls_ca")
DEFAULT_MODE = 0o660

_TCP = re.compile(r"tcp://(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]/@]+)):([0-9]{1,5})/?")
_LISTEN = "must be for example unix:///run/mooring/docker.sock or tcp://127.0.0.1:2375"

T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody can connect: a path, or a host and a port."""

    path: Path | None
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}"
        return f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class TlsFiles(NamedTuple):
    """What a listener proves itself with, and what its clients are proved by. All are PEM files."""

    cert: Path
    key: Path
    ca: Path
    crl: Path | None = None


@dataclass(frozen=True, slots=True)
class ProxyListener:
    """One place where the proxy listens.

    name: as DOCKER_HOST has it. path: of the unix socket, None for TCP at host and port. owner, group: names or
    numbers, "" for ours. audit: the file that gets a line for each request.
    show_ports: lists and inspections of containers tell the ports that we publish.
    """

    name: str
    path: Path | None = None
    host: str = ""
    port: int = 0
    mode: int = DEFAULT_MODE
    owner: str = ""
    group: str = ""
    tls: TlsFiles | None = None
    rules: AccessRules = EVERYTHING
    audit: Path | None = None
    show_ports: bool = True


_NOWHERE = Place(None)


@dataclass(frozen=True, slots=True)
class Table:
    """One table. label: where it is, for its problems."""

    label: str
    keys: Mapping[str, object]
    problems: list[str]

    def get(self, key: str, read: Callable[[object], T], default: D) -> T | D:
        """The key's value; the default when it is missing, or cannot be, which is a problem then."""
        if key not in self.keys:
            return default
        before = len(self.problems)
        value = collect(self.problems, f"{self.label}: {key}", self.keys[key], read)
        return default if value is None or len(self.problems) > before else value

    def tell(self, key: str, problem: str) -> None:
        """One problem more."""
        self.problems.append(f"{self.label}: {key}: {problem}")

    def refuse(self, keys: Iterable[str], why: str) -> None:
        """None of the keys may be there."""
        for key in keys:
            if key in self.keys:
                self.tell(key, why)


class Tables:
    """Reads the tables. found: the listeners that are right; problems and warnings: one line each.

    where: the file. sockets: those that are not ours to take, by what they are.
    """

    def __init__(self, where: str, sockets: Mapping[str, Path], problems: list[str]) -> None:
        self.found: tuple[ProxyListener, ...] = ()
        self.warnings: list[str] = []
        self._where = where
        self._problems = problems
        self._taken = list(sockets.items())
        self._ports: list[tuple[str, int]] = []

    def read(self, raw: list[object]) -> None:
        """Read what the key `proxy` is, when it is a list."""
        for number, keys in enumerate(raw, 1):
            if not isinstance(keys, dict):
                self._problems.append(f"{self._where}: proxy: must be on or off, or be written as [[proxy]] tables")
                return
            before = len(self._problems)
            table = Table(f"{self._where}: proxy {keys.get('listen') or number}", keys, self._problems)
            unknown(self._problems, table.label, keys, PROXY_KEYS)
            if "listen" not in keys:
                table.tell("listen", _LISTEN)
            listener = self._listener(table, table.get("listen", _place, _NOWHERE))
            if len(self._problems) == before:
                self.found += (listener,)

    def serve_default(self, path: Path, group: str) -> None:
        """The listener where no table names another: everything passes. path: in run_dir."""
        place = Place(path)
        self._refuse_what_is_taken(Table("run_dir", {}, self._problems), place)
        self.found = (ProxyListener(str(place), path, group=group),)

    def _listener(self, table: Table, place: Place) -> ProxyListener:
        self._refuse_what_is_taken(table, place)
        tls = _tls(table)
        insecure = table.get("insecure_loopback", _yes, False)
        if place.host:
            _refuse_open_port(table, place.host, insecure)
            table.refuse(("mode", "owner", "group"), "is for unix sockets only")
            if tls is None:
                table.refuse(("tls_crl",), "is for tls_cert, tls_key and tls_ca")
        elif place.path is not None:
            table.refuse((*TLS_KEYS, "tls_crl", "insecure_loopback"), "is for tcp only")
        group = table.get("group", known_group, "")
        if table.keys.get("group") == "docker" and not group:
            self.warnings.append(f"{table.label}: this host has no group docker, so the socket's group is root's")
        read_only = table.get("read_only", _yes, False)
        return ProxyListener(
            name=str(place),
            path=place.path,
            host=place.host,
            port=place.port,
            mode=table.get("mode", socket_mode, DEFAULT_MODE),
            owner=table.get("owner", _owner, ""),
            group=group,
            tls=tls,
            rules=AccessRules(read_only, table.get("allow", _allowed, ()), table.get("deny", _denied, ())),
            audit=table.get("audit", _audit, None),
            show_ports=table.get("show_ports", _yes, True),
        )

    def _refuse_what_is_taken(self, table: Table, place: Place) -> None:
        if place.path is not None:
            mine = _names(place.path)
            for what, theirs in self._taken:
                if mine & _names(theirs):
                    table.tell("listen", f"{place.path} is {what}, which the proxy must leave alone")
            self._taken.append(("the socket of another [[proxy]]", place.path))
        elif place.host:
            if (place.host, place.port) in self._ports:
                table.tell("listen", f"{place} is the address of another [[proxy]]")
            self._ports.append((place.host, place.port))


def _refuse_open_port(table: Table, host: str, insecure: bool) -> None:
    """Nobody may reach a port without a certificate, but for this host's own processes where it was asked for."""
    if any(key in table.keys for key in TLS_KEYS):
        if insecure:
            table.tell("insecure_loopback", "is for tcp without TLS")
    elif not ip_address(host).is_loopback:
        table.tell("listen", "tcp off the loopback needs tls_cert, tls_key and tls_ca")
    elif not insecure:
        table.tell(
            "listen",
            "tcp without TLS gives every process on this host root access; set tls_cert, tls_key and tls_ca, or"
            " insecure_loopback = true",
        )


def _tls(table: Table) -> TlsFiles | None:
    given = [key for key in TLS_KEYS if key in table.keys]
    for missing in TLS_KEYS:
        if given and missing not in given:
            table.tell(missing, f"is needed beside {given[0]}")
    cert, key, ca = (table.get(name, _file, None) for name in TLS_KEYS)
    crl = table.get("tls_crl", _file, None)
    return TlsFiles(cert, key, ca, crl) if cert and key and ca else None


def _names(path: Path) -> set[str]:
    """What the path may be called: as it is written, and where it leads."""
    return {os.path.normpath(path), os.path.realpath(path)}


def _place(value: object) -> Place:
    if not isinstance(value, str):
        raise ValueError(_LISTEN)
    if value.startswith("unix:///"):
        return Place(socket_path(os.path.normpath(value.removeprefix("unix://"))))
    found = _TCP.fullmatch(value)
    if found is None:
        raise ValueError(_LISTEN)
    try:
        host = ip_address(found[1] or found[2])
    except ValueError:
        raise ValueError("must name an address, such as 127.0.0.1 or [::1], not a name") from None
    if unmapped(host) is not host:
        raise ValueError(f"names an IPv4-mapped address; write {unmapped(host)}")
    if not 1 <= int(found[3]) <= 65535:
        raise ValueError("must have a port from 1 to 65535")
    return Place(None, str(host), int(found[3]))


def _yes(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _owner(value: object) -> str:
    return numeric_or(value, lambda name: pwd.getpwnam(name).pw_name, "user")


def _allowed(value: object) -> tuple[Rule, ...]:
    return _rules(value, denies=False)


def _denied(value: object) -> tuple[Rule, ...]:
    return _rules(value, denies=True)


def _rules(value: object, *, denies: bool) -> tuple[Rule, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError('must be a list of rules such as ["GET containers"]')
    found = []
    for item in value:
        try:
            rule = Rule.parse(item)
            rule.check(denies=denies)
            found.append(rule)
        except ValueError as error:
            raise ValueError(f"{item!r} {error}") from None
    return tuple(found)


def _file(value: object) -> Path:
    path = absolute_path(value)
    if not path.is_file():
        raise ValueError("must be an existing file")
    return path


def _audit(value: object) -> Path:
    path = absolute_path(value)
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError("must be in an existing directory")
    return path
