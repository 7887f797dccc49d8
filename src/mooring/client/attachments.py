"""Running containers put into networks and taken out of them, by a program."""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.core.views import AttachmentView
from mooring.wire.api import Attach, Detach


class Attachments(Asking):
    """Which container is in which network. container, network: as people write them."""

    def attach(self, container: str, network: str, addresses: tuple[str, ...] = ()) -> AttachmentView:
        """The container is in the network, with these addresses, or those that are reserved for it there, or any."""
        return self._post(AttachmentView, "containers/attach", Attach(container, network, addresses))

    def detach(self, container: str, network: str) -> AttachmentView:
        """The container is not in the network, and no address is kept for it there."""
        return self._post(AttachmentView, "containers/detach", Detach(container, network))
