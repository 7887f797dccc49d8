"""The configuration: flags over environment over file over default, checked once, whole afterwards.

Rules: every problem is found in one go and told in one line with the key's name and where it was set; nothing is
needed, so no file at all is a good configuration; after `load` nobody reads the environment or a dictionary again.
"""

from __future__ import annotations

import grp
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar

from mooring.core.faults import BadRequest
from mooring.core.networks import Subnet
from mooring.core.pools import SubnetPool
from mooring.services.subnets import HostOverlap

DEFAULT_PATH = Path("/etc/mooring/mooring.toml")
LOG_LEVELS = ("debug", "info", "warning", "error")
# sun_path holds 108 bytes with the closing NUL (unix(7)).
LONGEST_SOCKET_PATH = 107
# Environment variables that are read elsewhere: by the daemon's start and by the command line.
OTHER_VARIABLES = frozenset({"MOORING_CONFIG", "MOORING_LOOP", "MOORING_SOCKET", "MOORING_FORMAT"})

T = TypeVar("T")


class LogFormat(Enum):
    """How log lines look. AUTO: human on a terminal, JSON otherwise."""

    AUTO = "auto"
    HUMAN = "human"
    JSON = "json"


class ConfigurationInvalid(BadRequest):
    """The configuration cannot be used. problems: one line each, all of them."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, checked. Times in seconds; paths absolute.

    file: the configuration file that was read, None when there is none. overrides: the variables and flags that set
    something. warnings: odd, but not wrong.
    """

    state_dir: Path
    run_dir: Path
    plugin_socket: Path
    docker_socket: Path
    log_level: str
    log_format: LogFormat
    cooldown: float
    host_overlap: HostOverlap
    deny: tuple[Subnet, ...]
    repair_period: float
    reclaim_after: float
    api_socket_mode: int
    api_socket_group: str
    subnet_pools: tuple[SubnetPool, ...]
    file: Path | None = None
    overrides: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def api_socket(self) -> Path:
        """Where the API listens."""
        return self.run_dir / "api.sock"

    @property
    def proxy_socket(self) -> Path:
        """Where the proxy in front of the engine's socket listens."""
        return self.run_dir / "docker.sock"

    @property
    def store(self) -> Path:
        """The SQLite file."""
        return self.state_dir / "mooring.db"

    @property
    def lock(self) -> Path:
        """Held by the one instance that serves this run directory."""
        return self.run_dir / "mooring.lock"


# -- one value ---------------------------------------------------------------------------------------------------------
# A reader takes what TOML gives, or the text of a variable or a flag, and raises ValueError with what it wants.


def _path(value: object) -> Path:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError("must be an absolute path")
    return Path(value)


def _socket(value: object) -> Path:
    path = _path(value)
    if len(bytes(path)) > LONGEST_SOCKET_PATH:
        raise ValueError(f"must be at most {LONGEST_SOCKET_PATH} bytes long, as every path of a unix socket")
    return path


def _run_dir(value: object) -> Path:
    path = _path(value)
    if len(bytes(path / "docker.sock")) > LONGEST_SOCKET_PATH:
        raise ValueError("is too long for the sockets in it")
    return path


def _seconds(low: int, high: int) -> Callable[[object], float]:
    def read(value: object) -> float:
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError
            number = float(value)
        except (ValueError, OverflowError):
            raise ValueError("must be a number of seconds") from None
        if not low <= number <= high:
            raise ValueError(f"must be between {low} and {high} seconds")
        return number

    return read


