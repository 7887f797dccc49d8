"""What is noted beside a file that a sandbox is given, and what is to be written or removed because of it.

Rules: texts in, changes out: path -> its new text, None for no file; a note is written before its file and removed
after it, so that a death in between leaves no line of ours unknown; what was there before us is put back, and only
what we made is removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mooring.core.host_files import digest, merge

Texts = Mapping[str, str | None]

_CREATED, _FOUND = "created", "found"


def note_of(path: str) -> str:
    """Where it is noted what of the file is ours (libnetwork/sandbox_dns_unix.go does so for resolv.conf)."""
    return f"{path}.hash"


@dataclass(frozen=True, slots=True)
class Note:
    """created: there was no file before us. ours: lines of a hosts file that may be ours; digests of the texts of a
    resolv.conf that are no edits of somebody else's. original: what a resolv.conf was before us, if it was there."""

    created: bool = False
    ours: tuple[str, ...] = ()
    original: str = ""

    @classmethod
    def read(cls, text: str | None) -> Note:
        """Never raises. One that was cut off, or is not there, knows of nothing that is ours."""
        head, _, original = (text or "").partition("\n\n")
        first, *ours = head.split("\n")
        if first not in (_CREATED, _FOUND):
            return cls()
        return cls(first == _CREATED, tuple(line for line in ours if line), original)

    def __str__(self) -> str:
        head = "\n".join((_CREATED if self.created else _FOUND, *self.ours))
        return f"{head}\n\n{self.original}" if self.original else head


def hosts_changes(path: str, texts: Texts, new: str, lines: Sequence[str]) -> dict[str, str | None]:
    """Our lines are in the file, and none that was ours. new: what a new file begins with."""
    text, note = texts[path], Note.read(texts[note_of(path)])
    start = text or new
    wanted = merge(start, note.ours, lines)
    if wanted == text:
        return {}
    present = start.split("\n")
    ours = [line for line in lines if line in note.ours or line not in present]
    leaving = [line for line in note.ours if line in present and line not in lines]
    return {note_of(path): str(Note(text is None or note.created, (*ours, *leaving))), path: wanted}


def resolv_conf_changes(path: str, texts: Texts, wanted: str) -> dict[str, str | None]:
    """The file has the text unless somebody edited it. The note has the digests of the text and of that which it takes
    the place of, so that a death between note and file does not look like an edit."""
    text, note = texts[path], Note.read(texts[note_of(path)])
    if text == wanted or (text and note.ours and digest(text) not in note.ours):
        return {}
    digests = (digest(wanted), digest(text or ""))
    if text is None or note.created:
        noted = Note(True, digests)
    else:
        noted = Note(False, digests, note.original if note.ours else text)
    return {note_of(path): str(noted), path: wanted}


def hosts_removal(path: str, texts: Texts) -> dict[str, str | None]:
    """The file is gone if we made it; else it has no line of ours."""
    text, note = texts[path], Note.read(texts[note_of(path)])
    return _removal(path, texts, note, None if text is None else merge(text, note.ours, ()))


def resolv_conf_removal(path: str, texts: Texts) -> dict[str, str | None]:
    """The file is gone if we made it; else it is as it was before us, or as somebody edited it."""
    text, note = texts[path], Note.read(texts[note_of(path)])
    edited = text is None or digest(text) not in note.ours
    return _removal(path, texts, note, text if edited else note.original)


def _removal(path: str, texts: Texts, note: Note, before: str | None) -> dict[str, str | None]:
    if texts[note_of(path)] is None:
        return {}
    return {path: None if note.created else before, note_of(path): None}
