"""Which of Docker's calls a listener lets pass.

A rule is a method and a class of paths, with a space between: `GET containers`, `POST containers/*/start`, `DELETE *`.

    method  any method, or `*` for all of them; GET stands for HEAD too
    path    a word alone: this section of the API and everything below it; `*` alone: everything
            with slashes: the whole path, decoded and without a version; `*` stands for one step of it, and `**`, once,
            for any number of steps, none among them

Rules: what is denied does not pass, whatever is allowed; a path that the engine would read another way than we do (an
empty step, dots, a version that is none) does not pass where anything is limited; judging costs no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mooring.core.faults import Fault, Forbidden
from mooring.wire.docker_api import Call

# Without these a client cannot even find out which version of the API to speak.
ALWAYS = frozenset({"_ping", "version"})
# How much of a path a refusal repeats.
SHOWN = 120

_METHOD = re.compile(r"\*|[A-Za-z]+")
_STEP = re.compile(r"\*{1,2}|[^\s*?%/]+")
# moby's router takes any run of digits and dots for a version; what is left of one was not understood.
_VERSION = re.compile(r"v[0-9.]+")
_WANTED = "must be a method or *, a space, and a path such as containers, containers/*/start, images/** or *"


@dataclass(frozen=True, slots=True)
class Rule:
    """A method and a class of paths. steps: of the path; one alone is a section. method: `*` for every one."""

    method: str
    steps: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Rule:
        """The rule that the text says. Raises ValueError with what is wanted."""
        words = text.split()
        if len(words) != 2 or _METHOD.fullmatch(words[0]) is None:
            raise ValueError(_WANTED)
        steps = tuple(words[1].removeprefix("/").split("/"))
        if not all(_STEP.fullmatch(step) for step in steps):
            raise ValueError(_WANTED)
        if _VERSION.fullmatch(steps[0]):
            raise ValueError("must not name a version of the API: rules hold for all of them")
        if {".", ".."}.intersection(steps):
            raise ValueError("must not have the steps . and ..")
        if steps.count("**") > 1:
            raise ValueError("must have ** once only")
        return cls(words[0].upper(), steps)

    def __str__(self) -> str:
        return f"{self.method} {'/'.join(self.steps)}"

    def covers(self, call: Call) -> bool:
        """Whether the call is one of those that the rule is about."""
        if self.method not in ("*", call.method) and not (self.method == "GET" and call.method == "HEAD"):
            return False
        if len(self.steps) == 1:
            return self.steps[0] in ("*", "**", call.section)
        path = call.path[1:].split("/")
        if "**" not in self.steps:
            return len(path) == len(self.steps) and _alike(self.steps, path)
        where = self.steps.index("**")
        before, after = self.steps[:where], self.steps[where + 1 :]
        if len(path) < len(before) + len(after):
            return False
        return _alike(before, path) and _alike(after, path[len(path) - len(after) :])


def _alike(pattern: tuple[str, ...], path: list[str]) -> bool:
    """Whether the path's first steps are those of the pattern."""
    return all(step == wanted or (wanted == "*" and step != "") for wanted, step in zip(pattern, path, strict=False))


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What passes at a listener: everything, unless something is said.

    read_only: nothing that may change something, or that bytes can be sent into. allow: when given, nothing else
    passes. deny: never passes.
    """

    read_only: bool = False
    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()

    @property
    def everything(self) -> bool:
        """Nothing at all is refused."""
        return not (self.read_only or self.allow or self.deny)

    def admit(self, call: Call) -> Fault | None:
        """None when the call may pass; otherwise the refusal, which names the rule."""
        if self.everything:
            return None
        if not _is_plain(call.path):
            return _refusal(call, "its path is not in its plain form")
        for rule in self.deny:
            if rule.covers(call):
                return _refusal(call, f'the rule "{rule}" denies it')
        if self.read_only and call.writes:
            return _refusal(call, "it is read-only")
        if not self.allow or (call.section in ALWAYS and call.path[1:] in ALWAYS and not call.writes):
            return None
        if any(rule.covers(call) for rule in self.allow):
            return None
        return _refusal(call, "no rule allows it")


EVERYTHING = AccessRules()


def _is_plain(path: str) -> bool:
    """Whether the engine reads the path as we do."""
    first, *steps = path.split("/")
    if first or not steps:
        return False
    return path == "/" or not (_VERSION.fullmatch(steps[0]) or any(step in ("", ".", "..") for step in steps))


def _refusal(call: Call, why: str) -> Fault:
    path = call.path if len(call.path) <= SHOWN else call.path[:SHOWN] + "..."
    return Forbidden(f"mooring: {call.method} {path} does not pass at this socket: {why}")
