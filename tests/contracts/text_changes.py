"""The simplest uses of Files."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.ports import Files


async def read(files: Files, path: str) -> str | None:
    """The file's text."""
    seen: dict[str, str | None] = {}

    def look(texts: Mapping[str, str | None]) -> Mapping[str, str | None]:
        seen.update(texts)
        return {}

    await files.update((path,), look)
    return seen[path]


async def write(files: Files, path: str, text: str | None) -> None:
    """The file has the text; None removes it."""
    await files.update((path,), lambda _: {path: text})
