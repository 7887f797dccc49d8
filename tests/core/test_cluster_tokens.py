"""Tokens: whole or refused."""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest

from mooring.core.cluster_hosts import ClusterAccess
from mooring.core.cluster_tokens import FORM, LARGEST, read_token, token_of
from mooring.core.faults import BadRequest

ACCESS = ClusterAccess(
    cluster="c1",
    endpoints=("https://10.0.0.1:2379",),
    ca="-----BEGIN",
    certificate="PEM",
    key="K",
    user="u",
    password="p",
)


def test_a_token_says_what_it_was_made_of() -> None:
    """Also when a terminal has broken the line."""
    token = token_of(ACCESS)
    assert read_token(token) == ACCESS
    assert read_token(f"  {token[:30]}\n {token[30:]}\n") == ACCESS
    assert token.startswith(FORM)
    assert token.replace("_", "").replace("-", "").replace(".", "").isalnum()


def test_a_token_that_is_not_whole_is_refused() -> None:
    """Each character counts, and each missing one."""
    token = token_of(ACCESS)
    for place in range(len(FORM), len(token), 7):
        other = "A" if token[place] != "A" else "B"
        for wrong in (token[:place], token[:place] + other + token[place + 1 :]):
            with pytest.raises(BadRequest):
                read_token(wrong)


@pytest.mark.parametrize("text", ["", "mooring", "mooring2.abc", "mooring1.", "mooring1.!", "mooring1.AAAAAAAA", "ä"])
def test_what_is_no_token_is_refused(text: str) -> None:
    """With what to do."""
    with pytest.raises(BadRequest, match=r"copy it whole|print one"):
        read_token(text)


@pytest.mark.parametrize("plain", [b"{}", b"[]", b'{"cluster":1,"endpoints":[]}', b" " * (LARGEST + 1), b"\xff"])
def test_what_a_token_says_is_looked_at(plain: bytes) -> None:
    """A right sum over nonsense, or over what fills the memory, is refused as well."""
    data = zlib.compress(plain)
    made = FORM + urlsafe_b64encode(sha256(data).digest()[:6] + data).decode().rstrip("=")
    with pytest.raises(BadRequest, match="cannot be read"):
        read_token(made)
