"""Which of Docker's calls a listener lets pass.

A rule is a method and a class of paths, with a space between: `GET containers`, `POST containers/*/start`, `DELETE *`.

    method  any method, or `*` for all of them; GET stands for HEAD too
    path    a word alone: this section of the API and everything below it; `*` alone: everything
            with slashes: the whole path, decoded and without a version; `*` stands for one step of it, and `**`, once,
            for any number of steps, none among them

Rules: a path has the steps that the engine's route gives it, so that a name is one step whatever slashes it has; what
is denied does not pass, whatever is allowed; where no route is known for a path, a rule that denies is read widely and
one that allows narrowly; a path that the engine would read another way than we do (an empty step, dots, a version that
is none) does not pass where anything is limited; judging costs no I/O, and the same call has the same verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from mooring.core.faults import Fault, Forbidden
from mooring.wire.docker_api import SETTINGS_AT_START, Call, Verb
from mooring.wire.docker_routes import METHODS, NAMES, ROUTES, SECTIONS, Route, steps_of

# Without these a client cannot even find out which version of the API to speak.
ALWAYS = frozenset({"_ping", "version"})
# Verdicts that a listener remembers, and the longest path among them.
REMEMBERED = 1024
SHORT = 256

_METHOD = re.compile(r"\*|[A-Za-z]+")
_STEP = re.compile(r"\*{1,2}|[^\s*?%/]+")
# moby's router takes any run of digits and dots for a version; what is left of one was not understood.
_VERSION = re.compile(r"v[0-9.]+")
_WANTED = "must be a method or *, a space, and a path such as containers, containers/*/start, images/** or *"
_ANYTHING = frozenset({"*", "**"})
# What the engine knows by its name alone; everything else has an id, too, and every beginning of the id.
_NAMED_ONCE = frozenset({"volumes"})


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

    def check(self, *, denies: bool) -> None:
        """Raises ValueError when the rule cannot mean what it says: no engine has such a call, or it denies a thing by
        one of several names."""
        if self.method not in ("*", *METHODS):
            raise ValueError(f"has a method without calls; Docker's API has {', '.join(sorted(METHODS))}")
        if self.steps[0] not in (*_ANYTHING, *SECTIONS):
            near = get_close_matches(self.steps[0], SECTIONS, n=1)
            raise ValueError("names no section of Docker's API" + (f"; did you mean {near[0]}?" if near else ""))
        uses = {self._names(route) for route in ROUTES if self._has(route.method)} - {None}
        if not uses:
            raise ValueError("covers no call of Docker's API: none has this method and path")
        if denies and uses == {True}:
            raise ValueError(
                "protects nothing: the same object can also be addressed by ID, ID prefix or another name;"
                " write * in the name's place"
            )

    def _names(self, route: Route) -> bool | None:
        """Whether the rule is about the route only with a name written out that is not the only one; None when it is
        not about the route at all."""
        first = route.steps[0]
        if first in NAMES:  # the engine answers OPTIONS of anything
            return False if self.method == route.method else None
        if len(self.steps) == 1:
            return False if self.steps[0] in (*_ANYTHING, first) else None
        named = _aligned(self.steps, route.steps)
        return named and first not in _NAMED_ONCE

    def covers(self, call: Call, *, widely: bool = False) -> bool:
        """Whether the call is one of those that the rule is about.

        widely: where it is not certain, it is. Otherwise it is not, and a GET that types into a container has to be
        written out.
        """
        if not self._has(call.method):
            return False
        if not widely and call.verb is Verb.UPGRADE and self.method == "GET" and self.steps[-1] != "ws":
            return False
        if len(self.steps) == 1:
            return self.steps[0] in (*_ANYTHING, call.section)
        path = tuple(call.path[1:].split("/"))
        if _fits(self.steps, path):
            return True
        routed = steps_of(call.method, call.path)
        if routed is not None:
            return _fits(self.steps, routed)
        return widely and _fits_widely(self.steps, path)

    def _has(self, method: str) -> bool:
        return self.method in ("*", method) or (self.method == "GET" and method == "HEAD")


def _fits(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether the path is as the pattern says, step by step."""
    if "**" not in pattern:
        return len(path) == len(pattern) and _alike(pattern, path)
    where = pattern.index("**")
    before, after = pattern[:where], pattern[where + 1 :]
    if len(path) < len(before) + len(after):
        return False
    return _alike(before, path) and _alike(after, path[len(path) - len(after) :])


def _alike(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether the path's first steps are those of the pattern."""
    return all(step == wanted or (wanted == "*" and step != "") for wanted, step in zip(pattern, path, strict=False))


def _fits_widely(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """As `_fits`, with `*` for one step or more."""
    reached = {0}  # how many of the path's steps the pattern may have taken up to here
    for wanted in pattern:
        if wanted in _ANYTHING:
            least = min(reached) + (wanted == "*")
            reached = set(range(least, len(path) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(path) and path[at] == wanted}
        if not reached:
            return False
    return len(path) in reached


def _aligned(rule: tuple[str, ...], route: tuple[str, ...]) -> bool | None:
    """None: the rule's steps are none of the route's. Else whether a name must be written out in one's place."""
    if not rule:
        return None if route else False
    here = route[0] if route else ""
    if rule[0] == "**":
        found = [_aligned(rule[1:], route), _aligned(rule, route[1:]) if route else None]
    elif here in NAMES:
        rest = [_aligned(rule[1:], route[1:])]
        if here == "{name}":
            rest.append(_aligned(rule[1:], route))
        found = [None if after is None else after or rule[0] != "*" for after in rest]
    else:
        found = [_aligned(rule[1:], route[1:]) if here and rule[0] in ("*", here) else None]
    known = [each for each in found if each is not None]
    return all(known) if known else None


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

    def remembering(self) -> Callable[[Call], Fault | None]:
        """What judges as `admit` does, and knows a call that it has judged before. It keeps as many as REMEMBERED, and
        only with short paths: a client must not fill our memory with them."""
        known: dict[tuple[Verb, str, str, tuple[int, int] | None], Fault | None] = {}

        def admit(call: Call) -> Fault | None:
            # Nothing else of a call is judged: its section and whether it writes follow from these.
            key = call.verb, call.method, call.path, call.version
            try:
                return known[key]
            except KeyError:
                verdict = self.admit(call)
                if len(call.path) <= SHORT:
                    if len(known) >= REMEMBERED:
                        known.clear()
                    known[key] = verdict
                return verdict

        return admit

    def admit(self, call: Call) -> Fault | None:
        """None when the call may pass; otherwise the refusal, which names the rule."""
        if self.everything:
            return None
        refusal = self._judge(call)
        if refusal is None and call.verb is Verb.START and (call.version or SETTINGS_AT_START) < SETTINGS_AT_START:
            # Such a start may say what only a create says otherwise: mounts, privileges.
            create = replace(call, verb=Verb.CREATE, path="/containers/create")
            if self._judge(create) is not None:
                return _refusal(call, "before API 1.24 a start can carry the settings of a create")
        return refusal

    def _judge(self, call: Call) -> Fault | None:
        if not _is_plain(call.path):
            return _refusal(call, "the path is not normalized (empty steps, `.`, `..` or a second version)")
        for rule in self.deny:
            if rule.covers(call, widely=True):
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
    if path in ("/", "/networks/"):  # the second is a route of the engine's
        return True
    return not (_VERSION.fullmatch(steps[0]) or any(step in ("", ".", "..") for step in steps))


def _refusal(call: Call, why: str) -> Fault:
    return Forbidden(f"mooring: {call} is not allowed on this socket: {why}")