def _word(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value.lower() not in words:
            raise ValueError("must be " + " or ".join((", ".join(words[:-1]), words[-1])))
        return value.lower()

    return read


def _subnet(value: object) -> Subnet:
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


def _subnets(value: object) -> tuple[Subnet, ...]:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        raise ValueError("must be a list of subnets")
    found = []
    for item in value:
        try:
            found.append(_subnet(item))
        except ValueError as error:
            raise ValueError(f"{item!r} {error}") from None
    return tuple(found)


def _mode(value: object) -> int:
    wanted = ValueError('must be a mode in octal and in quotes, such as "0660"')
    if not isinstance(value, str):
        raise wanted
    try:
        mode = int(value.removeprefix("0o"), 8)
    except ValueError:
        raise wanted from None
    if not 0o600 <= mode <= 0o777 or mode & 0o002:
        raise ValueError("must let the owner in and keep the world out, such as 0660: who may write to it is root")
    return mode


def _group(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be the name of a group")
    try:
        return grp.getgrnam(value).gr_name if value else ""
    except KeyError:
        raise ValueError("must be the name of a group that this host has") from None


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the file, with its variable MOORING_<KEY> and its flag --<key>. default: as it would be written."""

    key: str
    default: object
    read: Callable[[object], object]
    help: str

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"MOORING_{self.key.upper()}"

    @property
    def flag(self) -> str:
        """The flag of `mooring serve`."""
        return "--" + self.key.replace("_", "-")


SETTINGS: tuple[Setting, ...] = (
    Setting("state_dir", "/var/lib/mooring", _path, "where the store is kept"),
    Setting("run_dir", "/run/mooring", _run_dir, "where the API socket is made"),
    Setting("plugin_socket", "/run/docker/plugins/mooring.sock", _socket, "where dockerd finds the driver"),
    Setting("docker_socket", "/var/run/docker.sock", _socket, "the engine's own socket"),
    Setting("log_level", "info", _word(*LOG_LEVELS), "how much is logged"),
    Setting("log_format", "auto", _word("auto", "human", "json"), "human, json, or auto: human on a terminal"),
    Setting("cooldown", 60, _seconds(0, 30 * 86400), "seconds before a released address is chosen again"),
    Setting(
        "host_overlap", "warn", _word("warn", "refuse"), "a subnet typed by hand that overlaps a route of this host"
    ),
    Setting("deny", [], _subnets, "subnets that no network may overlap"),
    Setting("repair_period", 10, _seconds(1, 86400), "seconds between two looks at the kernel"),
    Setting("reclaim_after", 120, _seconds(1, 86400), "seconds before what Docker forgot to release is taken back"),
    Setting("api_socket_mode", "0660", _mode, "the API socket's mode"),
    Setting("api_socket_group", "", _group, "the API socket's group; root's when empty"),
)
KEYS = (*(setting.key for setting in SETTINGS), "subnet_pools")
POOL_KEYS = ("name", "space", "prefixes", "length", "min_length", "max_length")


# -- the whole ---------------------------------------------------------------------------------------------------------


def load(flags: Mapping[str, str | None], environment: Mapping[str, str], machine_id: str) -> Config:
    """Read the configuration file, if any, and put flags and environment over it.

    flags: by key of SETTINGS, and `config` for the file; None means not given. machine_id: any text that belongs to
    this host for ever. Raises ConfigurationInvalid with every problem at once.
    """
    problems: list[str] = []
    named = flags.get("config") or environment.get("MOORING_CONFIG") or None
    path = Path(named) if named else DEFAULT_PATH
    document = _document(path, problems, required=named is not None)
    values: dict[str, object] = {}
    overrides: list[str] = []
    for setting in SETTINGS:
        sources: list[tuple[str, object]] = [(setting.key, setting.default)]
        if document is not None and setting.key in document:
            sources.append((f"{path}: {setting.key}", document[setting.key]))
        if (text := environment.get(setting.variable)) is not None:
            sources.append((setting.variable, text))
        if (text := flags.get(setting.key)) is not None:
            sources.append((setting.flag, text))
        overrides += [where for where, _ in sources if where in (setting.variable, setting.flag)]
        for where, raw in sources:  # all of them are checked, the last one holds
            values[setting.key] = _collect(problems, where, raw, setting.read)
    _unknown(problems, str(path), document or {}, KEYS)
    pools = _subnet_pools(str(path), (document or {}).get("subnet_pools", []), problems)
    if problems:
        raise ConfigurationInvalid(problems)
    pools = (*pools, *(pool for pool in default_pools(machine_id) if not _covered(pool, pools)))
    return Config(
        **values | {"log_format": LogFormat(values["log_format"]), "host_overlap": HostOverlap(values["host_overlap"])},  # type: ignore[arg-type]
        subnet_pools=pools,
        file=path if document is not None else None,
        overrides=tuple(overrides),
        warnings=tuple(_warnings(environment, pools, values["deny"])),  # type: ignore[arg-type]
    )


def default_pools(machine_id: str) -> tuple[SubnetPool, SubnetPool]:
    """The subnet pools of a host without configuration: 10.32.0.0/12 into /24, and a ULA /48 of its own into /64.

    The ULA's 40-bit global id is a hash of the machine id (RFC 4193, 3.2.2, asks for a pseudo-random one): the same on
    each start, another on each host, and the machine id cannot be told from it.
    """
    digest = sha256(b"mooring subnet pool:" + machine_id.strip().encode()).digest()
    ula = IPv6Network((IPv6Address(b"\xfd" + digest[:5] + bytes(10)), 48))
    return (
        SubnetPool(name="default-v4", space="default", prefixes=(ip_network("10.32.0.0/12"),), length=24),
        SubnetPool(name="default-v6", space="default", prefixes=(ula,), length=64),
    )


def _collect(problems: list[str], where: str, raw: object, read: Callable[[object], T]) -> T | None:
    """The value, or None and one problem more."""
    try:
        return read(raw)
    except ValueError as error:
        problems.append(f"{where}: {error}, got {raw!r}")
        return None


def _document(path: Path, problems: list[str], *, required: bool) -> dict[str, object] | None:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        if required:
            problems.append(f"{path}: there is no such file")
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{path}: is not TOML: {error}")
    return None


def _unknown(problems: list[str], where: str, table: Mapping[str, object], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            near = get_close_matches(key.replace("-", "_"), known, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]}?" if near else "known are " + ", ".join(known)
            problems.append(f"{where}: {key}: is not a setting; {advice}")


def _subnet_pools(where: str, raw: object, problems: list[str]) -> tuple[SubnetPool, ...]:
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        problems.append(f"{where}: subnet_pools: must be written as [[subnet_pools]] tables")
        return ()
    pools: list[SubnetPool] = []
    taken: list[tuple[object, object, Subnet]] = []
    for number, table in enumerate(raw, 1):
        name, space = table.get("name"), table.get("space", "default")
        label = f"{where}: subnet_pools {name or number}"
        _unknown(problems, label, table, POOL_KEYS)
        pool = _subnet_pool(label, table, problems)
        if pool is not None:
            pools.append(pool)
        # What is wrong with a pool in itself does not hide that it is in the way of another.
        if name is not None and name in [before.get("name") for before in raw[: number - 1]]:
            problems.append(f"{label}: name: is given twice")
        for mine in _collect([], label, table.get("prefixes"), _subnets) or ():
            others = [(theirs, owner) for owner, its, theirs in taken if its == space and mine.overlaps(theirs)]
            problems += [f"{label}: prefixes: {mine} overlaps {theirs} of {owner}" for theirs, owner in others]
            taken.append((name or number, space, mine))
    return tuple(pools)


def _subnet_pool(label: str, table: Mapping[str, object], problems: list[str]) -> SubnetPool | None:
    before = len(problems)
    names = {"name": table.get("name"), "space": table.get("space", "default")}
    for key, value in names.items():
        if not isinstance(value, str) or not value or not value.replace("-", "").replace("_", "").isalnum():
            problems.append(f"{label}: {key}: must be a word of letters, digits, - and _, got {value!r}")
    prefixes = _collect(problems, f"{label}: prefixes", table.get("prefixes", []), _subnets) or ()
    if not prefixes and len(problems) == before:
        problems.append(f"{label}: prefixes: must name at least one subnet")
    if len({prefix.version for prefix in prefixes}) > 1:
        problems.append(f"{label}: prefixes: must be of one family; make a second subnet pool for the other")
    if len(problems) > before:
        return None
    shortest, bits = max(prefix.prefixlen for prefix in prefixes), prefixes[0].max_prefixlen
    lengths = {
        "length": table.get("length", max(24 if bits == 32 else 64, shortest)),
        "min_length": table.get("min_length", min(prefix.prefixlen for prefix in prefixes)),
        "max_length": table.get("max_length", bits - 2),
    }
    for key, value in lengths.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= bits:
            problems.append(f"{label}: {key}: must be a prefix length from 1 to {bits}, got {value!r}")
    if len(problems) > before:
        return None
    length, low, high = (int(str(value)) for value in lengths.values())
    if length < shortest:
        problems.append(f"{label}: length: a /{length} does not fit into a /{shortest}")
    elif not low <= length <= high:
        problems.append(f"{label}: length: /{length} is not between min_length /{low} and max_length /{high}")
    if len(problems) > before:
        return None
    return SubnetPool(
        name=str(names["name"]), space=str(names["space"]), prefixes=prefixes,
        length=length, shortest=low, longest=high,
    )  # fmt: skip


def _covered(default: SubnetPool, pools: Iterable[SubnetPool]) -> bool:
    """Somebody named a subnet pool of the default's family, which then stands in for it."""
    family = default.prefixes[0].version
    return any(pool.space == default.space and pool.prefixes[0].version == family for pool in pools)


def _warnings(environment: Mapping[str, str], pools: Iterable[SubnetPool], deny: Iterable[Subnet]) -> list[str]:
    known = OTHER_VARIABLES.union(setting.variable for setting in SETTINGS)
    odd = [name for name in sorted(environment) if name.startswith("MOORING_") and name not in known]
    near = [(name, get_close_matches(name, known, n=1, cutoff=0)[0]) for name in odd]
    walled = [
        (pool, prefix) for pool in pools for prefix in pool.prefixes if any(_within(prefix, wall) for wall in deny)
    ]
    return [
        *(f"{name} in the environment means nothing; did you mean {match}?" for name, match in near),
        *(
            f"subnet pool {pool.name}: the deny list covers {prefix}, nothing is carved from it"
            for pool, prefix in walled
        ),
    ]


def _within(inner: Subnet, outer: Subnet) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
