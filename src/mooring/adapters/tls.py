"""TLS for what we listen on: we prove who we are, and so does everybody who connects.

Rule: nobody without a certificate of the given authority gets as far as a request, and no system-wide authority counts.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from mooring.core.faults import Unavailable


def mutual_tls(cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """A server's context. cert: ours, with what leads to its authority. ca: who signs clients. All are PEM files.

    Raises Unavailable, naming the file, when one cannot be read or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["http/1.1"])
    for path in (cert, key, ca):
        _check_readable(path)
    try:
        # A key with a passphrase cannot be used: without an answer OpenSSL would ask for it at the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        what = f"cannot use the certificate {cert} with the key {key}: {_reason(error)}"
        raise Unavailable(what, hint="both must be PEM, belong together, and have no passphrase") from error
    try:
        context.load_verify_locations(cafile=ca)
    except (ssl.SSLError, ValueError) as error:
        raise Unavailable(f"cannot use {ca} as an authority: {_reason(error)}", hint="it must be PEM") from error
    return context


def _check_readable(path: Path) -> None:
    """OpenSSL's own errors do not say which file."""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error


def _reason(error: Exception) -> str:
    found = getattr(error, "reason", None)
    return str(found).lower().replace("_", " ") if found else str(error)
