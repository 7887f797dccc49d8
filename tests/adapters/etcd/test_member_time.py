"""What time it is at a member; over HTTP alone it is tested with the host's setup."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from mooring.adapters.etcd.member_time import offset
from tests.contracts.cluster_servers import credentials
from tests.e2e.lab.etcds import etcds


@pytest.mark.slow
def test_an_etcd_tells_the_time_to_whom_it_trusts(tmp_path: Path) -> None:
    """With the authority and the client's certificate, which are in no file."""
    with etcds(tmp_path, "trixie", tls=True) as servers:
        given = credentials(servers)
        pem = given.ca.decode(), given.certificate.decode(), given.key.decode()
        assert abs(offset(servers.endpoints[0], *pem)) < 1
        with pytest.raises(ssl.SSLError):
            offset(servers.endpoints[0], pem[0], "", "")
        with pytest.raises(ssl.SSLError):
            offset(servers.endpoints[0], "", *pem[1:])
