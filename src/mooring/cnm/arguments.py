"""What a program gives the library, read into the values that the services take.

Rules: every argument is checked before anything is done, by its type too, because not every program is type-checked; a
refusal is a BadRequest that names the argument and shows what was given; nothing here looks at what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from typing import Any, TypeVar

from mooring.cnm.values import Subnet
from mooring.core.addresses import parse_address
from mooring.core.endpoints import Service
from mooring.core.faults import BadRequest
from mooring.core.networks import BRIDGE, HOST, NULL, NULL_IPAM, Address
from mooring.core.networks import Subnet as Network
from mooring.core.options import parse_subnet, shown, unknown
from mooring.core.pools import SubnetPool
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import SandboxSpec, SubnetSpec
from mooring.core.sandboxes import Sandbox
from mooring.core.times import seconds_of
from mooring.wire.remote_options import parse_mac

NAME_LONGEST = 255
LONGEST_PERIOD = 86400
# PATH_MAX, path_resolution(7).
PATH_LONGEST = 4096
# More than anybody needs, and no more than any store can keep.
PRIORITY_MOST = 2**31 - 1

T = TypeVar("T")


def text(what: str, value: object) -> str:
    """The value, which is Unicode text, perhaps empty. Raises BadRequest."""
    if not isinstance(value, str):
        raise BadRequest(f"{what} must be text, not {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequest(f"{what} {shown(value)} is not Unicode text") from None
    return value


def word(what: str, value: object) -> str:
    """Text on one line. Raises BadRequest."""
    found = text(what, value)
    if not found.isprintable():
        raise BadRequest(f"{what} {shown(found)} has characters that cannot be printed")
    return found


def name(what: str, value: object, *, optional: bool = False) -> str:
    """A name of 1 to 255 printable characters without space and slash; "" only if optional. Raises BadRequest."""
    found = word(what, value)
    if not found and not optional:
        raise BadRequest(f"{what} is empty")
    if len(found) > NAME_LONGEST:
        raise BadRequest(f"{what} {shown(found)} has {len(found)} characters; at most {NAME_LONGEST} are allowed")
    if "/" in found or any(character.isspace() for character in found):
        raise BadRequest(f"{what} {shown(found)} must not have slashes or spaces")
    return found


def path(what: str, value: object) -> str:
    """An absolute path, or "". Raises BadRequest."""
    found = word(what, str(value) if isinstance(value, PurePath) else value)
    if found and not found.startswith("/"):
        raise BadRequest(f"{what} {shown(found)} must be an absolute path")
    if len(found.encode()) >= PATH_LONGEST:
        raise BadRequest(f"{what} {shown(found)} is too long for a path")
    return found


def switch(what: str, value: object) -> bool:
    """True or False, nothing that only counts as such. Raises BadRequest."""
    if not isinstance(value, bool):
        raise BadRequest(f"{what} must be True or False, not {_kind(value)}")
    return value


def number(what: str, value: object, low: int, high: int) -> int:
    """A whole number within the bounds. Raises BadRequest."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"{what} must be a whole number, not {_kind(value)}")
    if not low <= value <= high:
        raise BadRequest(f"{what} must be from {low} to {high}")
    return value


def priority(value: object) -> int:
    """Of an endpoint in its sandbox. Raises BadRequest."""
    return number("priority", value, -PRIORITY_MOST - 1, PRIORITY_MOST)


def every(what: str, value: object, read: Callable[[str, Any], T]) -> tuple[T, ...]:
    """Each item of a list, read. Raises BadRequest: also for text, of which the items would be its characters."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise BadRequest(f"{what} must be a list, not {_kind(value)}")
    return tuple(read(what, item) for item in value)


def texts(what: str, value: object) -> dict[str, str]:
    """A mapping of text to text. Raises BadRequest."""
    if not isinstance(value, Mapping):
        raise BadRequest(f"{what} must be a mapping of text to text, not {_kind(value)}")
    found = {text(f"{what}: a key", key): text(f"{what}: {key!r}", item) for key, item in value.items()}
    if "" in found:
        raise BadRequest(f"{what}: a key is empty")
    return found


def address(what: str, value: object) -> Address:
    """An address without a length. Raises BadRequest."""
    if isinstance(value, IPv4Address | IPv6Address):
        value = str(value).partition("/")[0]  # an IPv4Interface is one, too
    return parse_address(text(what, value), what)


def subnet(what: str, value: object) -> Network:
    """A prefix without host bits. Raises BadRequest."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    return parse_subnet(what, text(what, value))


