"""What the documents name is there: modules, folders and scripts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    each for each in (*sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("*.md")) if each.name != "CHANGELOG.md"
]
PATH = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)*[\w-]+\.py)\b")
PLACES = ("", "src/mooring", "src/mooring/services", "src/mooring/adapters", "packaging/systemd", "tests", "tests/e2e")


def is_there(name: str) -> bool:
    if any((ROOT / place / name).exists() for place in PLACES):
        return True
    folders = ("src", "tests", "packaging", "examples", "bench")
    return any(
        path.as_posix().endswith(f"/{name}") for folder in folders for path in (ROOT / folder).rglob(Path(name).name)
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    """By its path, or by its name where it has a place of its own."""
    named = set(PATH.findall(document.read_text()))
    assert {name for name in named if not is_there(name)} == set()
