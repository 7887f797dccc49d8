"""Access rules: what they say, what they cover, and what passes where several of them meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.faults import Forbidden
from mooring.servers.proxy.access import EVERYTHING, REMEMBERED, SHORT, AccessRules, Rule
from mooring.wire.docker_api import Call, Verb, recognise


def call(text: str, *, upgrade: bool = False) -> Call:
    """The call of `METHOD /target`."""
    method, target = text.split()
    return recognise(method, target, upgrade)


def rules(*, read_only: bool = False, allow: str = "", deny: str = "") -> AccessRules:
    """Rules from text with commas between."""
    parsed = [tuple(Rule.parse(one) for one in text.split(",") if one) for text in (allow, deny)]
    return AccessRules(read_only, *parsed)


def passes(access: AccessRules, text: str, *, upgrade: bool = False) -> bool:
    """Whether the call is let through."""
    return access.admit(call(text, upgrade=upgrade)) is None


@pytest.mark.parametrize(
    ("rule", "covered", "not_covered"),
    [
        ("GET containers", ["GET /containers/json", "GET /v1.41/containers/db/logs?x=1"], ["POST /containers/create"]),
        ("GET containers", ["HEAD /containers/db/archive"], ["GET /containersx/json", "GET /images/containers/json"]),
        ("get /containers", ["GET /containers/json"], ["GET /version"]),
        ("* images", ["DELETE /images/quay.io/a/b", "POST /images/create"], ["GET /info"]),
        ("POST containers/*/start", ["POST /containers/db/start"], ["POST /containers/db/stop"]),
        ("POST containers/*/start", ["POST /v1.24/containers/d%62/start"], ["POST /containers/a/b/start/c"]),
        ("POST containers/*/start", ["POST /containers/a/b/start", "POST /containers/a%2Fb/start"], []),
        ("GET images/*/json", ["GET /images/quay.io:5000/a/b/json"], ["GET /images/json", "GET /images/a/history"]),
        ("GET images/a/b/json", ["GET /images/a/b/json"], ["GET /images/a/json", "GET /images/c/b/json"]),
        ("GET networks", ["GET /networks/", "GET /networks/a/b"], ["POST /networks/prune"]),
        ("GET containers/*/archive", ["GET /containers/a/b/archive"], ["GET /containers/a/archive/json"]),
        ("GET containers", [], ["GET /containers/db/attach/ws", "GET /v1.41/containers/a/b/attach%2Fws"]),
        ("GET *", [], ["GET /containers/db/attach/ws"]),
        ("GET containers/**", [], ["GET /containers/db/attach/ws"]),
        ("GET containers/*/attach/ws", ["GET /containers/db/attach/ws", "GET /containers/a/b/attach/ws"], []),
        ("* containers", ["GET /containers/db/attach/ws"], []),
        ("POST containers/*/start", [], ["GET /containers/db/start"]),
        ("POST containers/*/start", ["POST /containers%2Fdb%2Fstart"], ["POST /containers//start"]),
        ("GET containers/json", ["GET /containers/json?all=1"], ["GET /containers/json/x", "GET /containers"]),
        ("* images/**/json", ["GET /images/json", "GET /images/a/b/c/json"], ["GET /images/a/history", "GET /json"]),
        ("* images/**", ["GET /images", "GET /images/a/b"], ["GET /imagesx"]),
        ("* images/*/**/tag", ["POST /images/a/b/tag", "POST /images/a/tag"], ["POST /images/tag"]),
        ("DELETE *", ["DELETE /containers/db", "DELETE /"], ["POST /containers/db/kill"]),
        ("* **", ["DELETE /containers/db", "GET /_ping"], []),
        ("HEAD _ping", ["HEAD /_ping"], ["GET /_ping"]),
    ],
)  # fmt: skip
def test_a_rule_covers_its_calls_and_no_others(rule: str, covered: list[str], not_covered: list[str]) -> None:
    """Sections hold everything below them, patterns the whole path, with and without a version, however encoded."""
    parsed = Rule.parse(rule)
    assert [text for text in covered if not parsed.covers(call(text))] == []
    assert [text for text in not_covered if parsed.covers(call(text))] == []


@pytest.mark.parametrize(
    ("rule", "denied"),
    [
        ("* containers/*/archive", "GET /containers/web/alias/archive"),
        ("* containers/*/archive", "HEAD /v1.41/containers/a/b/c/archive"),
        ("POST containers/*/kill", "POST /containers/w2%2Falias/kill"),
        ("DELETE containers/*", "DELETE /containers/web/alias"),
        ("POST exec/*/start", "POST /exec/a/b/start"),
        ("POST networks/*/connect", "POST /networks/a/b/connect"),
        ("GET containers", "GET /containers/db/attach/ws"),
        ("POST containers/*/brew", "POST /containers/web/alias/brew"),
        ("* containers/**/brew", "POST /containers/web/alias/brew"),
        ("* containers/*/brew/*", "POST /containers/a/b/brew/c/d"),
    ],
)
def test_what_is_denied_is_denied_under_every_name(rule: str, denied: str) -> None:
    """A name has slashes where the engine's route lets it have some; of a call that is not known nobody knows where."""
    assert not passes(rules(deny=rule), denied)
    assert passes(rules(deny=rule), "POST /containers/db/pause")


