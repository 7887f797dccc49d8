"""Why there is no TLS with a member of an etcd: which certificate is not taken, by whom, and what to do.

Rules: gRPC says of most of it only that the handshake failed, so a connection of our own is made and looked at;
nothing is sent over it. What is said stays the same as long as the cause does, or each try would be news in the log.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from mooring.adapters.etcd.certificates import Certificate, certificate, certificates

TIMEOUT = 0.5
"""Seconds that all of it has."""
CLOCK = "is this host's clock right?"
SERVERS = "give that etcd a certificate that is valid (--cert-file)"
CLIENTS = (
    "give another with --certificate and --key: to `mooring cluster init`, or to `mooring cluster token`, and join "
    "each host with that token"
)
AUTHORITY = "give the authority that signed the etcd's certificates with --ca"
# OpenSSL's x509_vfy.h
NOT_YET, ENDED, OTHER_NAME, OTHER_ADDRESS = 9, 10, 62, 64


class Blame(NamedTuple):
    """what: what is wrong, behind "cannot be reached:". hint: what to do."""

    what: str
    hint: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What is shown and trusted: PEM, empty where there is none."""

    ca: bytes
    certificate: bytes
    key: bytes

    def context(self, verified: bool = True) -> ssl.SSLContext:
        """Raises ValueError, which says which part cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        elif self.ca:
            try:
                context.load_verify_locations(cadata=self.ca.decode("ascii"))
            except (ssl.SSLError, ValueError):
                raise ValueError("the authority is no certificate in PEM") from None
        else:
            context.load_default_certs()
        if self.key:
            _load(context, self.certificate + b"\n" + self.key + b"\n")
        return context


def _load(context: ssl.SSLContext, chain: bytes) -> None:
    # Python reads it from files only; this one is in memory, and never has a name.
    with os.fdopen(os.memfd_create("certificate", os.MFD_CLOEXEC), "wb") as file:
        file.write(chain)
        file.flush()
        try:
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
                raise ValueError("the client's key is not that of its certificate") from None
            raise ValueError("the client's certificate and key are not both PEM without a passphrase") from None


async def blamed(host: str, port: int, identity: Identity) -> Blame | None:
    """What is wrong with the certificates of either side at the moment; None where it is something else."""
    now = datetime.now(UTC)
    try:
        context = identity.context()
        context.set_alpn_protocols(["h2"])  # who speaks that says something at once, once a client is taken
    except ValueError as error:
        return Blame(str(error), "give it with --ca, --certificate and --key")
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(TIMEOUT):
            try:
                return None if await _greeted(host, port, context) else _of_client(identity, now)
            except ssl.SSLCertVerificationError as error:
                worse = error
                if error.verify_code in (OTHER_NAME, OTHER_ADDRESS):
                    context.check_hostname = False
                    try:
                        return _of_name(host, *await _shown(host, port, context))
                    except ssl.SSLCertVerificationError as other:  # which OpenSSL looks at after the name
                        worse = other
                shown, _ = await _shown(host, port, identity.context(verified=False))
                return _of_server(worse, shown, identity, now)
            except ssl.SSLError as error:
                if "WRONG_VERSION_NUMBER" in str(error.reason):
                    return Blame("it speaks no TLS there", "if it is to be without, write http://")
                return _of_client(identity, now)
    return None


async def _greeted(host: str, port: int, context: ssl.SSLContext) -> bool:
    """Whether it says something once there is TLS; one that does not want our certificate ends it then, or with an
    error. Raises ssl.SSLError, OSError, TimeoutError."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        return bool(await reader.read(1))
    except ConnectionError:
        return False
    finally:
        writer.transport.abort()


async def _shown(host: str, port: int, context: ssl.SSLContext) -> tuple[Certificate | None, list[str]]:
    """The certificate that it shows, to anybody, and whom it is for if it is verified. Raises OSError, TimeoutError."""
    _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        tls = writer.get_extra_info("ssl_object")
        der, told = tls.getpeercert(binary_form=True), tls.getpeercert()
    finally:
        writer.transport.abort()
    names = [name for _, name in told.get("subjectAltName", ())]
    with suppress(ValueError):
        return certificate(der), names
    return None, names


def _of_name(host: str, shown: Certificate | None, names: list[str]) -> Blame:
    for_whom = ", ".join(names[:5]) or "nobody by name (subjectAltName)"
    hint = "name the endpoint as its certificate does, or give it one for this"
    return Blame(f"its {shown or 'certificate'} is for {for_whom}, and not for {host}", hint)


def _of_server(
    error: ssl.SSLCertVerificationError, shown: Certificate | None, identity: Identity, now: datetime
) -> Blame:
    its = f"its {shown or 'certificate'}"
    if error.verify_code in (NOT_YET, ENDED):
        hint = SERVERS if error.verify_code == ENDED else f"{CLOCK} or {SERVERS}"
        if shown is not None and (trouble := shown.trouble(now)):
            return Blame(f"its {trouble}", hint)
        for each in _read(identity.ca):
            if trouble := each.trouble(now):
                return Blame(f"the authority's {trouble}", CLOCK if error.verify_code == NOT_YET else AUTHORITY)
        return Blame(f"an authority between {its} and the one that was given: {error.verify_message}", hint)
    by = f", signed by {shown.issuer}," if shown is not None and shown.issuer else ""
    given = ", ".join(each.subject for each in _read(identity.ca) if each.subject)
    of = f"the authority that was given{f' ({given})' if given else ''}" if identity.ca else "any that this host knows"
    return Blame(f"{its}{by} is not of {of}: {error.verify_message}", AUTHORITY)


def _of_client(identity: Identity, now: datetime) -> Blame:
    own = _read(identity.certificate)
    if not own or not identity.key:
        return Blame("it wants a client's certificate, and there is none", "give one with --certificate and --key")
    for each in own:
        if trouble := each.trouble(now):
            hint = CLIENTS if now > each.ends else f"{CLOCK} or {CLIENTS}"
            return Blame(f"the client's {trouble}", hint)
    by = f", signed by {own[0].issuer}," if own[0].issuer else ""
    return Blame(
        f"it does not take the client's {own[0]}{by} which ends at {own[0].until}",
        "is it of the authority that etcd trusts (--trusted-ca-file), and for clients?",
    )


def _read(pem: bytes) -> list[Certificate]:
    with suppress(ValueError):
        return certificates(pem)
    return []
