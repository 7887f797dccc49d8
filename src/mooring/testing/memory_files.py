"""Text files in memory.

Rules: a path is only text, and its folder comes and goes with it; a file cannot be in the place of a folder; a test may
let a path fail, and look at every change in order.
"""

from __future__ import annotations

from collections.abc import Mapping

from mooring.core.faults import Unavailable
from mooring.ports import Files


class MemoryFiles(Files):
    """texts: path -> text. failing: paths that neither can be read nor changed. changed: paths that were written or
    removed, in order."""

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self.texts = dict(texts or {})
        self.failing: set[str] = set()
        self.changed: list[str] = []

    async def read(self, path: str) -> str | None:
        """See Files."""
        self._check("read", path)
        return self.texts.get(path)

    async def write(self, path: str, text: str) -> None:
        """See Files."""
        self._check("write", path)
        try:
            text.encode(errors="surrogateescape")
        except UnicodeEncodeError as error:
            raise Unavailable(f"cannot write {path}: {error}") from error
        self.changed.append(path)
        self.texts[path] = text

    async def remove(self, path: str) -> None:
        """See Files."""
        self._check("remove", path)
        self.changed.append(path)
        self.texts.pop(path, None)

    def _check(self, verb: str, path: str) -> None:
        parents = path.split("/")
        blocked = any("/".join(parents[:count]) in self.texts for count in range(1, len(parents)))
        folder = any(other.startswith(f"{path}/") for other in self.texts)
        if blocked or folder or path in self.failing or "\0" in path:
            raise Unavailable(f"cannot {verb} {path!r}")
