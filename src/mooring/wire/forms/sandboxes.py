"""The forms of sandboxes.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from ipaddress import ip_address

from msgspec import field

from mooring.core.port_bindings import Protocol
from mooring.core.sandboxes import Kind, Sandbox
from mooring.wire.forms.elements import PortRequestV1, Stored, id_of, port_request_form


class SandboxV1(Stored, tag=1):
    """A sandbox; its id is in the key."""

    name: str
    kind: Kind
    path: str
    created: float
    hostname: str = ""
    domain: str = ""
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    hosts_path: str = ""
    resolv_conf_path: str = ""
    resolver: bool = True
    exposed: tuple[tuple[Protocol, int], ...] = ()
    ports: tuple[PortRequestV1, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    deleting: bool = False
    identity: str = ""

    def record(self, key: str) -> Sandbox:
        """The sandbox that is kept under the key."""
        return Sandbox(
            id=id_of(key),
            name=self.name,
            kind=self.kind,
            path=self.path,
            created=self.created,
            hostname=self.hostname,
            domain=self.domain,
            dns=tuple(map(ip_address, self.dns)),
            search=self.search,
            dns_options=self.dns_options,
            hosts=tuple((name, ip_address(text)) for name, text in self.hosts),
            hosts_path=self.hosts_path,
            resolv_conf_path=self.resolv_conf_path,
            resolver=self.resolver,
            exposed=self.exposed,
            ports=tuple(each.value() for each in self.ports),
            labels=self.labels,
            deleting=self.deleting,
            identity=self.identity,
        )


def sandbox_form(sandbox: Sandbox) -> SandboxV1:
    """The newest form of a sandbox."""
    return SandboxV1(
        name=sandbox.name,
        kind=sandbox.kind,
        path=sandbox.path,
        created=sandbox.created,
        hostname=sandbox.hostname,
        domain=sandbox.domain,
        dns=tuple(map(str, sandbox.dns)),
        search=sandbox.search,
        dns_options=sandbox.dns_options,
        hosts=tuple((name, str(address)) for name, address in sandbox.hosts),
        hosts_path=sandbox.hosts_path,
        resolv_conf_path=sandbox.resolv_conf_path,
        resolver=sandbox.resolver,
        exposed=sandbox.exposed,
        ports=tuple(map(port_request_form, sandbox.ports)),
        labels=sandbox.labels,
        deleting=sandbox.deleting,
        identity=sandbox.identity,
    )
