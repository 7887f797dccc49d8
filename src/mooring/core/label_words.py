"""Labels of a container that do not mean what whoever wrote them thought, as sentences.

Rules: what is said is true of the labels alone, whatever the container's networks; a word that only looks like one of
ours is said to have no effect, and which one is meant; a label of somebody else's is not spoken of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address

from mooring.core.containers import FIXED_LABEL, KEY_LABEL, LONGEST_KEY, is_on, is_sound
from mooring.core.networks import Address

LABELS = (FIXED_LABEL, KEY_LABEL)
# What people write for no, and what it is taken for is yes.
_NOES = ("no", "off", "n", "f", "none", "disabled", "disable", "never")
# How far a word may be from one of ours to be a slip of the same: two letters that are swapped are two changes.
_SLIPS = 2
# What is longer is nobody's slip of ours.
_LONGEST = 40


def asks(labels: Mapping[str, str]) -> bool:
    """Whether the labels ask for a fixed address."""
    if FIXED_LABEL in labels:
        return is_on(labels[FIXED_LABEL])
    return bool(labels.get(KEY_LABEL))


def concern(labels: Collection[str]) -> bool:
    """Whether any label is ours or looks like one, so that there may be something to say. Quick."""
    return any(key[:1] in "fFmM" and (key in LABELS or bool(meant(key))) for key in labels)


def remarks(labels: Mapping[str, str], named: Collection[Address] = ()) -> Iterator[str]:
    """What is to be said of the labels. named: addresses that the container's configuration names."""
    for key in sorted(labels):
        ours = meant(key)
        if ours:
            yield f"label {_short(key)} has no effect: the label is called {ours}"
    fixed, text = labels.get(FIXED_LABEL), labels.get(KEY_LABEL)
    if text is not None and not text:
        yield f"label {KEY_LABEL} has no effect: it is empty"
    elif text is not None and not is_sound(text):
        yield f"label {KEY_LABEL} has no effect: it must be at most {LONGEST_KEY} printable characters"
    if fixed is None:
        return
    if text and not is_on(fixed):
        yield f"label {KEY_LABEL} has no effect: {FIXED_LABEL}={_short(fixed)} says that no address is kept"
    if fixed.strip().lower() in _NOES:
        yield f"label {FIXED_LABEL}={_short(fixed)} says yes: only 0 and false say no"
    elif _is_address_like(fixed):
        address = _address(fixed)
        if address is None or address not in named:
            option, entry = ("--ip6", "ipv6_address") if ":" in fixed else ("--ip", "ipv4_address")
            yield (
                f"label {FIXED_LABEL}={_short(fixed)} names no address, it only says that the one it gets is kept: "
                f"name it with {option}, in a compose file with {entry}"
            )


def meant(key: str) -> str:
    """Which label of ours somebody meant who wrote this one, "" for none and for ours themselves."""
    return "" if key in LABELS or len(key) > _LONGEST else _meant(key)


@lru_cache(maxsize=512)  # the same few labels come with every container
def _meant(key: str) -> str:
    plain = _plain(key)
    for ours in LABELS:
        if plain == _plain(ours):
            return ours
    if plain.startswith("mooring"):
        return FIXED_LABEL if "fix" in plain or "ip" in plain else KEY_LABEL
    return next((ours for ours in LABELS if _is_slip(plain, _plain(ours))), "")


def _plain(key: str) -> str:
    """Letters and digits in small: how a word is separated is the usual slip."""
    return "".join(letter for letter in key.lower() if letter.isalnum())


def _is_slip(one: str, other: str) -> bool:
    """Whether few letters differ (Levenshtein's distance)."""
    if abs(len(one) - len(other)) > 1 or one[:1] != other[:1]:
        return False
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        previous, row[0] = row[0], number
        for place, against in enumerate(other, 1):
            previous, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, previous + (letter != against))
    return row[-1] <= _SLIPS


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
