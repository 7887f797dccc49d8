"""Readers of one value each: what TOML gives, or the text of a variable or a flag, becomes what the daemon works with.

Rule: a reader raises ValueError with what it wants, and whoever called it says where that was.
"""

from __future__ import annotations

import grp
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

from mooring.core.faults import BadRequest
from mooring.core.host_names import parse_zone
from mooring.core.networks import Subnet
from mooring.core.times import seconds_of

# sun_path holds 108 bytes with the closing NUL (unix(7)).
LONGEST_SOCKET_PATH = 107

# pkg/plugins of moby: the name is that of a file. What is built in is never looked for among plugins.
_PLUGIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OF_DOCKER = frozenset({"bridge", "default", "host", "ipvlan", "macvlan", "none", "null", "overlay"})

T = TypeVar("T")


def absolute_path(value: object) -> Path:
    """An absolute path."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError("must be an absolute path")
    return Path(value)


def socket_path(value: object) -> Path:
    """The path of a unix socket."""
    path = absolute_path(value)
    if len(bytes(path)) > LONGEST_SOCKET_PATH:
        raise ValueError(f"must be at most {LONGEST_SOCKET_PATH} bytes long, as every path of a unix socket")
    return path


def run_directory(value: object) -> Path:
    """A folder whose sockets' paths are short enough."""
    path = absolute_path(value)
    if len(bytes(path / "docker.sock")) > LONGEST_SOCKET_PATH:
        raise ValueError("is too long for the sockets in it")
    return path


def seconds(low: int, high: int) -> Callable[[object], float]:
    """Makes a reader of seconds within bounds, both included: a number, or a length of time such as `24h`."""

    def read(value: object) -> float:
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError
            number = _seconds(value.strip()) if isinstance(value, str) else float(value)
        except (ValueError, OverflowError, BadRequest):
            raise ValueError("must be a number of seconds, or a length of time such as 90s, 15m, 24h or 7d") from None
        if not low <= number <= high:
            raise ValueError(f"must be between {low} and {high} seconds")
        return number

    return read


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return seconds_of(text)


def word(*words: str) -> Callable[[object], str]:
    """Makes a reader of one word of those."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value.lower() not in words:
            raise ValueError("must be " + " or ".join((", ".join(words[:-1]), words[-1])))
        return value.lower()

    return read


def dns_zone(value: object) -> str:
    """A zone's name."""
    if not isinstance(value, str):
        raise ValueError("must be a name such as mooring or dc1.example.org")
    try:
        return parse_zone("the zone", value)
    except BadRequest:
        raise ValueError("must be a name such as mooring or dc1.example.org") from None


def port(value: object) -> int:
    """A port of UDP or TCP."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError
        number = int(value)
    except ValueError:
        raise ValueError("must be a port, 1 to 65535") from None
    if not 0 < number < 65536:
        raise ValueError("must be a port, 1 to 65535")
    return number


def subnet(value: object) -> Subnet:
    """One subnet."""
    if not isinstance(value, str):
        raise ValueError("must be a subnet such as 10.0.0.0/8, in quotes")
    try:
        return ip_network(value.strip())
    except ValueError:
        pass
    try:
        loose = ip_network(value.strip(), strict=False)
    except ValueError:
        raise ValueError("must be a subnet such as 10.0.0.0/8") from None
    raise ValueError(f"has host bits set; did you mean {loose}?")


def subnets(value: object) -> tuple[Subnet, ...]:
    """A list of subnets, or text with commas between them."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        raise ValueError("must be a list of subnets")
    found = []
    for item in value:
        try:
            found.append(subnet(item))
        except ValueError as error:
            raise ValueError(f"{item!r} {error}") from None
    return tuple(found)


def plugin_names(value: object) -> tuple[str, ...]:
    """A list of names that a driver may have, or text with commas between them."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        raise ValueError("must be a list of names")
    for name in value:
        if not isinstance(name, str) or not _PLUGIN_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a driver: letters, digits, and . _ - between them")
        if name in _OF_DOCKER:
            raise ValueError(f"{name!r} is a driver of Docker's own")
    return tuple(dict.fromkeys(value))


def socket_mode(value: object) -> int:
    """A mode that lets the owner in and keeps the world out."""
    wanted = ValueError('must be a mode in octal and in quotes, such as "0660"')
    if not isinstance(value, str):
        raise wanted
    try:
        mode = int(value.removeprefix("0o"), 8)
    except ValueError:
        raise wanted from None
    if not 0o600 <= mode <= 0o777 or mode & 0o002:
        raise ValueError("must give access to the owner and none to the world, such as 0660")
    return mode


def group_name(value: object) -> str:
    """A group that this host has, or nothing."""
    if not isinstance(value, str):
        raise ValueError("must be the name of a group")
    try:
        return grp.getgrnam(value).gr_name if value else ""
    except KeyError:
        raise ValueError("must be the name of an existing group") from None


def known_group(value: object) -> str:
    """A group that this host has, by name or number, or nothing; nothing, too, for a group docker that is not there."""
    if value == "docker":
        try:
            return grp.getgrnam("docker").gr_name
        except KeyError:
            return ""
    return numeric_or(value, lambda name: grp.getgrnam(name).gr_name, "group")


def numeric_or(value: object, find: Callable[[str], str], what: str) -> str:
    """A number, or a name that can be found, or nothing. find: raises KeyError. what: is looked for."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"must be the name or the number of a {what}")
    if not value or (value.isascii() and value.isdecimal() and int(value) < 2**32 - 1):
        return value
    try:
        return find(value)
    except (KeyError, ValueError):
        raise ValueError(f"must be a number, or the name of an existing {what}") from None


def collect(problems: list[str], where: str, raw: object, read: Callable[[object], T]) -> T | None:
    """The value, or None and one problem more."""
    try:
        return read(raw)
    except ValueError as error:
        problems.append(f"{where}: {error}, got {raw!r}")
        return None


def unknown(problems: list[str], where: str, table: Mapping[str, object], known: Iterable[str]) -> None:
    """One problem more for each key that is not known."""
    for key in table:
        if key not in known:
            near = get_close_matches(key.replace("-", "_"), known, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]}?" if near else "known are " + ", ".join(known)
            problems.append(f"{where}: {key}: is not a setting; {advice}")
