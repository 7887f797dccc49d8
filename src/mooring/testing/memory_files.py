"""Text files in memory.

Rules: a path is only text, and its folder comes and goes with it; a file cannot be in the place of a folder; a test may
let a path or every change after the next few fail, and look at every change in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mooring.core.faults import BadRequest, Unavailable
from mooring.ports import Files


class MemoryFiles(Files):
    """texts: path -> text. failing: paths that can neither be read nor changed. changed: paths that were written or
    removed, in order."""

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self.texts = dict(texts or {})
        self.failing: set[str] = set()
        self.changed: list[str] = []
        self._left: int | None = None

    def die_after(self, changes: int | None) -> None:
        """So many more changes are made, and every later one is refused; None: no more of this."""
        self._left = changes

    async def read_host(self, path: str) -> str | None:
        """See Files."""
        if path in self.failing:
            raise Unavailable(f"cannot read {path}")
        return self.texts.get(path)

    async def update(
        self, paths: Sequence[str], change: Callable[[Mapping[str, str | None]], Mapping[str, str | None]]
    ) -> None:
        """See Files."""
        for path in paths:
            self._check("read", path)
        texts = {path: self.texts.get(path) for path in paths}
        for path, text in change(texts).items():
            if text == texts[path]:
                continue
            if text is None:
                await self.remove(path)
            else:
                await self.write(path, text)

    async def write(self, path: str, text: str) -> None:
        """A step of `update`: the file has the text."""
        self._check("write", path)
        try:
            text.encode(errors="surrogateescape")
        except UnicodeEncodeError as error:
            raise BadRequest(f"cannot write {path}: {error}") from error
        self._count(path)
        self.texts[path] = text

    async def remove(self, path: str) -> None:
        """A step of `update`: there is no such file."""
        self._check("remove", path)
        self._count(path)
        self.texts.pop(path, None)

    def _count(self, path: str) -> None:
        if self._left is not None:
            if self._left == 0:
                raise Unavailable(f"cannot change {path}")
            self._left -= 1
        self.changed.append(path)

    def _check(self, verb: str, path: str) -> None:
        if path in self.failing:
            raise Unavailable(f"cannot {verb} {path}")
        parents = path.split("/")
        blocked = any("/".join(parents[:count]) in self.texts for count in range(1, len(parents)))
        folder = any(other.startswith(f"{path}/") for other in self.texts)
        if blocked or folder or "\0" in path:
            raise BadRequest(f"cannot {verb} {path!r}: something else is in its place")
