"""The token that a host joins a cluster with: all it has to know, in one word that can be pasted.

Form: `mooring1.` and base64 (RFC 4648, 5, no padding) of six bytes of SHA-256 over the rest, and deflated JSON.
Rule: whoever has a token can do to the cluster whatever its hosts can; it is not shown unasked.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import msgspec

from mooring.core.cluster_hosts import ClusterAccess
from mooring.core.faults import BadRequest

FORM = "mooring1."
_SUM = 6
# Of the JSON: three certificates of 4096 bits and some endpoints are a tenth of it.
LARGEST = 200_000


def token_of(access: ClusterAccess) -> str:
    """The token for joining that cluster."""
    data = zlib.compress(msgspec.json.encode(access), 9)
    return FORM + urlsafe_b64encode(sha256(data).digest()[:_SUM] + data).decode().rstrip("=")


def read_token(text: str) -> ClusterAccess:
    """What a token says; white space in it is that of who pasted it. Raises BadRequest."""
    word = "".join(text.split())
    if not word.startswith(FORM):
        raise BadRequest("this is no token of a cluster", hint="print one with `mooring cluster token` on a host in it")
    body = word.removeprefix(FORM)
    try:
        raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except ValueError:
        raw = b""
    data = raw[_SUM:]
    if sha256(data).digest()[:_SUM] != raw[:_SUM] or not data:
        raise BadRequest("the token is not complete, or was changed", hint="copy it whole, it is one word")
    try:
        inflating = zlib.decompressobj()
        plain = inflating.decompress(data, LARGEST)
        if not inflating.eof:
            raise ValueError("it is too long")
        return msgspec.json.decode(plain, type=ClusterAccess)
    except (zlib.error, ValueError) as error:
        raise BadRequest(f"the token cannot be read: {error}", hint="are both hosts' Mooring of one version?") from None
