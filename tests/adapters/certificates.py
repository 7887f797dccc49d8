"""Certificates made by the openssl command: an authority, and what it signed."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    cert: Path
    key: Path


def _openssl(*argv: str) -> None:
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


def authority(folder: Path, name: str = "ca", usage: bool = True) -> Pair:
    """One that signs itself. usage: it says what its key is for, which strict clients want (RFC 5280, 4.2.1.3)."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(pair.key))
    says = ("-addext", "keyUsage=critical,keyCertSign,cRLSign") if usage else ()
    _openssl("req", "-x509", *key, "-out", str(pair.cert), "-days", "2", "-subj", f"/CN={name}", *says)
    return pair


def signed(folder: Path, by: Pair, name: str, days: int = 2, address: str = "127.0.0.1") -> Pair:
    """One that the authority signed, good for the address as a server and for clients. days: 0 for an old one."""
    pair, request, extra = (
        Pair(folder / f"{name}.pem", folder / f"{name}.key"),
        folder / f"{name}.csr",
        folder / "extra",
    )
    extra.write_text(f"subjectAltName=IP:{address},DNS:localhost\nauthorityKeyIdentifier=keyid\n")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(pair.key))
    _openssl("req", *key, "-out", str(request), "-subj", f"/CN={name}")
    _openssl(
        "x509", "-req", "-in", str(request), "-CA", str(by.cert), "-CAkey", str(by.key), "-CAcreateserial",
        "-days", str(days), "-extfile", str(extra), "-out", str(pair.cert),
    )  # fmt: skip
    return pair


def dated(
    folder: Path, by: Pair, name: str, begins: str, ends: str, signs: bool = False, address: str = "127.0.0.1"
) -> Pair:
    """As `signed`, valid from then to then. begins, ends: as 20300102030405Z. signs: it is an authority."""
    pair, work = signed(folder, by, name, address=address), folder / f"{name}.work"
    work.mkdir()
    (work / "index").write_text("")
    (work / "settings").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={work}/index\nnew_certs_dir={work}\nrand_serial=yes\ndefault_md=sha256\n"
        f"certificate={by.cert}\nprivate_key={by.key}\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    dates, given = ("-startdate", begins, "-enddate", ends), ("-config", str(work / "settings"), "-batch", "-notext")
    request, extra = str(folder / f"{name}.csr"), folder / "extra"
    if signs:
        extra.write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
    _openssl("ca", *given, *dates, "-in", request, "-extfile", str(extra), "-out", str(pair.cert))
    return pair


def revocations(folder: Path, by: Pair, revoked: Sequence[Pair] = (), name: str = "crl", days: int = 2) -> Path:
    """A list of what the authority has revoked, good for so many days."""
    work = folder / f"{name}.work"
    work.mkdir(exist_ok=True)
    (work / "index").write_text("")
    (work / "number").write_text("01\n")
    settings = work / "settings"
    settings.write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={work}/index\ncrlnumber={work}/number\ndefault_md=sha256\n"
        f"certificate={by.cert}\nprivate_key={by.key}\ndefault_crl_days={days}\n"
    )
    for pair in revoked:
        _openssl("ca", "-config", str(settings), "-revoke", str(pair.cert))
    out = folder / f"{name}.pem"
    _openssl("ca", "-config", str(settings), "-gencrl", "-out", str(out))
    return out
