"""The text of a sandbox's hosts file and resolv.conf.

Rules: text in, text out; what others wrote into a hosts file stays, line by line; a nameserver that only the host can
reach is never given to a sandbox that has to ask for itself; what would break the format of a file is refused before
anything is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address

from mooring.core.addresses import unmapped
from mooring.core.faults import BadRequest
from mooring.core.networks import Address
from mooring.core.requests import SandboxSpec
from mooring.core.sandboxes import Kind, Sandbox

HOSTS, RESOLV_CONF = "/etc/hosts", "/etc/resolv.conf"

# Where the resolver listens in a sandbox (libnetwork/sandbox_dns_unix.go).
RESOLVER = IPv4Address("127.0.0.11")

# Asked when nobody names a nameserver that could be asked (libnetwork/internal/resolvconf/resolvconf.go).
DEFAULTS: tuple[Address, ...] = (IPv4Address("8.8.8.8"), IPv4Address("8.8.4.4"))
DEFAULTS6: tuple[Address, ...] = (IPv6Address("2001:4860:4860::8888"), IPv6Address("2001:4860:4860::8844"))

# What every hosts file begins with (libnetwork/etchosts/etchosts.go).
NEW_HOSTS = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """resolv.conf(5). others: lines of directives that are not known here, as they are."""

    nameservers: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"nameserver {address}" for address in self.nameservers]
        lines += [f"search {' '.join(self.search)}"] if self.search else []
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "".join(f"{line}\n" for line in (*lines, *self.others))


def parse(text: str) -> ResolvConf:
    """What the file says: the last search list counts, options add up, nameservers that are no address are left out.
    Never raises."""
    nameservers: list[Address] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    others: list[str] = []
    for line in text.split("\n"):
        match line.split():
            case [word, *_] if word[0] in "#;":
                continue
            case ["nameserver", address, *_]:
                try:
                    nameservers.append(unmapped(ip_address(address)))
                except ValueError:
                    continue
            case ["search" | "domain", *names]:
                search = tuple(names) or search
            case ["options", *more]:
                options += more
            case [_, *_] as words if words[0] != "nameserver":
                others.append(line)
    return ResolvConf(tuple(nameservers), search, tuple(options), tuple(others))


def ndots(options: Iterable[str]) -> int | None:
    """The value of the option, None when it is not there or no number."""
    value = None
    for option in options:
        name, _, number = option.partition(":")
        if name == "ndots" and number.isascii() and number.isdigit():
            value = int(number)
    return value


def resolv_conf(sandbox: Sandbox, host: str | None, *, ipv6: bool) -> str:
    """The sandbox's resolv.conf. host: the host's, None when there is none. ipv6: whether the sandbox has that family.

    What the sandbox says takes the place of what the host says. In the host's namespace that is all; with the resolver
    it is the only nameserver, and names are tried as they are first (ndots:0) unless somebody wants it otherwise;
    without it, nameservers that the sandbox cannot reach are left out, and public ones stand in when none is left.
    """
    if sandbox.kind is Kind.HOST and not (sandbox.dns or sandbox.search or sandbox.dns_options):
        return host or ""
    found = parse(host or "")
    conf = ResolvConf(
        sandbox.dns or found.nameservers,
        tuple(name for name in sandbox.search if name != ".") if sandbox.search else found.search,
        sandbox.dns_options or found.options,
        found.others,
    )
    if sandbox.kind is Kind.HOST:
        return str(conf)
    if not sandbox.resolver:
        return str(conf if sandbox.dns else replace(conf, nameservers=_reachable(found.nameservers, ipv6)))
    options = tuple(
        option for option in conf.options if option.partition(":")[0] != "ndots" or ndots((option,)) is not None
    )
    if ndots(options) is None:
        options += ("ndots:0",)
    return str(replace(conf, nameservers=(RESOLVER,), options=options))


def upstreams(sandbox: Sandbox, host: str | None) -> tuple[Address, ...]:
    """The nameservers that the sandbox's resolver asks for what it does not know; never empty. A loopback address of
    the host's is asked from there; one that belongs to a link of the host's is of no use in a sandbox."""
    return (
        sandbox.dns or tuple(address for address in parse(host or "").nameservers if not _scoped(address)) or DEFAULTS
    )


def _reachable(nameservers: Iterable[Address], ipv6: bool) -> tuple[Address, ...]:
    found = tuple(
        address
        for address in nameservers
        if not (address.is_loopback or _scoped(address)) and (address.version == 4 or ipv6)
    )
    return found or (DEFAULTS + DEFAULTS6 if ipv6 else DEFAULTS)


def _scoped(address: Address) -> bool:
    return isinstance(address, IPv6Address) and address.scope_id is not None


def host_lines(sandbox: Sandbox, addresses: Iterable[Address]) -> list[str]:
    """Our lines of the sandbox's hosts file: its extra hosts, then one for each of its addresses, each line once.

    A sandbox without a hostname has none of the latter, and neither has the host's, which knows its own name. A name
    with dots is followed by its first label (libnetwork/sandbox_dns_unix.go).
    """
    lines = [f"{address}\t{name}" for name, address in sandbox.hosts]
    if sandbox.hostname and sandbox.kind is not Kind.HOST:
        full = ".".join(part for part in (sandbox.hostname, sandbox.domain) if part)
        short, dot, _ = full.partition(".")
        lines += [f"{address}\t{full} {short}" if dot else f"{address}\t{full}" for address in addresses]
    return list(dict.fromkeys(lines))


def merge(text: str, ours: Collection[str], lines: Sequence[str]) -> str:
    """The hosts file with the lines in it, and no other of `ours`; everything else stays as it is, in its order.

    ours: lines that we wrote before and may take away.
    """
    kept = [line for line in text.split("\n") if line not in ours or line in lines]
    missing = [line for line in lines if line not in kept]
    if missing and kept[-1:] == [""]:
        kept.pop()  # what followed the last line feed
    return "\n".join([*kept, *missing, ""] if missing else kept)


def digest(text: str) -> str:
    """What tells whether a text was changed. Empty lines at its end do not count: an update that was cut off leaves
    some."""
    return sha256(text.rstrip("\n").encode(errors="surrogateescape")).hexdigest()


def check_names(spec: SandboxSpec) -> None:
    """Everything of the spec that goes into a file fits into it. Raises BadRequest, naming what does not."""
    single = [("hostname", spec.hostname), ("domain", spec.domain)]
    listed = [("search domain", name) for name in spec.search] + [("DNS option", name) for name in spec.dns_options]
    listed += [("extra host", name) for name, _ in spec.hosts]
    # An IPv6 address may have anything behind its %.
    listed += [("address of the extra host", str(address)) for _, address in spec.hosts]
    listed += [("nameserver", str(address)) for address in spec.dns]
    for what, name in [pair for pair in single if pair[1]] + listed:
        if not name or any(
            character in "#;" or not character.isprintable() or character.isspace() for character in name
        ):
            raise BadRequest(
                f"{what} {name!r} cannot be written into a file", hint="use letters, digits, dots, hyphens"
            )
    for path in (spec.hosts_path, spec.resolv_conf_path):
        if path:
            _check_path(path)
    if spec.hosts_path and spec.resolv_conf_path:
        # ".hash": the note beside a file (core/file_notes.py).
        shorter, longer = sorted((spec.hosts_path, spec.resolv_conf_path))
        if longer in (shorter, f"{shorter}.hash"):
            raise BadRequest(f"{shorter} cannot be both the hosts file and the resolv.conf")


def _check_path(path: str) -> None:
    if not path.startswith("/") or not path.isprintable():
        raise BadRequest(f"{path!r} is not an absolute path of a file")
    if not {"", ".", ".."}.isdisjoint(path[1:].split("/")):
        raise BadRequest(f"{path} is not a plain path", hint="leave out . and .., doubled slashes and the last one")
    if path in (HOSTS, RESOLV_CONF):
        raise BadRequest(f"{path} is the host's own", hint="leave the path empty: the sandbox gets a copy")
