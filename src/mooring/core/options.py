"""Driver options, parsed once into values.

Rules: every option is understood, or refused by its name; none is ignored. Docker's own names for its drivers' options
are synonyms of ours (core/docker_options.py), and a thing that is said twice must be said alike. Our own words may bear
the prefix `mooring.`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any, TypeVar

from mooring.core.addresses import parse_address
from mooring.core.cluster_options import VNI_MOST, VXLAN, check_cluster, cluster_words
from mooring.core.docker_options import BY_ENGINE, FIXED, SYNONYMS
from mooring.core.docker_requests import EITHER
from mooring.core.faults import BadRequest
from mooring.core.leases import ClaimPolicy, MovePolicy
from mooring.core.networks import (
    Address,
    Dns,
    GatewayMode,
    HostAccess,
    HostOverlap,
    Ingress,
    Mode,
    NetworkOptions,
    Scope,
    StaticRoute,
    Sticky,
    Subnet,
    Subnets,
)
from mooring.core.vnic_options import check_handoff, is_vnic_bridge

E = TypeVar("E", bound=Enum)

OWN_PREFIX = "mooring."
MTU_LEAST = {4: 68, 6: 1280}  # RFC 791, 3.2; RFC 8200, 5
MTU_MOST = 65535
NAME_BYTES = 15  # IFNAMSIZ - 1
# The engine appends a number to the prefix (libnetwork/osl/interface_linux.go), for which there must be room.
PREFIX_BYTES = 12
WORD_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
# `all` and `default` are not links below /proc/sys/net/ipv4/conf; the others belong to the host, to the engine, or to
# the way by which the host's resolver asks our DNS server (core.dns_places, which is above this).
RESERVED_NAMES = frozenset(
    {"all", "default", "lo", "docker0", "docker_gwbridge", "mooring-dns", "mooring-dns0", ".", ".."}
)
SWITCH = {"on": True, "true": True, "t": True, "1": True, "yes": True} | {
    "off": False, "false": False, "f": False, "0": False, "no": False,
}  # fmt: skip

# Understood, but for what is not built yet: name -> what it belongs to.
NOT_BUILT: dict[str, str] = {
    "parent": "the modes macvlan and ipvlan",
    "vlan": "the modes macvlan and ipvlan",
    "macvlan_mode": "the mode macvlan",
    "ipvlan_mode": "the mode ipvlan",
    "ipvlan_flag": "the mode ipvlan",
}
MODES_NOT_BUILT = frozenset({"macvlan", "ipvlan"})
_MODES = (*(mode.value for mode in Mode), VXLAN)

# What a network without plumbing can still mean.
NULL_WORDS = frozenset({"mode", "overlay", "gateway", "tenant", "sticky", "subnets", "pool", "pool6", "ipv6", "scope"})


@dataclass(frozen=True, slots=True)
class _Given:
    """An option as the user spelled it, with the value that it was parsed to."""

    name: str
    value: Any


def parse_network_options(raw: Mapping[str, str], internal: bool, *, ipv6: bool = False) -> NetworkOptions:
    """The options of `docker network create -o`, as one value.

    internal: of the network. ipv6: the network has an IPv6 subnet, for which the MTU has a higher least value.
    Raises BadRequest for an option that is unknown, not built yet, contradicted by another, or has a bad value.
    """
    given: dict[str, _Given] = {}
    for name in sorted(raw):
        if _is_engines(name, raw[name], internal):
            continue
        if (bare := name.removeprefix(OWN_PREFIX)) in EITHER:
            IPAM_PARSERS[bare](f"option {name}", raw[name])  # the proxy has told the IPAM driver
            if bare not in PARSERS:
                continue
        for word, value in _parsed(name, raw[name]):
            entry = _Given(name, value)
            before = given.setdefault(word, entry)
            if before.value != entry.value:
                both = f"{before.name}={shown(raw[before.name])} and {name}={shown(raw[name])}"
                raise BadRequest(f"options {both} contradict each other")
    if "mode" not in given and "bridge" in given and is_vnic_bridge(given["bridge"].value):
        given["mode"] = _Given(given["bridge"].name, Mode.HANDOFF)
    options = cluster_words(NetworkOptions(**{word: entry.value for word, entry in given.items()}), "scope" in given)
    _check(options, given, internal, ipv6)
    return options


def says_port_security(raw: Mapping[str, str]) -> bool:
    """Whether the options say it, either way: what is older than the option does not."""
    return not raw.keys().isdisjoint({"port_security", OWN_PREFIX + "port_security"})


def parse_ipam_options(raw: Mapping[str, str]) -> dict[str, str]:
    """The options of `--ipam-opt` under their own words: `tenant` (a name), `gateway` ("none" or "auto"), `claim`
    ("explicit" or "holders"), `pool` and `pool6` (names of subnet pools), `prefixlen` and `prefixlen6`.

    Raises BadRequest for an unknown option or a bad value.
    """
    words: dict[str, str] = {}
    for name, text in sorted(raw.items()):
        word = name.removeprefix(OWN_PREFIX)
        if word not in IPAM_PARSERS:
            raise unknown("IPAM option", name, IPAM_PARSERS)
        IPAM_PARSERS[word](f"option {name}", text)
        if words.setdefault(word, text) != text:
            raise BadRequest(f"IPAM options {word}={shown(words[word])} and {name}={shown(text)} contradict each other")
    return words


def unknown(what: str, name: str, known: Mapping[str, Any] | list[str] | frozenset[str]) -> BadRequest:
    """The refusal of an option that nobody knows, with the nearest known one."""
    near = get_close_matches(name.removeprefix(OWN_PREFIX)[:100], list(known), n=1, cutoff=0.5)
    own = sorted(word for word in known if not word.startswith("com.docker."))
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(own or sorted(known))}"
    return BadRequest(f"unknown {what} {shown(name)}", hint=hint)


def shown(text: str) -> str:
    """The text as errors show it: on one line, without control characters, not longer than 80."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:81])
    return clean if len(clean) <= 80 else clean[:77] + "..."


