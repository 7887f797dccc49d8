"""Labels of a container that do not mean what whoever wrote them thought, as sentences.

Rules: what is said is true of the labels alone, whatever the container's networks; a word that is one of ours but
for a slip is said to have no effect, and which one is meant; a label of somebody else's is not spoken of.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from mooring.core.keys import FIXED_LABEL, KEY_LABEL, LONGEST_KEY, PORT_LABEL, is_on, is_sound
from mooring.core.networks import Address

LABELS = (FIXED_LABEL, KEY_LABEL, PORT_LABEL)
# What people write for no, and what it is taken for is yes.
_NOES = ("no", "off", "n", "f", "none", "disabled", "disable", "never")
# What is longer is nobody's slip of ours.
_LONGEST = 40
# What people guess behind our name.
_FIXED_GUESSES = ("ip", "fix", "fixed", "static", "staticip", "address", "addr")
_KEY_GUESSES = ("sticky", "name", "id")
# What the second word of fixed-ip becomes by a slip; with another one it is a label of somebody's own, as fixed-id.
_IP_SLIPS = ("ip", "ips", "ipp", "iip", "pi", "up", "op")
_WORDS = re.compile(r"[^a-z0-9]+")


class Remark(NamedTuple):
    """text: what is to be said, a line without a full stop. remedy: what to do when it is not as it was meant."""

    text: str
    remedy: str


def asks(labels: Mapping[str, str]) -> bool:
    """Whether the labels ask for a fixed address."""
    if FIXED_LABEL in labels:
        return is_on(labels[FIXED_LABEL])
    return bool(labels.get(KEY_LABEL))


def concern(labels: Collection[str]) -> bool:
    """Whether any label is ours or looks like one, so that there may be something to say. Quick."""
    return any(key[:1] in "fFmM" and (key in LABELS or bool(meant(key))) for key in labels)


def remarks(labels: Mapping[str, str], named: Collection[Address] = ()) -> Iterator[Remark]:
    """What is to be said of the labels. named: addresses that the container's configuration names."""
    for key in sorted(labels):
        ours = meant(key)
        if ours:
            yield Remark(
                f"label {_short(key)} has no effect: did you mean {ours}?",
                f"if it was meant for Mooring, recreate the container with {ours}; otherwise ignore this",
            )
    fixed, text = labels.get(FIXED_LABEL), labels.get(KEY_LABEL)
    if text is not None and not text:
        yield Remark(f"label {KEY_LABEL} has no effect: it is empty", f"recreate it with `--label {KEY_LABEL}=TEXT`")
    elif text is not None and not is_sound(text):
        yield Remark(
            f"label {KEY_LABEL} has no effect: it must be at most {LONGEST_KEY} printable characters",
            f"recreate it with a shorter or plainer {KEY_LABEL}",
        )
    if fixed is None:
        return
    if text and not is_on(fixed):
        yield Remark(
            f"label {KEY_LABEL} has no effect: {FIXED_LABEL}={_short(fixed)} turns fixed addresses off",
            f"recreate it with one of the two: {KEY_LABEL} keeps an address, {FIXED_LABEL}=false keeps none",
        )
    if fixed.strip().lower() in _NOES:
        yield Remark(
            f"label {FIXED_LABEL}={_short(fixed)} still turns fixed addresses on: only 0 and false turn them off",
            f"recreate it with {FIXED_LABEL}=false if no address is to be kept",
        )
    elif _is_address_like(fixed):
        address = _address(fixed)
        if address is None or address not in named:
            option, entry = ("--ip6", "ipv6_address") if ":" in fixed else ("--ip", "ipv4_address")
            yield Remark(
                f"label {FIXED_LABEL}={_short(fixed)} does not request that address, it only keeps "
                f"whatever address the container gets: request one with {option} (compose: {entry})",
                f"recreate it with {option} and the label, in a network whose --subnet has the address",
            )


def meant(key: str) -> str:
    """Which label of ours somebody meant who wrote this one, "" for none and for ours themselves."""
    return "" if key in LABELS or len(key) > _LONGEST else _meant(key)


@lru_cache(maxsize=512)  # the same few labels come with every container
def _meant(key: str) -> str:
    """How words are separated and written large is the usual slip; then one letter, in one of the words."""
    first, *rest = [word for word in _WORDS.split(key.lower()) if word] or [""]
    tail = "".join(rest)
    for ours in LABELS:
        if first + tail == _plain(ours):
            return ours
    if first == "mooring" and _is_slip(tail, "port"):
        return PORT_LABEL
    if first == "mooring":
        if tail in _FIXED_GUESSES or _is_slip(tail, _plain(FIXED_LABEL)):
            return FIXED_LABEL
        return KEY_LABEL if tail in _KEY_GUESSES or _is_slip(tail, "key") else ""
    if len(rest) > 1:
        return ""
    if tail == "key" and _is_slip(first, "mooring"):
        return KEY_LABEL
    if not tail and first.startswith("fix") and first.endswith(_IP_SLIPS):  # written as one word
        return FIXED_LABEL if _is_slip(first, _plain(FIXED_LABEL)) else ""
    slips = tail == "ip" and (first == "fix" or _is_slip(first, "fixed"))
    return FIXED_LABEL if slips or (first == "fixed" and tail in _IP_SLIPS) else ""


def _plain(key: str) -> str:
    """Letters and digits in small."""
    return _WORDS.sub("", key.lower())


def _is_slip(one: str, other: str) -> bool:
    """Whether a letter is missing, too many, another one, or two neighbours are swapped; never the first letter."""
    if one == other:
        return True
    if one[:1] != other[:1] or abs(len(one) - len(other)) > 1:
        return False
    same = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    if same is None:
        return True  # one is the other with a letter more at its end
    a, b = one[same:], other[same:]
    return a[1:] == b[1:] or a == b[1:] or a[1:] == b or (a[:2] == b[1::-1] and a[2:] == b[2:])


def _is_address_like(text: str) -> bool:
    return "." in text or ":" in text or "/" in text


def _address(text: str) -> Address | None:
    try:
        return ip_address(text.strip().partition("/")[0])
    except ValueError:
        return None


def _short(text: str) -> str:
    """For a line that people read."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text)
    return line if len(line) <= 60 else line[:57] + "..."
