"""What a certificate says of itself, for a person who is told why it was not taken (RFC 5280, 4.1).

Rules: nothing is verified here; what cannot be read is no certificate. Python's ssl decodes only what it has verified,
and what was refused is what there is to tell of.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_COMMON_NAME = bytes((0x06, 3, 0x55, 4, 3))
_EXPLICIT_VERSION, _UTC_TIME = 0xA0, 0x17


@dataclass(frozen=True, slots=True)
class Certificate:
    """subject, issuer: their common names, "" for none. begins, ends: when it is valid."""

    subject: str
    issuer: str
    begins: datetime
    ends: datetime

    def trouble(self, now: datetime) -> str:
        """What its dates have against it at that time, "" for nothing. Does not change with the time that passes."""
        if now > self.ends:
            return f"{self} ended at {self.until}"
        if now < self.begins:
            return f"{self} is valid from {_shown(self.begins)} only"
        return ""

    @property
    def until(self) -> str:
        """When it ends, for a person."""
        return _shown(self.ends)

    def __str__(self) -> str:
        return f"certificate {self.subject or 'without a name'}"


def certificates(pem: bytes) -> list[Certificate]:
    """Those in the text, in its order. Raises ValueError for one that cannot be read."""
    return [certificate(ssl.PEM_cert_to_DER_cert(each.group().decode("ascii"))) for each in _PEM.finditer(pem)]


def certificate(der: bytes) -> Certificate:
    """Raises ValueError for what is none."""
    try:
        (_, whole) = next(_parts(der))
        (_, signed) = next(_parts(whole))
        fields = [value for tag, value in _parts(signed) if tag != _EXPLICIT_VERSION]
        _, _, issuer, validity, subject = fields[:5]  # behind the serial number and the algorithm
        begins, ends = (_time(tag, value) for tag, value in _parts(validity))
        return Certificate(_name(subject), _name(issuer), begins, ends)
    except (IndexError, StopIteration, ValueError):
        raise ValueError("no certificate") from None


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of one after the other (DER, X.690)."""
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size]), at + size
        if at + length > len(der):
            raise ValueError("it is cut off")
        yield tag, der[at : at + length]
        at += length


def _name(der: bytes) -> str:
    """The common name."""
    for _, several in _parts(der):
        for _, one in _parts(several):
            if one.startswith(_COMMON_NAME):
                return next(_parts(one[len(_COMMON_NAME) :]))[1].decode("utf-8", "replace")
    return ""


def _time(tag: int, value: bytes) -> datetime:
    """Years have two digits until 2049, and four from then on."""
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
