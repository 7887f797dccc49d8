"""What hosts keep of a cluster, to the byte: other versions read it."""

from __future__ import annotations

import pytest

from mooring.core.cluster_hosts import ClusterAccess, ClusterHost, ClusterRecord, Membership, Underlay
from mooring.core.faults import Unavailable
from mooring.wire import cluster_host_forms as forms

CLUSTER = b'{"v":1,"id":"c1","made":5.5,"by":"web1"}'
HOST = (
    b'{"v":1,"id":"h1","name":"web1","machine":"m","boot":"b","address":"10.0.0.1","link":"eth0","mtu":1500,'
    b'"version":"0.1","joined":5.5,"drained":true,"vxlan_port":4790}'
)
MEMBERSHIP = (
    b'{"v":1,"cluster":"c1","endpoints":["https://e:2379"],"prefix":"mooring/","host":"h1","name":"web1",'
    b'"machine":"m","underlay":"eth0","ca":"A","certificate":"B","key":"C","user":"u","password":"p"}'
)


def test_what_was_written_is_read_and_would_be_written_so_again() -> None:
    """Both ways."""
    assert forms.decode_cluster(CLUSTER) == ClusterRecord(id="c1", made=5.5, by="web1")
    assert forms.encode_cluster(forms.decode_cluster(CLUSTER)) == CLUSTER
    assert forms.decode_host(HOST) == ClusterHost(
        id="h1",
        name="web1",
        machine="m",
        boot="b",
        underlay=Underlay("10.0.0.1", "eth0", 1500),
        version="0.1",
        joined=5.5,
        drained=True,
        vxlan_port=4790,
    )
    assert forms.encode_host(forms.decode_host(HOST)) == HOST
    access = ClusterAccess(
        cluster="c1", endpoints=("https://e:2379",), ca="A", certificate="B", key="C", user="u", password="p"
    )
    kept = Membership(access=access, host="h1", name="web1", machine="m", underlay="eth0")
    assert forms.decode_membership(MEMBERSHIP) == kept
    assert forms.encode_membership(kept) == MEMBERSHIP


@pytest.mark.parametrize("data", [b"", b"{}", b'{"v":2,"id":"c1"}', HOST[:-1] + b',"more":1}', b"\xff"])
def test_what_this_version_cannot_read_is_a_fault(data: bytes) -> None:
    """A newer one may have written it."""
    for decode in (forms.decode_cluster, forms.decode_host, forms.decode_membership):
        with pytest.raises(Unavailable, match="newer Mooring"):
            decode(data)