def mac(value: object) -> str:
    """A MAC in lower case, or "". Raises BadRequest."""
    found = text("mac", value)
    return parse_mac("mac", found) if found else ""


F = TypeVar("F", Address, Network)


def one_of_each(what: str, value: object, read: Callable[[str, Any], F]) -> tuple[F, ...]:
    """At most one address or subnet of each family, IPv4 first. Raises BadRequest."""
    found = every(what, value, read)
    if len({item.version for item in found}) < len(found):
        raise BadRequest(f"{what}: {', '.join(map(str, found))} are more than one of a family")
    return tuple(sorted(found, key=lambda item: item.version))


def subnets(value: object, *, ipv4: bool, ipv6: bool, driver: str, ipam: str) -> tuple[SubnetSpec, ...]:
    """The subnets given, and one to be chosen for each family that is wanted and has none. Raises BadRequest.

    Networks of the drivers without addresses, and of the IPAM driver that gives none, get none unasked; a bridge needs
    one (libnetwork/drivers/bridge/bridge_linux.go).
    """
    given = every("subnets", value, _subnet_spec)
    wanted = {4: ipv4, 6: ipv6}
    for spec in given:
        if spec.version == 4 and not ipv4:
            raise BadRequest(f"subnet {spec.subnet} is IPv4, but ipv4 is False")
    families = {spec.version for spec in given}
    if driver in (HOST, NULL) or ipam == NULL_IPAM:
        wanted = {}
    found = (*given, *(SubnetSpec(version) for version, want in wanted.items() if want and version not in families))
    if driver == BRIDGE and not found:
        raise BadRequest("subnets: a bridge needs one of either family", hint="leave ipv4 True, and ipam default")
    return found


def _subnet_spec(what: str, value: object) -> SubnetSpec:
    if not isinstance(value, Subnet):
        found = subnet(what, value)
        return SubnetSpec(found.version, found)
    found = subnet(what, value.subnet)
    part = None if value.range is None else subnet("range", value.range)
    gateway = None if value.gateway is None else address("gateway", value.gateway)
    if not isinstance(value.auxiliary, Mapping):
        raise BadRequest(f"auxiliary must be a mapping of names to addresses, not {_kind(value.auxiliary)}")
    auxiliary = {name("auxiliary", key): address("auxiliary", item) for key, item in value.auxiliary.items()}
    for label, inside in (("gateway", gateway), *(("auxiliary", item) for item in auxiliary.values())):
        if inside is not None and inside not in found:
            raise BadRequest(f"{label} {inside} is not in the subnet {found}")
    if part is not None and not (part.network_address in found and part.broadcast_address in found):
        raise BadRequest(f"range {part} is not in the subnet {found}")
    return SubnetSpec(found.version, found, part, gateway, auxiliary)


def service(what: str, value: object) -> Service:
    """`http:80/tcp`, for SRV records. Raises BadRequest."""
    given = word(what, value)
    label, colon, rest = given.partition(":")
    if not colon or not label:
        raise BadRequest(f"{what} {shown(given)} is not a service; write it as http:80/tcp")
    protocol, port = exposed(what, rest)
    return Service(name(what, label), protocol, port)


def exposed(what: str, value: object) -> tuple[Protocol, int]:
    """`80/tcp` or `80`. Raises BadRequest."""
    given = word(what, value)
    port, slash, label = given.partition("/")
    try:
        protocol = Protocol[label.upper()] if slash else Protocol.TCP
    except KeyError:
        raise BadRequest(f"{what} {shown(given)}: {shown(label)} is not tcp, udp or sctp") from None
    return protocol, _port(what, given, port)


