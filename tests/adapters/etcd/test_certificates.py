"""What certificates say of themselves, as openssl makes them."""

from __future__ import annotations

import shutil
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mooring.adapters.etcd.certificates import certificate, certificates
from tests.adapters.certificates import authority, dated, signed

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def test_whose_a_certificate_is_and_when_it_is_valid_is_read(tmp_path: Path) -> None:
    """Years up to 2049 are written with two digits, later ones with four; a file may have several, and text between."""
    ca = authority(tmp_path)
    near = dated(tmp_path, ca, "near", "19991231235959Z", "20491231000000Z")
    far = dated(tmp_path, ca, "far", "20500102030405Z", "21000101000000Z")
    first, second = certificates(b"leaf:\n" + near.cert.read_bytes() + b"more\n" + far.cert.read_bytes())
    assert (first.subject, first.issuer) == ("near", "ca")
    assert first.begins == datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert first.ends == datetime(2049, 12, 31, tzinfo=UTC)
    assert second.begins == datetime(2050, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert second.ends == datetime(2100, 1, 1, tzinfo=UTC)


def test_dates_are_held_against_a_certificate_outside_of_them_alone(tmp_path: Path) -> None:
    """With the date, and not with how long ago it was, which would be another line each time."""
    pair = dated(tmp_path, authority(tmp_path), "web", "20260101000000Z", "20260201103000Z")
    (it,) = certificates(pair.cert.read_bytes())
    assert it.trouble(datetime(2025, 12, 31, tzinfo=UTC)) == "certificate web is valid from 2026-01-01 00:00 UTC only"
    assert it.trouble(datetime(2026, 1, 2, tzinfo=UTC)) == ""
    assert it.trouble(datetime(2026, 3, 1, tzinfo=UTC)) == "certificate web ended at 2026-02-01 10:30 UTC"


def test_what_is_no_certificate_is_a_value_error_however_it_is_cut(tmp_path: Path) -> None:
    """A server may show anything."""
    der = ssl.PEM_cert_to_DER_cert(signed(tmp_path, authority(tmp_path), "web").cert.read_text())
    for cut in (*range(120), len(der) - 1):
        with pytest.raises(ValueError, match="no certificate"):
            certificate(der[:cut])
    assert certificates(b"no PEM") == []
