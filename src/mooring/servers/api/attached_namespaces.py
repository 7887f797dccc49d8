"""Network namespaces that are no container's, put into networks and taken out of them."""

from __future__ import annotations

from mooring.core.addresses import parse_address
from mooring.core.namespace_views import NamespaceView
from mooring.servers.api.routes import route
from mooring.services.operations.attached_namespaces import Namespace
from mooring.services.operations.operations import Operations
from mooring.wire.api import AttachNamespace, ConfirmNamespace, DetachNamespace


class AttachedNamespaces:
    """Which namespace is in which network. Whoever asks does what is to be done inside."""

    def __init__(self, operations: Operations) -> None:
        self._namespaces = operations.attached_namespaces

    @route("POST", "/v1/namespaces/attach", namespace="BOOT:COOKIE", name="lab-1", network="web")
    async def attach_namespace(self, body: AttachNamespace) -> NamespaceView:
        """The namespace has an endpoint in the network; the answer says what is to be inside."""
        namespace = Namespace(body.namespace, body.name, frozenset(body.taken), body.containers)
        return await self._namespaces.attach(namespace, body.network, [*map(parse_address, body.addresses)])

    @route("POST", "/v1/namespaces/confirm", namespace="BOOT:COOKIE", network="web")
    async def confirm_namespace(self, body: ConfirmNamespace) -> NamespaceView:
        """What was to be in the namespace is there: it stays in the network for as long as it lives."""
        return await self._namespaces.confirm(body.namespace, body.network)

    @route("POST", "/v1/namespaces/detach", name="lab-1", network="web")
    async def detach_namespace(self, body: DetachNamespace) -> NamespaceView:
        """The namespace is not in the network; the answer says what it is to have of other networks."""
        namespace = Namespace(body.namespace, body.name)
        return await self._namespaces.detach(namespace, body.network, dry=body.dry_run, unconfirmed=body.unconfirmed)
