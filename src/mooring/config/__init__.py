"""The configuration: flags over environment over file over default, checked once, whole afterwards.

Rules: every problem is found in one go and told in one line with the key's name and where it was set; nothing is
needed, so no file at all is a good configuration; after `load` nobody reads the environment or a dictionary again.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path

from mooring.config.pools import POOL_KEYS, beside, subnet_pools
from mooring.config.proxies import PROXY_KEYS, ProxyListener, Tables
from mooring.config.readers import (
    absolute_path,
    collect,
    dns_zone,
    group_name,
    plugin_names,
    port,
    run_directory,
    seconds,
    socket_mode,
    socket_path,
    subnets,
    unknown,
    word,
)
from mooring.config.zones import ZONE_KEYS, network_names, optional_path, optional_place, places, zone_settings, zones
from mooring.core.dns_places import Serving
from mooring.core.faults import BadRequest
from mooring.core.leases import ClaimPolicy
from mooring.core.networks import HostOverlap, Subnet, Tenants
from mooring.core.overlays import PORT
from mooring.core.pools import SubnetPool, default_pools
from mooring.core.zones import ZoneSettings

__all__ = (
    "DEFAULT_PATH", "KEYS", "POOL_KEYS", "PROXY_KEYS", "SETTINGS", "Config", "ConfigurationInvalid", "LogFormat",
    "ProxyListener", "Setting", "Sound", "load", "may_limit",
)  # fmt: skip

DEFAULT_PATH = Path("/etc/mooring/mooring.toml")
LOG_LEVELS = ("debug", "info", "warning", "error")
# Environment variables that are read elsewhere: by the daemon's start and by the command line.
OTHER_VARIABLES = frozenset({"MOORING_CONFIG", "MOORING_LOOP", "MOORING_SOCKET", "MOORING_FORMAT"})


class LogFormat(Enum):
    """How log lines look. AUTO: human on a terminal and in the journal, JSON otherwise."""

    AUTO = "auto"
    HUMAN = "human"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Sound:
    """What of a configuration that cannot be used is certain: where the sockets are, defaults where it does not say.

    proxies: the listeners with their rules; None when they cannot be known, so that nothing may pass anywhere.
    """

    plugin_socket: Path
    docker_socket: Path
    run_dir: Path
    proxies: tuple[ProxyListener, ...] | None
    plugin_names: tuple[str, ...] = ()

    @property
    def driver_names(self) -> tuple[str, ...]:
        """What dockerd calls the driver: the name of the plugin socket's file, and those that were added."""
        return self.plugin_socket.stem, *self.plugin_names


