"""Network ports, asked for by a program, and made and removed."""

from __future__ import annotations

from collections.abc import Sequence

from mooring.client.asking import Asking
from mooring.core.states import PortState
from mooring.core.views import PortDetail, PortRow
from mooring.wire.api import CreatePort, PortReply, RemovePort, SetPort


class NetworkPorts(Asking):
    """Addresses that are made before any container. port: an id, a beginning of one, or a name. dry_run: nothing is
    done, only tried."""

    def ports(
        self,
        *,
        network: str = "",
        tenant: str = "",
        state: PortState | None = None,
        name: str = "",
        mac: str = "",
        address: str = "",
    ) -> list[PortRow]:
        """The ports that match everything given, by network and name."""
        given = {"network": network, "tenant": tenant, "state": state, "name": name, "mac": mac, "address": address}
        return self._rows(PortRow, "ports", given)

    def port(self, port: str) -> PortDetail:
        """The port with the id or the name: who has it, who names it, and how a container asks for it."""
        return self._get(PortDetail, "ports", port)

    def create_port(
        self, network: str, *, subnets: Sequence[str] = (), addresses: Sequence[str] = (), mac: str = "",
        name: str = "", tenant: str = "", note: str = "", dry_run: bool = False,
    ) -> PortReply:  # fmt: skip
        """A port exists in the network. subnets, addresses: at most one of each family; without any it has one address
        of each family of the network. tenant: whose the network has to be."""
        body = CreatePort(network, tuple(subnets), tuple(addresses), mac, name, tenant, note, dry_run)
        return self._post(PortReply, "ports/create", body)

    def set_port(self, port: str, *, note: str = "", dry_run: bool = False) -> PortReply:
        """A port has another note."""
        return self._post(PortReply, "ports/set", SetPort(port, note, dry_run))

    def remove_port(self, port: str, *, force: bool = False, dry_run: bool = False) -> PortReply:
        """A port is gone; refused while an endpoint has it. force: although containers that do not run name it."""
        return self._post(PortReply, "ports/remove", RemovePort(port, force, dry_run))
