"""What is noted beside a file, and what follows from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.file_notes import (
    Note,
    hosts_changes,
    hosts_removal,
    note_of,
    resolv_conf_changes,
    resolv_conf_removal,
)
from mooring.core.host_files import digest

PATH, NOTE = "/f", note_of("/f")
Files = dict[str, str | None]
TEXT = st.one_of(st.none(), st.text("ab\n"))
LINES = st.lists(st.sampled_from(["a", "b", "c"]), unique=True)


def applied(files: Files, changes: Files) -> Files:
    """The files after the changes."""
    return files | changes


@given(st.booleans(), LINES, st.text("ab\n"), st.integers(0, 3))
def test_a_note_is_read_as_it_was_written(created: bool, ours: list[str], original: str, padding: int) -> None:
    """Empty lines that a death has left at its end say nothing."""
    note = Note(created, tuple(ours), original)
    assert Note.read(str(note)) == note
    padded = Note.read(str(note) + "\n" * padding)
    assert (padded.created, padded.ours, padded.original.rstrip("\n")) == (created, tuple(ours), original.rstrip("\n"))


@pytest.mark.parametrize("text", [None, "", "crea", "\n\n\n", "10.0.0.2\tweb"])
def test_what_is_no_note_claims_nothing(text: str | None) -> None:
    """A file with such a note is not removed."""
    assert Note.read(text) == Note()
    files: Files = {PATH: "theirs", NOTE: text}
    assert applied(files, hosts_removal(PATH, files))[PATH] == "theirs"
    assert applied(files, resolv_conf_removal(PATH, files))[PATH] == "theirs"


@given(st.one_of(st.none(), st.text("xy\n")), st.lists(st.tuples(LINES, st.integers(0, 2)), max_size=4))
def test_a_hosts_file_ends_as_it_began(before: str | None, passes: list[tuple[list[str], int]]) -> None:
    """Whatever our lines were, and wherever we died; the line feed after the last line, and an empty file that has got
    its usual lines, are all that may be more."""
    files: Files = {PATH: before, NOTE: None}
    for lines, steps in passes:
        files = applied(files, dict(list(hosts_changes(PATH, files, "", lines).items())[:steps]))
    files = applied(files, hosts_removal(PATH, files))
    assert files[NOTE] is None
    if before is None:
        assert not files[PATH]
    else:
        assert files[PATH] in (before, f"{before}\n")
    assert hosts_removal(PATH, files) == {}


@given(TEXT, st.lists(st.tuples(st.text("cd\n", min_size=1), st.integers(0, 2)), max_size=4))
def test_a_resolv_conf_ends_as_it_began(before: str | None, passes: list[tuple[str, int]]) -> None:
    """Whatever was written, and wherever we died."""
    files: Files = {PATH: before, NOTE: None}
    for text, steps in passes:
        files = applied(files, dict(list(resolv_conf_changes(PATH, files, text).items())[:steps]))
    files = applied(files, resolv_conf_removal(PATH, files))
    assert files == {PATH: before, NOTE: None}


def test_a_cut_off_resolv_conf_is_no_edit() -> None:
    """Empty lines after our text are taken away; anything else is somebody's, and stays after us."""
    files: Files = {PATH: "theirs\n", NOTE: None}
    files = applied(files, resolv_conf_changes(PATH, files, "ours\n"))
    assert files[PATH] == "ours\n"
    cut = files | {PATH: "ours\n\n\n"}
    assert applied(cut, resolv_conf_changes(PATH, cut, "newer\n"))[PATH] == "newer\n"
    edited = files | {PATH: "ours\nedited\n"}
    assert resolv_conf_changes(PATH, edited, "newer\n") == {}
    assert applied(edited, resolv_conf_removal(PATH, edited))[PATH] == "ours\nedited\n"


def test_an_edited_file_of_ours_goes_all_the_same() -> None:
    """It came with the sandbox."""
    files: Files = {PATH: None, NOTE: None}
    made = applied(files, resolv_conf_changes(PATH, files, "ours\n")) | {PATH: "edited\n"}
    assert applied(made, resolv_conf_removal(PATH, made)) == files
    made = applied(files, hosts_changes(PATH, files, "new\n", ["a"])) | {PATH: "edited\n"}
    assert applied(made, hosts_removal(PATH, made)) == files


def test_a_line_that_was_there_before_us_is_not_ours() -> None:
    """Although we would have written the same; it stays when everything of ours goes."""
    files: Files = {PATH: "10.0.0.1\ta\n", NOTE: None}
    files = applied(files, hosts_changes(PATH, files, "", ["10.0.0.1\ta", "10.0.0.2\tb"]))
    assert files[PATH] == "10.0.0.1\ta\n10.0.0.2\tb\n"
    assert files[NOTE] == "found\n10.0.0.2\tb"
    assert applied(files, hosts_removal(PATH, files)) == {PATH: "10.0.0.1\ta\n", NOTE: None}


def test_the_note_has_what_is_ours_and_what_is_about_to_go() -> None:
    """For a death between note and file; what has gone is forgotten at the next change."""
    files: Files = {PATH: "theirs\n", NOTE: None}
    noted = []
    for lines in (["a", "b"], ["b", "c"], ["d"], ["e"]):
        files = applied(files, hosts_changes(PATH, files, "", lines))
        noted.append(Note.read(files[NOTE]).ours)
        assert files[PATH] == "theirs\n" + "".join(f"{line}\n" for line in lines)
    assert noted == [("a", "b"), ("b", "c", "a"), ("d", "b", "c"), ("e", "d")]
    assert hosts_changes(PATH, files, "", ["e"]) == {}


def test_a_hosts_file_of_ours_stays_ours() -> None:
    """However often it changes; a note of one that was found never turns into it."""
    for before, created in ((None, True), ("", False), ("theirs", False)):
        files: Files = {PATH: before, NOTE: None}
        for lines in (["a"], ["b"]):
            files = applied(files, hosts_changes(PATH, files, "new\n", lines))
            assert Note.read(files[NOTE]).created is created


def test_the_note_of_a_resolv_conf_has_both_texts_and_the_first() -> None:
    """The one that comes, the one in whose place it comes, and what was there before us, unless it is ours."""
    files: Files = {PATH: "theirs\n", NOTE: None}
    files = applied(files, resolv_conf_changes(PATH, files, "one\n"))
    assert Note.read(files[NOTE]) == Note(False, (digest("one\n"), digest("theirs\n")), "theirs\n")
    files = applied(files, resolv_conf_changes(PATH, files, "two\n"))
    assert Note.read(files[NOTE]) == Note(False, (digest("two\n"), digest("one\n")), "theirs\n")
    made: Files = {PATH: None, NOTE: None}
    made = applied(made, resolv_conf_changes(PATH, made, "one\n"))
    assert Note.read(made[NOTE]) == Note(True, (digest("one\n"), digest("")))
    made = applied(made, resolv_conf_changes(PATH, made, "two\n"))
    assert Note.read(made[NOTE]) == Note(True, (digest("two\n"), digest("one\n")))
