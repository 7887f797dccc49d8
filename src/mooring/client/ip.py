"""Addresses by id, asked for by a program."""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.wire.api import OwnersReply


class Ip(Asking):
    """Addresses of containers, and of whoever else has an id. network: whose subnet, as people write it; space: the
    address space; both may be left out where there is one only. check_alive: the id is that of a running container, and
    its address ends with it."""

    def ips(self) -> OwnersReply:
        """Every id that has addresses."""
        return self._get(OwnersReply, "ip")

    def allocate_ip(
        self, ident: str, *, network: str = "", space: str = "", check_alive: bool = False, wait: float = 0.0
    ) -> str:
        """The id has an address, as 10.32.0.2/24: the one it had, or a free one. wait: seconds for one to become free;
        the client's own timeout is to be longer."""
        return self._text("POST", "ip", ident, network=network, space=space, check_alive=check_alive, wait=wait)

    def allocate_ip_in(
        self, ident: str, address: str, length: str, *, network: str = "", space: str = "", check_alive: bool = False,
        wait: float = 0.0,
    ) -> str:  # fmt: skip
        """As allocate_ip, of the subnet."""
        return self._text(
            "POST", "ip", ident, address, length, network=network, space=space, check_alive=check_alive, wait=wait
        )

    def claim_ip(
        self, ident: str, address: str, length: str, *, space: str = "", check_alive: bool = False,
        no_error_on_unknown: bool = False,
    ) -> None:  # fmt: skip
        """The id has this address. no_error_on_unknown: one of no subnet of Mooring's is no error."""
        self._text(
            "PUT", "ip", ident, address, length, space=space, check_alive=check_alive,
            noErrorOnUnknown=no_error_on_unknown,
        )  # fmt: skip

    def look_up_ip(self, ident: str, *, network: str = "", space: str = "") -> str:
        """The addresses of the id, with spaces between them."""
        return self._text("GET", "ip", ident, network=network, space=space)

    def look_up_ip_in(self, ident: str, address: str, length: str, *, network: str = "", space: str = "") -> str:
        """As look_up_ip, of the subnet."""
        return self._text("GET", "ip", ident, address, length, network=network, space=space)

    def release_ips(self, ident: str, *, space: str = "") -> None:
        """Nothing is reserved for the id any more."""
        self._text("DELETE", "ip", ident, space=space)

    def release_ip(self, ident: str, address: str, *, space: str = "") -> None:
        """The address is not reserved for the id any more."""
        self._text("DELETE", "ip", ident, address, space=space)
