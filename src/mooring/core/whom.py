"""For whom a reservation is: a container by its name, by a pattern or by its labels, one container by its full id, or
any id that somebody uses on the API, a namespace of a lab for example.

Rules: what is for one container by its full id ends with that container; an id that is no container's is never taken
back by Mooring, since nobody could say that its user is gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from mooring.core.faults import BadRequest
from mooring.core.keys import CONTAINER_KEY

# For the host itself, in a network in which it has no address otherwise.
HOST = "mooring:host"
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}")
_PATTERN = frozenset("*?[")


def means(whom: str, name: str, labels: Mapping[str, str], container: str) -> bool:
    """Whether a reservation's `whom` means the container of that name, labels and full id, "" for what is not known.

    It is a container's name, a glob pattern for one (`web-*`), or, when it has a `=`, a label selector: `key=value` and
    `key!=value` terms joined by commas, of which all must hold; or one container's full id. Empty means nobody.
    """
    if container and whom in (container, CONTAINER_KEY + container):
        return True
    if "=" not in whom:
        return bool(whom) and bool(name) and fnmatchcase(name.lstrip("/"), whom)
    return bool(labels) and all(_term_holds(term, labels) for term in whom.split(","))


def _term_holds(term: str, labels: Mapping[str, str]) -> bool:
    key, sign, value = term.partition("=")
    same = labels.get(key.removesuffix("!").strip()) == value.strip()
    return bool(sign) and same is not key.endswith("!")


def for_container(container: str) -> str:
    """What is for this container (full id) alone, and ends with it."""
    return CONTAINER_KEY + container


def container_of(whom: str) -> str:
    """Full id of the one container that it is for, "" where it does not say one."""
    return whom.removeprefix(CONTAINER_KEY) if whom.startswith(CONTAINER_KEY) else ""


def is_one(whom: str) -> bool:
    """Whether it is for one id: neither a pattern, nor labels, nor nobody."""
    return bool(whom) and "=" not in whom and not _PATTERN & set(whom)


def whom_in_words(whom: str) -> str:
    """For whom it is, for a person."""
    if container := container_of(whom):
        return f"container {container[:12]}"
    return "this host" if whom == HOST else whom or "no container"


def id_given(text: str) -> str:
    """The id that somebody uses. Raises BadRequest for what cannot be one."""
    if not _ID.fullmatch(text) or text.startswith(CONTAINER_KEY) or text == HOST:
        raise BadRequest(
            f"{text[:60]!r} cannot be an ID for addresses",
            hint="use a container's ID or name, or at most 128 letters, digits and _.:-",
        )
    return text
