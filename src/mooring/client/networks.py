"""Networks, asked for by a program."""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.core.states import Mode
from mooring.core.views import NetworkDetail, NetworkRow


class Networks(Asking):
    """The networks of the host."""

    def networks(
        self, *, name: str = "", subnet: str = "", mode: Mode | None = None, space: str = ""
    ) -> list[NetworkRow]:
        """The networks that match everything given, oldest first. name: any part of it. subnet, space: one of its."""
        return self._rows(NetworkRow, "networks", {"name": name, "subnet": subnet, "mode": mode, "space": space})

    def network(self, reference: str) -> NetworkDetail:
        """One network, by its ID or a prefix of it, its name in Docker or compose, its bridge, or its subnet."""
        return self._get(NetworkDetail, "networks", reference)
