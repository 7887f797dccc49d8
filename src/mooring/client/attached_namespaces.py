"""Network namespaces that are no container's, put into networks and taken out of them, by a program.

mooring.attaching does what has to be done inside as well.
"""

from __future__ import annotations

from mooring.client.asking import Asking
from mooring.core.namespace_views import NamespaceView
from mooring.wire.api import AttachNamespace, ConfirmNamespace, DetachNamespace


class AttachedNamespaces(Asking):
    """Which namespace is in which network. namespace: which one it is, as AttachNamespace has it."""

    def attach_namespace(
        self, namespace: str, name: str, network: str, addresses: tuple[str, ...] = (), taken: tuple[str, ...] = (),
        containers: tuple[str, ...] = (),
    ) -> NamespaceView:  # fmt: skip
        """The namespace has an endpoint in the network; the answer says what is to be inside."""
        body = AttachNamespace(namespace, name, network, addresses, taken, containers)
        return self._post(NamespaceView, "namespaces/attach", body)

    def confirm_namespace(self, namespace: str, network: str) -> NamespaceView:
        """What was to be in the namespace is there: it stays in the network for as long as it lives."""
        return self._post(NamespaceView, "namespaces/confirm", ConfirmNamespace(namespace, network))

    def detach_namespace(
        self, name: str, network: str, namespace: str = "", dry_run: bool = False, unconfirmed: bool = False
    ) -> NamespaceView:
        """The namespace is not in the network; the answer says what it is to have of other networks. unconfirmed: only
        when nobody has confirmed that it is there."""
        body = DetachNamespace(name, network, namespace, dry_run, unconfirmed)
        return self._post(NamespaceView, "namespaces/detach", body)
