"""Keys that messages are signed with (RFC 8945), and signing them. This and its callers load dnspython, nobody else.

Rules: secrets are in a file that only its owner and group can read, and in no error and no log line; the file is read
anew when it has changed; who proves no key learns nothing but that.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.tsig

from mooring.core.faults import Unavailable

Keys = dict[dns.name.Name, dns.tsig.Key]

# Seconds by which two clocks may differ (RFC 8945, 10).
FUDGE = 300

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|#[^\n]*", re.DOTALL)
_STATEMENT = re.compile(r'key\s+"?([^\s"{;]+)"?\s*\{([^}]*)\}\s*;')
_CLAUSE = re.compile(r'(algorithm|secret)\s+"?([^\s";]+)"?\s*;')
_ALGORITHMS = ("hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")


class KeyFile:
    """`key` statements as tsig-keygen writes them, and dig, nsupdate and named read them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._keys: Keys = {}

    def keys(self) -> Keys:
        """Those that are in the file now, in its order. Raises Unavailable, also for a file that everybody can read."""
        try:
            with self._path.open(encoding="ascii") as file:
                found = self._path.stat()
                seen = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
                if seen != self._seen:
                    if found.st_mode & 0o007:
                        raise Unavailable(f"everybody can read {self._path}", hint=f"chmod o= {self._path}")
                    self._keys, self._seen = parse_keys(file.read(65536)), seen
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise Unavailable(f"{self._path} has no keys: {error}", hint="`tsig-keygen NAME` makes one") from None
        return self._keys

    def first(self) -> dns.tsig.Key:
        """The one that we sign with. Raises Unavailable."""
        return next(iter(self.keys().values()))


def parse_keys(text: str) -> Keys:
    """The keys. Raises ValueError, which says which one is wrong and never a secret."""
    found: Keys = {}
    for name, body in _STATEMENT.findall(_COMMENT.sub(" ", text)):
        clauses = dict(_CLAUSE.findall(body))
        algorithm = clauses.get("algorithm", "").lower().removesuffix(".")
        if algorithm not in _ALGORITHMS:
            raise ValueError(f"key {name} needs an algorithm of {', '.join(_ALGORITHMS)}")
        try:
            secret = base64.b64decode(clauses.get("secret", ""), validate=True)
            owner = dns.name.from_text(name)
        except (binascii.Error, dns.exception.DNSException):
            secret, owner = b"", dns.name.root
        if not secret:
            raise ValueError(f"key {name} has no secret in base64")
        found[owner] = dns.tsig.Key(owner, secret, algorithm)
    if not found:
        raise ValueError("there is no `key` statement")
    return found


class Signer:
    """Signs the messages of one reply, one after another. request: the MAC of what they answer."""

    def __init__(self, key: dns.tsig.Key, request: bytes | None) -> None:
        self._key = key
        self._request = request
        self._context: object | None = None

    def sign(self, message: bytes, error: int = 0, other: bytes = b"", now: int | None = None) -> bytes:
        """The message, signed. error, other, now (seconds since the epoch): as in RFC 8945, 4.2."""
        ident, now = int.from_bytes(message[:2], "big"), int(time.time()) if now is None else now
        blank = _tsig(self._key.algorithm, now, b"", ident, error, other)
        signed, self._context = dns.tsig.sign(  # type: ignore[no-untyped-call]
            message, self._key, blank, now, self._request, self._context, True
        )
        return with_tsig(message, self._key.name, signed)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who claims to have signed a message: nothing of it is proved. name: the key's. rdata: the TSIG record."""

    name: dns.name.Name
    rdata: dns.rdtypes.ANY.TSIG.TSIG

    def refuse(self, reply: bytes, error: int) -> bytes:
        """The reply to who proved no key: says why, and is not signed (RFC 8945, 5.2)."""
        theirs = self.rdata
        return with_tsig(
            reply, self.name, _tsig(theirs.algorithm, theirs.time_signed, b"", theirs.original_id, error, b"")
        )


def signature_of(message: bytes) -> Signature | None:
    """That of the message, None where it has none. Raises DNSException or struct.error for what is no message."""
    _, _, questions, *records = struct.unpack_from(">6H", message)
    at = 12
    for _ in range(questions):
        at += dns.name.from_wire(message, at)[1] + 4
    for _ in range(sum(records)):
        name, length = dns.name.from_wire(message, at)
        at += length + 10
        kind, klass, _, length = struct.unpack_from(">HHIH", message, at - 10)
        if kind == dns.rdatatype.TSIG:
            rdata = dns.rdata.from_wire(klass, kind, message, at, length)
            return Signature(name, cast(dns.rdtypes.ANY.TSIG.TSIG, rdata))
        at += length
    return None


def with_tsig(message: bytes, name: dns.name.Name, rdata: dns.rdtypes.ANY.TSIG.TSIG) -> bytes:
    """The message with the record at its end."""
    count = int.from_bytes(message[10:12], "big") + 1
    owner, data = name.to_wire(), rdata.to_wire()
    assert owner is not None
    assert data is not None
    head = struct.pack(">HHIH", dns.rdatatype.TSIG, dns.rdataclass.ANY, 0, len(data))
    return b"".join((message[:10], count.to_bytes(2, "big"), message[12:], owner, head, data))


def _tsig(
    algorithm: dns.name.Name, now: int, mac: bytes, ident: int, error: int, other: bytes
) -> dns.rdtypes.ANY.TSIG.TSIG:
    return dns.rdtypes.ANY.TSIG.TSIG(  # type: ignore[no-untyped-call]
        dns.rdataclass.ANY, dns.rdatatype.TSIG, algorithm, now, FUDGE, mac, ident, error, other
    )
