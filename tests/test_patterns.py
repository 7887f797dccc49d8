"""Regular expressions mean the same on every Python that the classifiers name."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants as names  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]

import pytest

import mooring

ONE = {names.LITERAL, names.NOT_LITERAL, names.ANY, names.IN}
# Their groups cannot fail in the middle: the text has been checked, so every string in it has an end.
CHECKED = {"mooring.wire.go_json"}


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    for module in pkgutil.walk_packages(mooring.__path__, "mooring."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{module.name}.{name}", value


PATTERNS = dict(patterns())


def repeats(tree: object) -> Iterator[object]:
    """What is repeated possessively, at any depth."""
    if isinstance(tree, parser.SubPattern | list | tuple):
        for item in tree:
            if isinstance(item, tuple) and len(item) == 2 and item[0] is names.POSSESSIVE_REPEAT:
                yield item[1][2]
            yield from repeats(item)


@pytest.mark.parametrize("name", [name for name in PATTERNS if name.rpartition(".")[0] not in CHECKED])
def test_no_group_is_repeated_possessively(name: str) -> None:
    """Before 3.11.5 Python goes on from where the group failed, and not from where it began (gh-106052): Debian 12's
    takes a head with a line that is none, and puts a value into another object."""
    pattern = PATTERNS[name]
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else 0)
    groups = [group for group in repeats(tree) if len(group) != 1 or group[0][0] not in ONE]  # type: ignore[arg-type,index]
    assert groups == []
