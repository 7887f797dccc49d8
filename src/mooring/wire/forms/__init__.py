"""The forms in which records are stored: one struct a kind and version, of text, numbers and lists only.

Rules: a form never changes once released, not even by a field: a change is a new struct with the next number, and the
old one stays and still makes today's record; a form within another has its name as a tag, which is stored: it is
written out, and outlives the class's name; what identifies a record is in its key, and is not repeated in the form.
Released is what was on the main branch, from where people run it (docs/adr/0035).
"""

from mooring.wire.forms.elements import PortRequestV1, RouteV1, Stored
from mooring.wire.forms.endpoints import (
    AttachmentV1,
    EndpointV1,
    EndpointV2,
    EndpointV3,
    PortBindingV1,
    ServiceV1,
    endpoint_form,
)
from mooring.wire.forms.holders import HolderV1, HolderV2, IntentV1, holder_form, intent_form
from mooring.wire.forms.kept_networks import KeptAddressV1, KeptNetworkV1, kept_network_form
from mooring.wire.forms.leases import ActiveV1, LeaseV1, lease_form
from mooring.wire.forms.moves import MoveV1, move_form
from mooring.wire.forms.networks import NetworkV1, NetworkV2, NetworkV3, OptionsV1, OptionsV2, SegmentV1, network_form
from mooring.wire.forms.pools import EngineV1, EngineV2, EngineV3, PoolV1, engine_form, pool_form
from mooring.wire.forms.sandboxes import SandboxV1, sandbox_form

__all__ = [
    "ActiveV1",
    "AttachmentV1",
    "EndpointV1",
    "EndpointV2",
    "EndpointV3",
    "EngineV1",
    "EngineV2",
    "EngineV3",
    "HolderV1",
    "HolderV2",
    "IntentV1",
    "KeptAddressV1",
    "KeptNetworkV1",
    "LeaseV1",
    "MoveV1",
    "NetworkV1",
    "NetworkV2",
    "NetworkV3",
    "OptionsV1",
    "OptionsV2",
    "PoolV1",
    "PortBindingV1",
    "PortRequestV1",
    "RouteV1",
    "SandboxV1",
    "SegmentV1",
    "ServiceV1",
    "Stored",
    "endpoint_form",
    "engine_form",
    "holder_form",
    "intent_form",
    "kept_network_form",
    "lease_form",
    "move_form",
    "network_form",
    "pool_form",
    "sandbox_form",
]
