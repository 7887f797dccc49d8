"""TLS for what we listen on: we prove who we are, and so does everybody who connects.

Rules: nobody without a certificate of the given authority gets as far as a request, and no system-wide authority
counts; each connection proves it anew, since a resumed one would not be asked whether its certificate was revoked or is
out of date by now; files that change, the revocation list (CRL) too, are read anew for the next connection, and files
that cannot be used change nothing.
"""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from mooring.core.faults import Unavailable

log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int, int, int], ...]


class MutualTls:
    """A server's side of connections, as its files say at the time. cert: ours, with what leads to its authority. ca:
    who signs clients. crl: what of that he has revoked. All are PEM files."""

    def __init__(self, cert: Path, key: Path, ca: Path, crl: Path | None = None) -> None:
        """Raises Unavailable, naming the file, when one cannot be read or is not what it should be."""
        self._files = (cert, key, ca) if crl is None else (cert, key, ca, crl)
        self._stamp = self._look()
        self._loaded = mutual_tls(*self._files)

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """The server's end of a new connection."""
        self._refresh()
        # OpenSSL remembers sessions by their context, and Python cannot tell it not to: each connection begins in one
        # of its own. What is proved, and by what, is the loaded one's.
        own = _context()
        own.verify_flags = self._loaded.verify_flags
        wrapped = own.wrap_bio(incoming, outgoing, server_side=True)
        wrapped.context = self._loaded
        return wrapped

    def _refresh(self) -> None:
        """The files are read anew when they have changed; those that cannot be used are told of once."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._loaded = mutual_tls(*self._files)
        except Unavailable as fault:
            log.warning("keeping the previous certificates: %s", fault)
        else:
            log.info("reloaded certificates: %s", ", ".join(map(str, self._files)))

    def _look(self) -> _Stamp:
        """What changes when a file does."""
        found: list[tuple[int, int, int, int]] = []
        for path in self._files:
            try:
                stat = os.stat(path)
            except OSError:
                found.append((0, 0, 0, 0))
            else:
                found.append((stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))
        return tuple(found)


def mutual_tls(cert: Path, key: Path, ca: Path, crl: Path | None = None) -> ssl.SSLContext:
    """A context with these files, as MutualTls has them. Raises Unavailable as it does."""
    context = _context()
    for path in (cert, key, ca):
        _check_readable(path)
    try:
        # A key with a passphrase cannot be used: without an answer OpenSSL would ask for it at the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        what = f"cannot use the certificate {cert} with the key {key}: {_reason(error)}"
        raise Unavailable(what, hint="both must be PEM, belong together, and have no passphrase") from error
    _load(context, ca, "as an authority")
    if not context.cert_store_stats()["x509"]:
        raise Unavailable(f"cannot use {ca} as an authority: it has no certificate", hint="it must be PEM")
    if crl is not None:
        _check_readable(crl)
        before = context.cert_store_stats()["crl"]
        _load(context, crl, "as a revocation list")
        if context.cert_store_stats()["crl"] == before:
            raise Unavailable(f"cannot use {crl} as a revocation list: it has none", hint="it must be PEM")
    if context.cert_store_stats()["crl"]:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def _load(context: ssl.SSLContext, path: Path, what: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, ValueError) as error:
        raise Unavailable(f"cannot use {path} {what}: {_reason(error)}", hint="it must be PEM") from error


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