def parse_subnet(what: str, text: str) -> Subnet:
    """`10.0.0.0/8` as a value. Raises BadRequest that names `what`: also for host bits, zones and netmasks."""
    address, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdigit() or "%" in address:
        raise BadRequest(f"{what} {shown(text)} is not a subnet; write it as 10.0.0.0/24")
    try:
        subnet = ip_network(text, strict=False)
    except ValueError:
        raise BadRequest(f"{what} {shown(text)} is not a subnet; write it as 10.0.0.0/24") from None
    if subnet.network_address != parse_address(address, what):
        raise BadRequest(f"{what} {shown(text)} has host bits set; the subnet is {subnet}")
    return subnet


def _is_engines(name: str, text: str, internal: bool) -> bool:
    """True for an option that asks nothing of us. Raises BadRequest when its value is one that we cannot follow."""
    if name in FIXED:
        default, why = FIXED[name]
        value = _switch(name, text) if isinstance(default, bool) else text
        if value != default:
            raise BadRequest(f"option {name}={shown(text)} is refused: {why}")
        return True
    if name in BY_ENGINE:
        _integer(name, text, *BY_ENGINE[name])
        return True
    if name in ("com.docker.network.enable_ipv4", "com.docker.network.enable_ipv6"):
        _switch(name, text)  # the engine has acted on it: the families are those that it asks pools for
        return True
    if name == "com.docker.network.internal":
        if _switch(name, text) != internal:
            raise BadRequest(f"option {name}={shown(text)} does not reach Docker", hint="use --internal")
        return True
    return False


def _words(name: str) -> tuple[str, ...]:
    """The words that the option stands for. Raises BadRequest when it is not known or not built."""
    bare = name.removeprefix(OWN_PREFIX)
    if bare in NOT_BUILT:
        raise BadRequest(f"option {name} is for {NOT_BUILT[bare]}, not supported yet")
    word = SYNONYMS.get(name, bare)
    if word in ("gateway_mode", "nat"):
        return ("gateway_mode4", "gateway_mode6")
    if word not in PARSERS:
        # What is refused whatever it says is no help to anybody.
        raise unknown("network option", name, [*PARSERS, "gateway_mode", "nat", *SYNONYMS, *BY_ENGINE])
    return (word,)


