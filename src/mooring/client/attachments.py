"""Running containers, and the host, put into networks and taken out of them, by a program."""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.core.views import AttachmentView, ExposureView
from mooring.wire.api import Attach, Detach, Expose, Hide


class Attachments(Asking):
    """Who is in which network. container, network: as people write them."""

    def attach(self, container: str, network: str, addresses: tuple[str, ...] = ()) -> AttachmentView:
        """The container is in the network, with these addresses, or those that are reserved for it there, or any."""
        return self._post(AttachmentView, "containers/attach", Attach(container, network, addresses))

    def detach(self, container: str, network: str, *, dry_run: bool = False) -> AttachmentView:
        """The container is not in the network, and no address is kept for it there."""
        return self._post(AttachmentView, "containers/detach", Detach(container, network, dry_run))

    def expose(self, network: str, addresses: tuple[str, ...] = ()) -> ExposureView:
        """The host has these addresses in the network, or one of each family, if none is given and it has none."""
        return self._post(ExposureView, "networks/expose", Expose(network, addresses))

    def hide(self, network: str, addresses: tuple[str, ...] = ()) -> ExposureView:
        """The host does not have these addresses in the network any more, or none but the network's gateways."""
        return self._post(ExposureView, "networks/hide", Hide(network, addresses))
