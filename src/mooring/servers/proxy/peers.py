"""Who is at the other end of a connection, for the audit log.

Rule: what is said is what the kernel and the handshake prove, not what the client says of itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Mapping
from typing import Any

from mooring.servers.credentials import credentials

Who = Mapping[str, object]

NOBODY: Who = {}
# A name that a client's authority signed may still be long.
_LONGEST = 256


def who_is(transport: asyncio.BaseTransport) -> Who:
    """uid, gid and pid of a unix socket's peer; peer (address and port) of another's, and with TLS the certificate's
    subject and fingerprint. As they were when the client connected."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        process = credentials(transport)
        return {"uid": process.uid, "gid": process.gid, "pid": process.pid} if process is not None else NOBODY
    found: dict[str, object] = {}
    if name := transport.get_extra_info("peername"):
        host = str(name[0])
        found["peer"] = f"[{host}]:{name[1]}" if ":" in host else f"{host}:{name[1]}"
    tls = transport.get_extra_info("ssl_object")
    if tls is not None and (der := tls.getpeercert(binary_form=True)):
        found["subject"] = _subject(tls.getpeercert())
        found["fingerprint"] = "sha256:" + hashlib.sha256(der).hexdigest()
    return found


def _subject(certificate: Any) -> str:
    """The subject as OpenSSL prints it: CN=alice,O=Example."""
    fields = [f"{_SHORT.get(key, key)}={value}" for part in certificate.get("subject", ()) for key, value in part]
    text = ",".join(fields)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


_SHORT = {
    "commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C",
    "localityName": "L", "stateOrProvinceName": "ST",
}  # fmt: skip