def _parsed(name: str, text: str) -> list[tuple[str, Any]]:
    """The words that the option stands for, with their values. Raises BadRequest."""
    found = [(word, _value(word, name, text)) for word in _words(name)]
    # An overlay is a bridge with tunnels, and `mode` says both.
    return [*found, ("overlay", text == VXLAN)] if found[0][0] == "mode" else found


def _value(word: str, name: str, text: str) -> Any:
    if name.removeprefix(OWN_PREFIX) == "nat":
        return GatewayMode.NAT if _switch(f"option {name}", text) else GatewayMode.ROUTED
    value = PARSERS[word](f"option {name}", text)
    # Docker's name says the family; ours takes either.
    if name == "com.docker.network.bridge.host_binding_ipv4" and value.version != 4:
        raise BadRequest(f"option {name}={shown(text)}: not an IPv4 address")
    return value


def _check(options: NetworkOptions, given: Mapping[str, _Given], internal: bool, ipv6: bool) -> None:
    """Raises BadRequest for options that are right alone and wrong together."""
    if options.mode is Mode.NULL:
        for word, entry in given.items():
            if word not in NULL_WORDS:
                raise BadRequest(f"option {entry.name} has no effect in mode null, which creates no interfaces")
    check_handoff(options, {word: entry.name for word, entry in given.items()})
    check_cluster(options, {word: entry.name for word, entry in given.items()}, internal)
    if ipv6 and options.mtu and options.mtu < MTU_LEAST[6]:
        raise BadRequest(f"option {given['mtu'].name}={options.mtu}: IPv6 needs an MTU of at least {MTU_LEAST[6]}")
    modes = {4: options.gateway_mode4, 6: options.gateway_mode6}
    for version, mode in modes.items():
        if mode is GatewayMode.ISOLATED and not internal:
            name = given[f"gateway_mode{version}"].name
            raise BadRequest(f"option {name}=isolated is for internal networks only", hint="add --internal")
    nat = {version for version, mode in modes.items() if mode in (GatewayMode.NAT, GatewayMode.NAT_UNPROTECTED)}
    if "masquerade" in given and options.masquerade and not nat:
        raise BadRequest(f"option {given['masquerade'].name} contradicts gateway modes without address translation")
    for version in (4, 6):
        source = given.get(f"source{version}")
        if source is not None and (version not in nat or not options.masquerade):
            raise BadRequest(
                f"option {source.name} names the address to translate to, but IPv{version} is not translated"
            )


def _switch(what: str, text: str) -> bool:
    try:
        return SWITCH[text.lower()]
    except KeyError:
        raise BadRequest(f"{what}={shown(text)}: must be on or off") from None


def _dns(what: str, text: str) -> Dns:
    if text.lower() == Dns.HEALTHY.value:
        return Dns.HEALTHY
    try:
        return Dns.ON if SWITCH[text.lower()] else Dns.OFF
    except KeyError:
        raise BadRequest(f"{what}={shown(text)}: must be on, off or healthy") from None


def _integer(what: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high):
        raise BadRequest(f"{what}={shown(text)}: must be a number from {low} to {high}")
    return int(text)


def _mtu(what: str, text: str) -> int:
    return 0 if text == "0" else _integer(what, text, MTU_LEAST[4], MTU_MOST)


def _mode(what: str, text: str) -> Mode:
    if text in MODES_NOT_BUILT:
        raise BadRequest(f"{what}={text} is not supported yet; supported: {', '.join(_MODES)}")
    try:
        return Mode.BRIDGE if text == VXLAN else Mode(text)
    except ValueError:
        names = ", ".join(_MODES)
        raise BadRequest(f"{what}={shown(text)}: must be one of {names}") from None


def _one_of(kind: type[E]) -> Callable[[str, str], E]:
    """A parser of the values of the enumeration."""

    def parse(what: str, text: str) -> E:
        try:
            return kind(text)
        except ValueError:
            names = ", ".join(each.value for each in kind)
            raise BadRequest(f"{what}={shown(text)}: must be one of {names}") from None

    return parse


