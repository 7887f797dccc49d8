"""What a sandbox may be and may join, as far as records alone tell."""

from __future__ import annotations

from dataclasses import replace

from mooring.core.faults import BadRequest, Conflict
from mooring.core.host_files import check_names
from mooring.core.networks import BRIDGE, HOST, NULL, Network
from mooring.core.requests import SandboxSpec
from mooring.core.sandboxes import Kind, Sandbox


def blank(ident: str, spec: SandboxSpec, now: float) -> Sandbox:
    """What never changes. Raises BadRequest."""
    if spec.path and spec.kind is not Kind.EXTERNAL:
        raise BadRequest("only an external sandbox has a path", hint="leave it out, or make the sandbox external")
    return Sandbox(ident, spec.name or ident[:12], spec.kind, spec.path, now)


def requested(sandbox: Sandbox, spec: SandboxSpec, folder: str) -> Sandbox:
    """The sandbox with the spec's settings. folder: where those files are that the spec does not place. Raises
    BadRequest."""
    check_names(spec)
    return replace(
        sandbox,
        hostname=spec.hostname,
        domain=spec.domain,
        dns=spec.dns,
        search=spec.search,
        dns_options=spec.dns_options,
        hosts=spec.hosts,
        hosts_path=spec.hosts_path or f"{folder}/{sandbox.id}/hosts",
        resolv_conf_path=spec.resolv_conf_path or f"{folder}/{sandbox.id}/resolv.conf",
        resolver=spec.resolver,
        exposed=spec.exposed,
        ports=spec.ports,
        labels=dict(spec.labels),
    )


def place_of(sandbox: Sandbox) -> str:
    """What no two sandboxes share."""
    return "the host" if sandbox.kind is Kind.HOST else sandbox.key


def described(sandbox: Sandbox) -> str:
    """Its place, for people."""
    return "the host" if sandbox.kind is Kind.HOST else f"the namespace {sandbox.path}"


def must_fit(sandbox: Sandbox, network: Network) -> None:
    """Raises Conflict for a network that sandboxes of the kind cannot join."""
    if sandbox.kind is Kind.HOST and network.driver == BRIDGE:
        raise not_in_host(network)
    if sandbox.kind is not Kind.HOST and network.driver == HOST:
        raise Conflict(f"network {network.name} is the host's own", hint="only the sandbox of the host can join it")


def not_in_host(network: Network) -> Conflict:
    """The refusal of a network whose driver gives an interface."""
    return Conflict(
        f"the sandbox of the host cannot join network {network.name}: its driver {network.driver} gives an interface",
        hint=f"join networks of the drivers {HOST} and {NULL}",
    )
