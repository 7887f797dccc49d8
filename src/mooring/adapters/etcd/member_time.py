"""What time it is at a member of an etcd: the Date of its answer to HTTP, at the same port."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from mooring.adapters.etcd.tls_faults import Identity

TIMEOUT = 2.0


def offset(endpoint: str, ca: str, certificate: str, key: str) -> float:
    """Seconds by which this host's clock is ahead, 0 within the whole second that HTTP tells; PEM as in ClusterAccess.

    Blocks for seconds at most. Raises OSError, ValueError when it is not told.
    """
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port or 2379
    if parts.scheme == "https":
        identity = Identity(ca.encode(), certificate.encode(), key.encode())
        connection: HTTPConnection = HTTPSConnection(host, port, timeout=TIMEOUT, context=identity.context())
    else:
        connection = HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/version")
        told = connection.getresponse().headers["Date"]
    except HTTPException as error:
        raise ValueError(str(error)) from None
    finally:
        connection.close()
    there, here = parsedate_to_datetime(told or "").timestamp(), time.time()
    return here - there - 1 if here > there + 1 else min(here - there, 0.0)
