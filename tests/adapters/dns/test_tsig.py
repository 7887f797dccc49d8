"""The file of keys: what is in it, who may read it, and that nothing tells a secret."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import dns.exception
import dns.message
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.dns.tsig import KeyFile, Signer, parse_keys, signature_of
from mooring.core.faults import Unavailable
from tests.adapters.dns.zones import KEY, SECRET, key_file


def test_a_file_is_what_tsig_keygen_writes_and_named_reads() -> None:
    """Also with comments, without quotes, and with several keys, of which the first is first."""
    text = f"# ours\n/* key no {{ }}; */ key second.example {{ secret {SECRET}; algorithm HMAC-SHA512; }}; // end"
    assert [name.to_text() for name in parse_keys(KEY + text)] == ["mooring.", "second.example."]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no `key` statement"),
        ("\x00\xff", "no `key` statement"),
        (KEY.replace("hmac-sha256", "hmac-md5"), "key mooring needs an algorithm of hmac-sha224"),
        (KEY.replace(SECRET, "!" + SECRET), "key mooring has no secret in base64"),
        (KEY.replace("mooring", "a..b"), r"key a\.\.b has no secret"),
    ],
)
def test_what_is_no_key_is_said_without_its_secret(text: str, said: str) -> None:
    """In one line."""
    with pytest.raises(ValueError, match=said) as caught:
        parse_keys(text)
    assert SECRET not in str(caught.value)


@given(st.text(alphabet='key "{};mooring\n/*#', max_size=60))
def test_a_text_of_any_kind_has_keys_or_an_error(text: str) -> None:
    """Nothing else comes of it."""
    with contextlib.suppress(ValueError):
        assert parse_keys(text)


def test_a_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    """Replaced, gone, back, and readable by everybody."""
    path = key_file(tmp_path)
    keys = KeyFile(path)
    assert keys.first().name == dns.name.from_text("mooring")
    draft = tmp_path / "new"
    draft.write_text(KEY.replace('"mooring"', '"later"'))
    draft.chmod(0o600)
    os.replace(draft, path)
    assert keys.first().name == dns.name.from_text("later")
    path.chmod(0o644)
    with pytest.raises(Unavailable, match="everybody can read"):
        keys.keys()
    path.unlink()
    with pytest.raises(Unavailable, match="cannot be read: No such file"):
        keys.keys()
    key_file(tmp_path, "nothing")
    with pytest.raises(Unavailable, match="has no keys"):
        keys.keys()


def test_signatures_of_one_reply_are_a_chain() -> None:
    """So that none can be left out or put elsewhere: the second is right after the first, and not by itself."""
    (key,) = parse_keys(KEY).values()
    asked = dns.message.make_query("mooring", "AXFR")
    asked.use_tsig(key)
    asked.to_wire()
    signer, reply = Signer(key, asked.mac), dns.message.make_response(asked)
    reply.tsig = None
    one, two = (signer.sign(dns.message.make_query("mooring", "AXFR", id=asked.id).to_wire()) for _ in range(2))
    read = dns.message.from_wire(one, keyring=key, request_mac=asked.mac or b"", multi=True)
    dns.message.from_wire(two, keyring=key, request_mac=asked.mac or b"", multi=True, tsig_ctx=read.tsig_ctx)
    with pytest.raises(dns.tsig.BadSignature):
        dns.message.from_wire(two, keyring=key, request_mac=asked.mac or b"", multi=True)


@given(st.binary(max_size=80))
def test_bytes_of_any_kind_have_a_signature_or_none_or_are_no_message(message: bytes) -> None:
    """Nothing else comes of them."""
    with contextlib.suppress(dns.exception.DNSException, struct.error):
        signature_of(message)
