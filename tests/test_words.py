"""The glossary is true: what its "not" column names is nowhere in the source, neither in names nor in prose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = ROOT / "docs/glossary.md"
ENDINGS = "(?:s|d|ed|es|ing|ation)?"

# (word, file below src/mooring): why it is there all the same.
EXEMPT = {
    ("estate", "wire/stored.py"): "keys of stores that are on disks already",
    ("heirloom", "wire/forms/kept_networks.py"): "the same",
    ("publication", "wire/forms/endpoints.py"): "the same",
}


def rows() -> list[list[str]]:
    lines = [line for line in GLOSSARY.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def ruled_out() -> list[str]:
    return sorted({word.strip() for *_, words in rows() for word in words.split(",") if word.strip()})


def words_of(text: str) -> str:
    """Names in the manner of snake_case and CamelCase are words as well."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text).lower()


SOURCES = {
    path.relative_to(ROOT / "src/mooring").as_posix(): words_of(path.read_text())
    for path in sorted((ROOT / "src/mooring").rglob("*"))
    if path.suffix in (".py", ".md")
}


def test_the_glossary_has_three_columns_and_no_word_twice() -> None:
    """A row is a word, what it means, and what it is not called."""
    assert all(len(row) == 3 for row in rows())
    terms = [term.strip(" *") for word, *_ in rows() for term in word.split(",")]
    assert len(terms) == len(set(terms))
    assert not set(terms) & set(ruled_out())


@pytest.mark.parametrize("word", ruled_out())
def test_a_word_that_the_glossary_rules_out_is_not_in_the_source(word: str) -> None:
    """In whatever form."""
    pattern = re.compile(rf"\b{re.escape(word)}{ENDINGS}\b")
    some = {name: text for name, text in SOURCES.items() if word in text}  # which is soon told
    found = {name for name, text in some.items() if pattern.search(text) and (word, name) not in EXEMPT}
    assert found == set()
