"""VNICs, asked for by a program, and made and removed. `mooring.launcher` does the same with the Docker network."""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.core.vnic_views import VnicDetail, VnicRow
from mooring.wire.api import CreateVnic, RemoveVnic, VnicReply


class Vnics(Asking):
    """Interfaces that a launcher has made before any container."""

    def vnics(self, *, tenant: str = "", subnet: str = "", instance: str = "") -> list[VnicRow]:
        """The VNICs that match everything given, by tenant, subnet and address."""
        return self._rows(VnicRow, "vnics", {"tenant": tenant, "subnet": subnet, "instance": instance})

    def vnic(self, vnic: str, *, tenant: str = "") -> VnicDetail:
        """The VNIC with that ID, address or interface. tenant: whose, if several have the address."""
        return self._get(VnicDetail, "vnics", vnic, tenant=tenant)

    def create_vnic(
        self, subnet: str, address: str, *, tenant: str = "", mac: str = "", mtu: int | None = None, gateway: str = "",
        routes: tuple[str, ...] = (), instance: str = "", adopt: str = "", wait: float = 10.0,
    ) -> VnicReply:  # fmt: skip
        """An interface for the container that gets the address is there; the same again changes nothing.

        mtu: bytes, None for 1500. gateway: "" for the first address of the subnet, `none` for none. routes: each
        `SUBNET` or `SUBNET via ADDRESS`. instance: whose it is, in the launcher's words. adopt: the interface of the
        host that it shall be, "" to make one. wait: seconds, for the Docker network of another tenant with an equal
        subnet.
        """
        body = CreateVnic(
            subnet, address, tenant, mac, mtu, gateway, routes, instance, adopt, wait
        )  # fmt: skip
        return self._post(VnicReply, "vnics/create", body)

    def remove_vnic(
        self, vnic: str, *, tenant: str = "", force: bool = False, dry_run: bool = False
    ) -> VnicReply:  # fmt: skip
        """A VNIC (ID, address or interface) is gone; one that is not there is gone already. force: also while a
        container has it. dry_run: nothing is done, and the reply is the same."""
        return self._post(VnicReply, "vnics/remove", RemoveVnic(vnic, tenant, force, dry_run))
