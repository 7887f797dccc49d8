"""The forms of networks that several hosts take part in."""

from __future__ import annotations

from mooring.core.cluster_networks import ClusterNetwork, HostNetwork
from mooring.wire.forms.cluster_networks import ClusterNetworkV1, HostNetworkV1


def test_no_field_is_forgotten() -> None:
    """A new field needs a new version of the form; the place is in the key of the one, and apart in the other."""
    fields = set(ClusterNetwork.__struct_fields__) - {"space", "subnets"}
    assert fields == set(ClusterNetworkV1.__struct_fields__) - {"more"}
    assert set(HostNetwork.__struct_fields__) - {"network"} == set(HostNetworkV1.__struct_fields__) - {
        "space",
        "subnet",
    }
