"""Waiting for what may take minutes."""

from __future__ import annotations

from threading import Event

import pytest

from mooring.cli.long_requests import awaited
from mooring.client import Conflict, Unavailable


def test_what_is_new_is_said_until_the_answer_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Once, on standard error; that the news cannot be had ends nothing."""
    done = Event()
    looks = iter([["3 left"], ["3 left"], None, ["2 left"]])

    def news() -> list[str]:
        lines = next(looks, [])
        if not lines:
            done.set()
        if lines is None:
            raise Unavailable("busy")
        return lines

    def work() -> str:
        done.wait()
        return "answer"

    assert awaited(work, news, 0.01) == "answer"
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("3 left\n")
    assert shown.err.count("3 left") == 1


def test_a_refusal_is_raised() -> None:
    """As if nobody had waited."""

    def work() -> None:
        raise Conflict("it is another host's")

    with pytest.raises(Conflict, match="another host's"):
        awaited(work, list, 0.01)