class ConfigurationInvalid(BadRequest):
    """The configuration cannot be used. problems: one line each, all of them. sound: what can be relied upon."""

    def __init__(self, problems: Iterable[str], sound: Sound) -> None:
        self.problems = tuple(problems)
        self.sound = sound
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, checked. Times in seconds; paths absolute.

    file: the configuration file that was read, None when there is none. overrides: the variables and flags that set
    something. warnings: odd, but not wrong. proxies: where the proxy listens, empty when it is off.
    """

    state_dir: Path
    run_dir: Path
    plugin_socket: Path
    plugin_names: tuple[str, ...]
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
    proxies: tuple[ProxyListener, ...]
    hold_time: float
    claim_policy: ClaimPolicy
    tenants: Tenants
    dns: Serving
    dns_zone: str
    dns_order: str
    zones: ZoneSettings
    vxlan_port: int
    file: Path | None = None
    overrides: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def sound(self) -> Sound:
        """What can be relied upon when the rest does not work."""
        return Sound(self.plugin_socket, self.docker_socket, self.run_dir, self.proxies, self.plugin_names)

    @property
    def driver_names(self) -> tuple[str, ...]:
        """As Sound."""
        return self.sound.driver_names

    @property
    def api_socket(self) -> Path:
        """Where the API listens."""
        return self.run_dir / "api.sock"

    @property
    def store(self) -> Path:
        """The SQLite file."""
        return self.state_dir / "mooring.db"

    @property
    def lock(self) -> Path:
        """Held by the one instance that serves this run directory."""
        return self.run_dir / "mooring.lock"


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
    Setting("state_dir", "/var/lib/mooring", absolute_path, "where the store is kept"),
    Setting("run_dir", "/run/mooring", run_directory, "where the API socket is created"),
    Setting("plugin_socket", "/run/docker/plugins/mooring.sock", socket_path, "where dockerd finds the driver"),
    Setting("plugin_names", [], plugin_names, "further names that dockerd knows the driver by"),
    Setting("docker_socket", "/var/run/docker.sock", socket_path, "the engine's own socket"),
    Setting("log_level", "info", word(*LOG_LEVELS), "how much is logged"),
    Setting(
        "log_format",
        "auto",
        word("auto", "human", "json"),
        "human, json, or auto: human on a terminal and in the journal",
    ),
    Setting("cooldown", 60, seconds(0, 30 * 86400), "seconds before a released address is reused"),
    Setting(
        "host_overlap",
        "refuse",
        word("warn", "refuse"),
        "what to do with a network that overlaps a subnet of this host",
    ),
    Setting("deny", [], subnets, "subnets that no network may overlap"),
    Setting("repair_period", 10, seconds(1, 86400), "seconds between two checks of the kernel"),
    Setting("reclaim_after", 120, seconds(1, 86400), "seconds before what Docker did not release is reclaimed"),
    Setting("proxy", "on", word("on", "off"), "whether the proxy in front of the engine's socket is served"),
    Setting(
        "hold_time", 86400, seconds(0, 366 * 86400), "seconds that a key keeps an address after its last container"
    ),
    Setting("claim_policy", "explicit", word("explicit", "holders"), "who may request an idle fixed address"),
    Setting(
        "tenants",
        "shared",
        word("shared", "separate"),
        "whether tenants share this host's routes, or each network of a tenant has routes of its tenant's own",
    ),
    Setting(
        "dns", "auto", word("auto", "on", "off"), "whether names of containers are answered; auto: if a network wants"
    ),
    Setting("dns_zone", "mooring", dns_zone, "the zone of the containers' names"),
    Setting("dns_order", "shuffled", word("shuffled", "local-first"), "the order of several addresses of a name"),
    Setting("dns_keys", "", optional_path, "the file of TSIG keys that the site's nameservers know, too"),
    Setting("dns_transfer", [], places, "where the site's nameservers get the zone by transfer"),
    Setting("dns_notify", [], places, "nameservers that are told of changes"),
    Setting("dns_update", "", optional_place, "the site's nameserver that names are kept at by dynamic updates"),
    Setting("dns_update_zones", [], zones, "the zones that it has, of names and of addresses"),
    Setting("dns_export", [], network_names, "whose names they get; when empty, those of no tenant with dns=on"),
    Setting("vxlan_port", PORT, port, "the UDP port of tunnels between the hosts of a cluster, the same on all"),
    Setting("api_socket_mode", "0660", socket_mode, "the API socket's mode"),
    Setting("api_socket_group", "", group_name, "the API socket's group; root's when empty"),
)
KEYS = (*(setting.key for setting in SETTINGS), "subnet_pools")


# -- the whole ---------------------------------------------------------------------------------------------------------


def load(flags: Mapping[str, str | None], environment: Mapping[str, str], machine_id: str) -> Config:
    """Read the configuration file, if any, and put flags and environment over it.

    flags: by key of SETTINGS, and `config` for the file; None means not given. machine_id: any text that belongs to
    this host for ever. Raises ConfigurationInvalid with every problem at once.
    """
    problems: list[str] = []
    doubts: list[bool] = []  # whether something makes the proxy's listeners uncertain
    named = flags.get("config") or environment.get("MOORING_CONFIG") or None
    path = Path(named) if named else DEFAULT_PATH
    read = _document(path, problems, doubts, required=named is not None)
    document = dict(read or {})
    # `proxy` is a word, or the tables that say where it listens: in TOML one key cannot be both.
    tables = document.get("proxy")
    if isinstance(tables, list) and tables:
        del document["proxy"]
    values, overrides = _settings(str(path), document, flags, environment, problems)
    unknown(problems, str(path), document, KEYS)
    doubts += [key not in KEYS and isinstance(document[key], list | dict) for key in document]
    doubts += [values[key] is None for key in ("docker_socket", "plugin_socket", "run_dir", "proxy")]
    pools = subnet_pools(str(path), document.get("subnet_pools", []), problems)
    before = len(problems)
    listeners = Tables(str(path), _sockets(values), problems)
    if isinstance(tables, list):
        listeners.read(tables)
    elif values["proxy"] == "on" and isinstance(run_dir := values["run_dir"], Path):
        listeners.serve_default(run_dir / "docker.sock", str(values["api_socket_group"]))
    doubts.append(len(problems) > before)
    site = zone_settings(values, problems.append)
    if problems:
        raise ConfigurationInvalid(problems, _sound(values, listeners.found, certain=not any(doubts)))
    own = pools
    pools = (*own, *(left for pool in default_pools(machine_id) if (left := beside(pool, own)) is not None))
    served = values.pop("proxy") == "on"
    for key in ZONE_KEYS:
        del values[key]
    kinds = {
        "log_format": LogFormat, "host_overlap": HostOverlap, "claim_policy": ClaimPolicy, "tenants": Tenants,
        "dns": Serving,
    }  # fmt: skip
    return Config(
        **values | {key: kind(values[key]) for key, kind in kinds.items()},  # type: ignore[arg-type]
        subnet_pools=pools,
        zones=site,
        proxies=listeners.found if served else (),
        file=path if read is not None else None,
        overrides=tuple(overrides),
        warnings=(*_warnings(environment, pools, values["deny"]), *listeners.warnings),  # type: ignore[arg-type]
    )


def _settings(
    path: str,
    document: Mapping[str, object],
    flags: Mapping[str, str | None],
    environment: Mapping[str, str],
    problems: list[str],
) -> tuple[dict[str, object], list[str]]:
    """The value of each setting, None for one that cannot be, and the variables and flags that set something."""
    values: dict[str, object] = {}
    overrides: list[str] = []
    for setting in SETTINGS:
        sources: list[tuple[str, object]] = [(setting.key, setting.default)]
        if setting.key in document:
            sources.append((f"{path}: {setting.key}", document[setting.key]))
        if (text := environment.get(setting.variable)) is not None:
            sources.append((setting.variable, text))
        if (text := flags.get(setting.key)) is not None:
            sources.append((setting.flag, text))
        overrides += [where for where, _ in sources if where in (setting.variable, setting.flag)]
        for where, raw in sources:  # all of them are checked, the last one holds
            values[setting.key] = collect(problems, where, raw, setting.read)
    return values, overrides


def _sockets(values: Mapping[str, object]) -> dict[str, Path]:
    """The sockets that the proxy must leave alone, by what they are; those that cannot be are left out."""
    known = {"docker_socket": values["docker_socket"], "plugin_socket": values["plugin_socket"]}
    if isinstance(run_dir := values["run_dir"], Path):
        known["the API socket"] = run_dir / "api.sock"
    return {what: path for what, path in known.items() if isinstance(path, Path)}


def _sound(values: Mapping[str, object], found: tuple[ProxyListener, ...], *, certain: bool) -> Sound:
    defaults = {setting.key: setting.default for setting in SETTINGS}
    plugin, docker, run_dir = (
        Path(str(values[key] or defaults[key])) for key in ("plugin_socket", "docker_socket", "run_dir")
    )
    proxies = found if values["proxy"] == "on" else ()
    names = values["plugin_names"]
    found_names = names if isinstance(names, tuple) else ()
    return Sound(plugin, docker, run_dir, proxies if certain else None, found_names)


def _document(path: Path, problems: list[str], doubts: list[bool], *, required: bool) -> dict[str, object] | None:
    text = b""
    try:
        text = path.read_bytes()
        return tomllib.loads(text.decode())
    except FileNotFoundError:
        if required:
            problems.append(f"{path}: does not exist")
            doubts.append(True)
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
        doubts.append(True)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{path}: is not TOML: {error}")
        doubts.append(may_limit(text.decode(errors="replace")))
    return None


def may_limit(text: str) -> bool:
    """Whether a file that is not TOML may have been meant to say something about the proxy. Yes, when in doubt: any
    table but those of subnet pools, and any key of a listener, may be a rule that somebody relies upon."""
    words = ("proxy", *(key for key in PROXY_KEYS if key != "deny"))
    lines = [line.strip().lower() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith("#")]
    return any(
        (line.startswith("[") and line.partition("#")[0].strip() != "[[subnet_pools]]")
        or any(word in line for word in words)
        for line in said
    )


def _warnings(environment: Mapping[str, str], pools: Iterable[SubnetPool], deny: Iterable[Subnet]) -> list[str]:
    known = OTHER_VARIABLES.union(setting.variable for setting in SETTINGS)
    odd = [name for name in sorted(environment) if name.startswith("MOORING_") and name not in known]
    near = [(name, get_close_matches(name, known, n=1, cutoff=0)[0]) for name in odd]
    walled = [
        (pool, prefix) for pool in pools for prefix in pool.prefixes if any(_within(prefix, wall) for wall in deny)
    ]
    return [
        *(f"unknown environment variable {name}; did you mean {match}?" for name, match in near),
        *(
            f"subnet pool {pool.name}: the deny list covers {prefix}, nothing is carved from it"
            for pool, prefix in walled
        ),
    ]


def _within(inner: Subnet, outer: Subnet) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