def published(what: str, value: object) -> PortRequest:
    """A port request, or one as Docker writes it: `[HOST:][PORT[-PORT]:]PORT[/PROTOCOL]`. Raises BadRequest."""
    if isinstance(value, PortRequest):
        _check_request(what, value)
        return value
    given = word(what, value)
    head, slash, label = given.partition("/")
    before, colon, inside = head.rpartition(":")
    protocol, port = exposed(what, inside + slash + label)
    if not colon:
        return PortRequest(protocol, port)
    host, host_colon, ports = before.rpartition(":")
    if not host_colon and "." in before:
        raise BadRequest(f"{what} {shown(given)} has no host port; write it as {shown(before)}::{port}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host or (host_colon and not host):
        raise BadRequest(f"{what} {shown(given)} is not a port; write an IPv6 address in brackets")
    first, dash, last = ports.partition("-")
    low = _port(what, given, first) if first or dash else 0
    high = _port(what, given, last) if dash else low
    if high < low:
        raise BadRequest(f"{what} {shown(given)}: {shown(ports)} is no range")
    return PortRequest(protocol, port, address(what, host) if host else None, low, high)


def _check_request(what: str, request: PortRequest) -> None:
    number(f"{what}: port", request.port, 1, 65535)
    number(f"{what}: first", request.first, 0, 65535)
    number(f"{what}: last", request.last, 0, 65535)
    if not isinstance(request.host, IPv4Address | IPv6Address | None):
        raise BadRequest(f"{what}: host must be an address, not {_kind(request.host)}")
    if (
        not isinstance(request.protocol, Protocol)
        or request.last < request.first
        or (request.last and not request.first)
    ):
        raise BadRequest(f"{what}: {request} is not a port")


def _port(what: str, given: str, digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65535):
        raise BadRequest(f"{what} {shown(given)}: {shown(digits) or 'nothing'} is not a port")
    return int(digits)


def extra_host(what: str, value: object) -> tuple[str, Address]:
    """`name:address`, as with `docker run --add-host`. Raises BadRequest."""
    given = word(what, value)
    label, colon, rest = given.partition(":")
    if not colon:
        raise BadRequest(f"{what} {shown(given)} is not a host; write it as name:10.0.0.1")
    return name(what, label), address(what, rest)


def seconds(what: str, value: object) -> float:
    """A number of seconds, 0 or more, or a length of time such as `15m`. Raises BadRequest."""
    if isinstance(value, str):
        value = seconds_of(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_PERIOD:
        raise BadRequest(f"{what} must be a number of seconds from 0 to {LONGEST_PERIOD}")
    return float(value)


def subnet_pool(what: str, value: object) -> SubnetPool:
    """A SubnetPool. Raises BadRequest."""
    if not isinstance(value, SubnetPool):
        raise BadRequest(f"{what} must be a list of SubnetPool, not of {_kind(value)}")
    return value


def drivers(what: str, value: object, kind: type[Any], builtin: Iterable[str] = ()) -> dict[str, Any]:
    """Drivers by name, each with all that its protocol has. Raises BadRequest, also for a name of a builtin one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadRequest(f"{what} must be a mapping of names to drivers, not {_kind(value)}")
    members = {key: own for key, own in vars(kind).items() if not key.startswith("_")}
    for label, driver in value.items():
        if name(what, label) in builtin:
            raise BadRequest(f"{what}: {label} is the name of a driver that is built in")
        lacking = [
            key
            for key, own in members.items()
            if not hasattr(driver, key) or (callable(own) and not callable(getattr(driver, key)))
        ]
        if isinstance(driver, type) or lacking:
            what_it_lacks = f"lacks {', '.join(lacking)}" if lacking else "is a class, not an object"
            raise BadRequest(f"{what}: {shown(label)} is no {kind.__name__}: it {what_it_lacks}")
    return dict(value)


# What a sandbox can be told: argument -> field of SandboxSpec, and how it is read.
SETTINGS: dict[str, tuple[str, Callable[[str, object], object]]] = {
    "hostname": ("hostname", lambda what, value: name(what, value, optional=True)),
    "domain": ("domain", lambda what, value: name(what, value, optional=True)),
    "dns": ("dns", lambda what, value: every(what, value, address)),
    "search": ("search", lambda what, value: every(what, value, name)),
    "dns_options": ("dns_options", lambda what, value: every(what, value, name)),
    "extra_hosts": ("hosts", lambda what, value: every(what, value, extra_host)),
    "hosts_path": ("hosts_path", path),
    "resolv_conf_path": ("resolv_conf_path", path),
    "resolver": ("resolver", switch),
    "exposed": ("exposed", lambda what, value: every(what, value, exposed)),
    "publish": ("ports", lambda what, value: every(what, value, published)),
    "labels": ("labels", texts),
}


def with_settings(spec: SandboxSpec, settings: Mapping[str, object]) -> SandboxSpec:
    """The spec with the settings (see values.SandboxSettings) in it. Raises BadRequest."""
    changes: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in SETTINGS:
            raise unknown("setting of a sandbox", key, sorted(SETTINGS))
        target, read = SETTINGS[key]
        changes[target] = read(key, value)
    return replace(spec, **changes)


def spec_of(sandbox: Sandbox) -> SandboxSpec:
    """The spec that the sandbox would come from."""
    return SandboxSpec(
        name=sandbox.name,
        kind=sandbox.kind,
        path=sandbox.path,
        **{target: getattr(sandbox, target) for target, _ in SETTINGS.values()},
    )


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