def _name(what: str, text: str, most: int) -> str:
    if not text or len(text) > most or not set(text) <= WORD_CHARACTERS:
        raise BadRequest(f"{what}={shown(text)}: must be 1 to {most} letters, digits, dots, hyphens or underscores")
    return text


def _bridge(what: str, text: str) -> str:
    if text in RESERVED_NAMES:
        raise BadRequest(f"{what}={text}: this name is reserved")
    return _name(what, text, NAME_BYTES)


def _host(what: str, text: str) -> Address:
    """An address that the host may have; unspecified stands for every address of the family."""
    address = parse_address(text, what)
    if address.is_multicast:
        raise BadRequest(f"{what}={shown(text)}: a host cannot have a multicast address")
    return address


def _source(kind: type[IPv4Address] | type[IPv6Address]) -> Callable[[str, str], Address]:
    def parse(what: str, text: str) -> Address:
        address = _host(what, text)
        if not isinstance(address, kind) or address.is_unspecified or address.is_loopback:
            family = "IPv4" if kind is IPv4Address else "IPv6"
            raise BadRequest(f"{what}={shown(text)}: must be one {family} address of the host")
        return address

    return parse


def _gateway(what: str, text: str) -> bool:
    if text not in ("none", "auto"):
        raise BadRequest(f"{what}={shown(text)}: must be none or auto", hint="name the address itself with --gateway")
    return text == "auto"


def _routes(what: str, text: str) -> tuple[StaticRoute, ...]:
    """`10.0.0.0/8 via 10.32.0.9, 192.0.2.0/24` as values, in the order given."""
    routes: list[StaticRoute] = []
    for part in text.split(","):
        match part.split():
            case [destination]:
                route = StaticRoute(parse_subnet(f"{what}: destination", destination), None)
            case [destination, "via", hop]:
                via = _host(f"{what}: next hop", hop)
                route = StaticRoute(parse_subnet(f"{what}: destination", destination), via)
                if via.version != route.destination.version or via.is_unspecified:
                    raise BadRequest(f"{what}: {shown(hop)} cannot be the next hop to {route.destination}")
            case _:
                raise BadRequest(f"{what}: {shown(part.strip() or text)} is not `SUBNET` or `SUBNET via ADDRESS`")
        if any(route.destination == other.destination for other in routes):
            raise BadRequest(f"{what}: {route.destination} is given twice")
        routes.append(route)
    return tuple(routes)


PARSERS: dict[str, Callable[[str, str], Any]] = {
    "mode": _mode,
    "bridge": _bridge,
    "mtu": _mtu,
    "interface_prefix": lambda what, text: _name(what, text, PREFIX_BYTES),
    "icc": _switch,
    "masquerade": _switch,
    "gateway_mode4": _one_of(GatewayMode),
    "gateway_mode6": _one_of(GatewayMode),
    "source4": _source(IPv4Address),
    "source6": _source(IPv6Address),
    "binding": _host,
    "routes": _routes,
    "peers": lambda what, text: _name(what, text, 63),
    "gateway": _gateway,
    "tenant": lambda what, text: _name(what, text, 63),
    "sticky": _one_of(Sticky),
    "host_overlap": _one_of(HostOverlap),
    "host_access": _one_of(HostAccess),
    "dns": _dns,
    "port_security": _switch,
    "subnets": _one_of(Subnets),
    "ipv6": _switch,
    "pool": lambda what, text: _name(what, text, 63),
    "pool6": lambda what, text: _name(what, text, 63),
    "scope": _one_of(Scope),
    "vni": lambda what, text: _integer(what, text, 1, VNI_MOST),
    "encrypted": lambda what, text: _switch(what, text or "on"),  # Docker's overlay has it without a value
    "multicast": _switch,
    "offload": _switch,
    "ingress": _one_of(Ingress),
}
IPAM_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "tenant": PARSERS["tenant"],
    "gateway": _gateway,
    "claim": _one_of(ClaimPolicy),
    "move": _one_of(MovePolicy),
    "pool": PARSERS["pool"],
    "pool6": PARSERS["pool6"],
    "prefixlen": lambda what, text: _integer(what, text, 1, 32),
    "prefixlen6": lambda what, text: _integer(what, text, 1, 128),
}