def test_a_rule_for_one_call_denies_no_other() -> None:
    """`*` is one step of the engine's, not any number of them."""
    access = rules(deny="GET containers/*,POST containers/*,GET images/*")
    for text in ("GET /containers/db/json", "POST /containers/a/b/start", "GET /images/a/b/json"):
        assert passes(access, text), text
    for text in ("GET /containers/json", "POST /containers/create", "GET /images/search?term=x"):
        assert not passes(access, text), text


def test_a_start_of_an_old_version_is_judged_as_a_create_too() -> None:
    """Engines up to 25 take mounts and privileges from its body."""
    start = rules(allow="POST containers/*/start")
    assert passes(start, "POST /containers/db/start")
    assert passes(start, "POST /v1.24/containers/db/start")
    for version in ("1.23", "1.18", "1", "0", "1.2.3", "1..24"):
        assert not passes(start, f"POST /v{version}/containers/db/start"), version
    assert passes(rules(allow="POST containers"), "POST /v1.18/containers/db/start")
    assert not passes(rules(deny="POST containers/create"), "POST /v1.18/containers/a/b/start")


@pytest.mark.parametrize(
    ("text", "denies", "wanted"),
    [
        ("GET container", False, "no section of Docker's API; did you mean containers"),
        ("GET containers/*/jsn", False, "covers no call"),
        ("PUT containers/*/start", False, "covers no call"),
        ("GET build", False, "covers no call"),
        ("GET containers", False, ""),
        ("PATCH *", False, "has a method without calls"),
        ("HEAD images", False, "covers no call"),
        ("POST containers/*/start/now", False, "covers no call"),
        ("POST containers/db/restart", False, ""),
        ("GET images/library/nginx/json", False, ""),
        ("GET images/library/*/json", False, ""),
        ("POST containers/db/kill", True, "protects nothing"),
        ("* containers/db/**", True, "protects nothing"),
        ("POST containers/web/*/kill", True, "protects nothing"),
        ("GET secrets/password", True, "protects nothing"),
        ("DELETE networks/backend", True, "protects nothing"),
        ("* images/a/b/push", True, "protects nothing"),
        ("DELETE volumes/data", True, ""),
        ("GET images/json", True, ""),
        ("* images/search", True, ""),
        ("* images/*/*/json", True, ""),
        ("OPTIONS info", True, ""),
        ("* images/**/json", True, ""),
        ("* *", True, ""),
        ("* **", True, ""),
        ("GET */*/archive", True, ""),
    ],
)
def test_a_rule_that_cannot_mean_what_it_says_is_told(text: str, denies: bool, wanted: str) -> None:
    """No engine has such a call; or what it denies by one name is had by another."""
    rule = Rule.parse(text)
    if wanted:
        with pytest.raises(ValueError, match=wanted) as caught:
            rule.check(denies=denies)
        assert "\n" not in str(caught.value)
    else:
        rule.check(denies=denies)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "must be a method"),
        ("containers", "must be a method"),
        ("GET", "must be a method"),
        ("GET containers extra", "must be a method"),
        ("G-T containers", "must be a method"),
        ("GET containers/", "must be a method"),
        ("GET containers//start", "must be a method"),
        ("GET //containers", "must be a method"),
        ("GET containers/web-*", "must be a method"),
        ("GET containers/d%62", "must be a method"),
        ("GET containers?all=1", "must be a method"),
        ("GET v1.41/containers", "must not name a version"),
        ("GET containers/../images", r"must not have the steps \."),
        ("GET images/**/a/**", r"must have \*\* once"),
    ],
)
def test_what_is_no_rule_is_told(text: str, wanted: str) -> None:
    """The text says what is wanted instead."""
    with pytest.raises(ValueError, match=wanted):
        Rule.parse(text)


@given(st.sampled_from(["*", "GET", "POST"]), st.lists(st.sampled_from(["*", "**", "a", "containers"]), min_size=1))
def test_a_rule_reads_its_own_text(method: str, steps: list[str]) -> None:
    """What a refusal prints can be found in, and put back into, the configuration."""
    if steps.count("**") <= 1:
        rule = Rule(method, tuple(steps))
        assert Rule.parse(str(rule)) == rule


@given(st.text(st.sampled_from("/.a*%2Fv1"), max_size=12), st.sampled_from(["GET", "POST", "HEAD", "DELETE"]))
def test_everything_is_everything(tail: str, method: str) -> None:
    """Without rules nothing is refused, however odd; with one that denies everything, nothing passes."""
    asked = recognise(method, "/" + tail, False)
    assert EVERYTHING.everything
    assert EVERYTHING.admit(asked) is None
    assert isinstance(rules(deny="* *").admit(asked), Forbidden)


def test_only_what_is_allowed_passes() -> None:
    """And a client may always find out with whom it speaks; nothing hides behind those two names."""
    access = rules(allow="GET containers,POST containers/*/start")
    assert not access.everything
    assert passes(access, "GET /v1.41/containers/json")
    assert passes(access, "POST /containers/db/start")
    assert passes(access, "HEAD /_ping")
    assert passes(access, "GET /v1.41/version")
    for text in ("POST /containers/create", "GET /images/json", "POST /_ping", "GET /version/x", "GET /", "GET /info"):
        assert not passes(access, text), text


def test_what_is_denied_does_not_pass_though_it_is_allowed() -> None:
    """Also the two that need no rule."""
    access = rules(allow="* *", deny="* exec,GET version,* containers/*/exec")
    assert passes(access, "DELETE /containers/db")
    assert not passes(access, "POST /exec/abc/start")
    assert not passes(access, "POST /containers/db/exec")
    assert not passes(access, "GET /v1.41/version")
    assert passes(access, "GET /_ping")


@pytest.mark.parametrize(
    ("text", "upgrade", "expected"),
    [
        ("GET /containers/json", False, True),
        ("HEAD /containers/db/archive", False, True),
        ("GET /events", False, True),
        ("OPTIONS /info", False, True),
        ("POST /containers/db/start", False, False),
        ("POST /containers/db/wait", False, False),
        ("DELETE /images/a", False, False),
        ("PUT /containers/db/archive", False, False),
        ("POST /exec/abc/start", True, False),
        ("GET /containers/db/attach/ws?stdin=1", False, False),
        ("GET /containers/db/logs", True, True),
        ("POST /session", True, False),
        ("BREW /coffee", False, False),
    ],
)
def test_read_only_is_read_only(text: str, upgrade: bool, expected: bool) -> None:
    """Nothing that may change something or carry bytes in: no other method, no websocket; an offer is none."""
    assert passes(rules(read_only=True), text, upgrade=upgrade) is expected


def test_read_only_wins_over_what_is_allowed() -> None:
    """A rule opens nothing there that writes."""
    access = rules(read_only=True, allow="* containers")
    assert passes(access, "GET /containers/json")
    assert not passes(access, "POST /containers/db/start")
    assert not passes(access, "GET /images/json")


@pytest.mark.parametrize(
    "path",
    ["//exec/a/start", "/containers/../exec/a/start", "/./exec/a/start", "/exec//start", "/exec/a/start/",
     "/v1.41//exec/a/start", "/v1.41/v1.41/exec/a/start", "/v../exec/a/start", "/%2Fexec/a/start", "/%2e/exec/a/start"],
)  # fmt: skip
def test_a_path_that_may_be_read_in_two_ways_does_not_pass(path: str) -> None:
    """The denied call is not had by writing it in another way."""
    assert not passes(rules(deny="* exec"), f"POST {path}")


def test_a_call_without_a_plain_path_does_not_pass() -> None:
    """Whatever recognises calls may hand over: what is no path is refused."""
    for path in ("", "containers/json", "*"):
        assert isinstance(rules(deny="* exec").admit(Call(Verb.OTHER, "GET", "", path=path)), Forbidden)


def test_a_refusal_is_one_line_that_names_the_rule() -> None:
    """The client reads it, and finds the rule in the configuration."""
    said = {
        str(rules(deny="* exec").admit(call("POST /v1.41/exec/a/start"))): 'the rule "* exec" denies it',
        str(rules(allow="GET info").admit(call("POST /exec/a/start"))): "no rule allows it",
        str(rules(read_only=True).admit(call("POST /exec/a/start"))): "it is read-only",
    }
    assert list(said) == [f"mooring: POST /exec/a/start is not allowed on this socket: {why}" for why in said.values()]
    odd = str(rules(read_only=True).admit(call("POST /a%0Ab%0D/" + "x" * 5000)))
    assert "\n" not in odd
    assert len(odd) < 300


def test_a_verdict_that_is_remembered_is_the_same() -> None:
    """Each call is judged by all that counts, also when another one of its path came before; memory has a bound."""
    access = rules(read_only=True, deny="* exec,GET containers/*/attach/ws")
    admit = access.remembering()
    calls = [call(f"{method} {path}") for method in ("GET", "HEAD", "POST", "DELETE") for path in (
        "/containers/json", "/v1.41/containers/json", "/exec/a/json", "/containers/a/attach/ws",
        "/v1.18/containers/a/start", "/containers/a/start", "//", "/session", "/" + "x" * 2 * SHORT,
    )]  # fmt: skip
    for _ in range(2):
        for each in calls:
            assert str(admit(each)) == str(access.admit(each)), each
    old = AccessRules(allow=(Rule.parse("POST containers/*/start"),)).remembering()
    assert [old(call(f"POST {version}/containers/a/start")) is None for version in ("/v1.24", "/v1.23", "")] == [
        True, False, True,
    ]  # fmt: skip
    for number in range(3 * REMEMBERED):
        assert admit(call(f"GET /containers/{number}/json")) is None
        assert admit(call(f"POST /containers/{number}/kill")) is not None
    cells = [cell.cell_contents for cell in admit.__closure__ or ()]
    assert max(len(cell) for cell in cells if isinstance(cell, dict)) <= REMEMBERED
