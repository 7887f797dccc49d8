"""Which call a request of Docker's API is."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.faults import BadRequest
from mooring.wire.docker_api import LONGEST_PATH, MOST_PARAMETERS, Verb, is_truthy, recognise


@pytest.mark.parametrize("version", ["", "/v1.41", "/v1", "/v1.44.2"])
@pytest.mark.parametrize(
    ("method", "path", "verb", "subject"),
    [
        ("POST", "/containers/create?name=db", Verb.CREATE, ""),
        ("POST", "/containers/db/start", Verb.START, "db"),
        ("POST", "/containers/created-app/start", Verb.START, "created-app"),
        ("POST", "/containers/create/start", Verb.START, "create"),
        ("POST", "/containers/pruner/attach", Verb.ATTACH, "pruner"),
        ("POST", "/containers/db/rename?name=x", Verb.RENAME, "db"),
        ("POST", "/containers/prune", Verb.PRUNE, ""),
        ("DELETE", "/containers/db", Verb.REMOVE, "db"),
        ("DELETE", "/containers/db?force=1&v=1", Verb.REMOVE, "db"),
        ("DELETE", "/containers/prune", Verb.REMOVE, "prune"),
        ("DELETE", "/containers/db?link=0", Verb.REMOVE, "db"),
        ("DELETE", "/containers/db?link=False", Verb.REMOVE, "db"),
        ("DELETE", "/containers/db?link=1", Verb.OTHER, ""),
        ("DELETE", "/containers/db?link=true&link=0", Verb.OTHER, ""),
        ("DELETE", "/containers/web/db?link=1", Verb.OTHER, ""),
        ("DELETE", "/containers/web%2Fdb?link=1", Verb.OTHER, ""),
        ("DELETE", "/images/quay.io/containers/podman", Verb.OTHER, ""),
        ("GET", "/images/quay.io/containers/podman/json", Verb.OTHER, ""),
        ("POST", "/networks/web/connect", Verb.CONNECT, "web"),
        ("POST", "/networks/_odd name/connect", Verb.CONNECT, "_odd name"),
        ("POST", "/networks/a%2Fb/disconnect", Verb.DISCONNECT, "a/b"),
        ("POST", "/networks/connect", Verb.OTHER, ""),
        ("POST", "/networks/create", Verb.NETWORK, ""),
        ("POST", "/networks/prune", Verb.OTHER, ""),
        ("POST", "/exec/abc/start", Verb.EXEC, "abc"),
        ("GET", "/containers/db/attach/ws?stdin=1", Verb.UPGRADE, "db"),
        ("GET", "/containers/db/json", Verb.OTHER, ""),
        ("GET", "/containers/create", Verb.OTHER, ""),
        ("POST", "/containers//start", Verb.OTHER, ""),
        ("POST", "/containers/start", Verb.OTHER, ""),
        ("POST", "/containers/web/db/start", Verb.START, "web/db"),
        ("POST", "/containers/web/db/attach", Verb.ATTACH, "web/db"),
        ("POST", "/containers/db%2Fstart", Verb.START, "db"),
        ("POST", "/containers/db/start/", Verb.OTHER, ""),
        ("POST", "/containers/create/", Verb.OTHER, ""),
        ("POST", "/CONTAINERS/create", Verb.OTHER, ""),
        ("post", "/containers/create", Verb.OTHER, ""),
        ("DELETE", "/containers/web/db", Verb.OTHER, ""),
        ("DELETE", "/containers/", Verb.OTHER, ""),
        ("DELETE", "/containers/x#y", Verb.REMOVE, "x#y"),
        ("DELETE", "/containers/db?link=+no+", Verb.REMOVE, "db"),
        ("DELETE", "/containers/db?%6Cink=1", Verb.OTHER, ""),
        ("DELETE", "/containers/db?link=%1C0", Verb.OTHER, ""),
        ("POST", "/exec/a/b/start", Verb.EXEC, "a/b"),
        ("POST", "/networks/connect/connect", Verb.CONNECT, "connect"),
        ("GET", "/containers/a/b/attach/ws", Verb.UPGRADE, "a/b"),
        ("GET", "/containers/attach/ws", Verb.OTHER, ""),
        ("POST", "/build?t=containers/create", Verb.OTHER, ""),
    ],
)
def test_every_request_has_its_verdict(version: str, method: str, path: str, verb: Verb, subject: str) -> None:
    """With and without a version; names are names, whatever they look like."""
    call = recognise(method, version + path, False)
    assert (call.verb, call.subject) == (verb, subject)
    assert call.version == {"": None, "/v1.41": (1, 41), "/v1": (1, 0), "/v1.44.2": (1, 44)}[version]


@pytest.mark.parametrize(
    ("method", "target", "writes"),
    [
        ("GET", "/containers/json", False),
        ("HEAD", "/_ping", False),
        ("OPTIONS", "/containers/json", False),
        ("POST", "/containers/x/stop", True),
        ("PUT", "/containers/x/archive", True),
        ("DELETE", "/volumes/x", True),
        ("GET", "/v1.41/containers/x/attach/ws", True),
    ],
)
def test_a_get_that_writes_is_a_write(method: str, target: str, writes: bool) -> None:
    """Reading is GET, HEAD and OPTIONS without a way in."""
    assert recognise(method, target, False).writes is writes


def test_an_offer_makes_an_upgrade_of_those_calls_only_that_take_one() -> None:
    """The engine forgets it for all others, as curl --http2 and Java's client expect; an attach stays an attach."""
    for target in ("/session", "/v1.41/grpc"):
        assert recognise("POST", target, True).verb is Verb.UPGRADE
        assert recognise("POST", target, False).verb is Verb.OTHER
    assert recognise("POST", "/containers/x/attach", True).verb is Verb.ATTACH
    assert recognise("GET", "/containers/x/attach/ws", False).verb is Verb.UPGRADE
    for method, target in (("GET", "/containers/json"), ("POST", "/containers/x/stop"), ("GET", "/session")):
        assert recognise(method, target, True) == recognise(method, target, False)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://docker/v1.41/info", "/info"),
        ("http://docker:80/v1.41/info?x=http://y/z", "/info"),
        ("http:///info", "/info"),
        ("x:/v1.41/info", "/info"),
        ("http://docker", "//docker"),
        ("x:info", "/"),
        ("info", "/"),
        ("1x:/info", "/"),
        ("*", "/"),
        ("", "/"),
        ("//docker/info", "//docker/info"),
        ("/v1%2E41/info", "/info"),
        ("/v1.41%2Finfo", "/info"),
        ("/v1.41", "/v1.41"),
        ("/v1.41/v1.41/info", "/v1.41/info"),
        ("/volumes/x", "/volumes/x"),
        ("/%zz", "/%zz"),
    ],
)
def test_the_path_is_the_one_that_the_engine_routes_by(target: str, path: str) -> None:
    """In the absolute form, with any scheme, too; what it redirects or refuses is no path of a call."""
    call = recognise("GET", target, False)
    assert (call.path, call.section) == (path, path.split("/")[1])


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.44.", (1, 44)),
        ("01.044.0", (1, 44)),
        ("0" * 5000 + "1.41", (1, 41)),
        ("1..41", (1, 0)),
        (".1.41", (0, 1)),
        (".", (0, 0)),
        ("9" * 5000, (10**9, 0)),
    ],
)
def test_a_version_is_any_run_of_digits_and_dots(text: str, version: tuple[int, int]) -> None:
    """The engine carries out `POST /v1.44./containers/x/start`, so it is recognised."""
    call = recognise("POST", f"/v{text}/containers/x/start", False)
    assert (call.verb, call.version) == (Verb.START, version)


def test_what_is_no_text_is_no_name() -> None:
    """Bytes that are no UTF-8 come out as the sign for that, raw or encoded, so that the name can be encoded again."""
    for target in ("/containers/caf\udce9", "/containers/caf%E9"):
        assert recognise("DELETE", target, False).subject == "caf\ufffd"
    for target in ("/containers/caf\u00e9", "/containers/caf%C3%A9"):
        assert recognise("DELETE", target, False).subject == "caf\u00e9"


def test_only_a_hooked_calls_query_is_read() -> None:
    """Of a name that comes twice the first value counts."""
    assert recognise("POST", "http://docker/v1.41/containers/create?name=x&name=y&a", False).query == {
        "name": "x",
        "a": "",
    }
    assert recognise("GET", "/containers/json?all=1", False).query == {}
    assert recognise("GET", "/v1.24/containers/json?all=1&filters=%7B%7D&all=0", False).query == {
        "all": "1",
        "filters": "{}",
    }
    for odd in ("filters={};all=1", "filters=%zz", "filters=\udcff", "filters={}" + "&a" * 256):
        assert recognise("GET", f"/containers/json?{odd}", False).query == {}


@pytest.mark.parametrize(
    ("text", "yes"), [("", False), ("0", False), ("NO", False), ("none", False), ("1", True), ("x", True)]
)
def test_yes_and_no_are_the_engines(text: str, yes: bool) -> None:
    """Everything is a yes that is not one of five words."""
    assert is_truthy(text) is yes


NAME = st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(NAME, st.sampled_from(["", "/v1.41"]), st.sampled_from(["start", "rename", "attach"]))
def test_any_name_is_found_again(name: str, version: str, what: str) -> None:
    """Percent-encoded, whatever it contains."""
    call = recognise("POST", f"{version}/containers/{quote(name, safe='')}/{what}", False)
    assert (call.subject, call.section) == (name, "containers")
    assert recognise("DELETE", f"{version}/containers/{quote(name, safe='')}", False).subject == name


PIECES = ["/", "v1.41", "containers", "create", "start", "%2F", "%2e", "..", "?", "link=1", "x:", "é"]
SENT = st.one_of(
    st.binary(max_size=60).map(lambda sent: sent.decode("utf-8", "surrogateescape")),
    st.lists(st.sampled_from(PIECES)).map("".join),
)


@given(st.sampled_from(["GET", "POST", "DELETE", "PUT", "BREW"]), SENT, st.booleans())
def test_nothing_that_is_sent_makes_it_fail(method: str, target: str, upgrade: bool) -> None:
    """Every request has a verdict, and what it says of it is text that can be encoded."""
    call = recognise(method, target, upgrade)
    assert call.path.startswith("/")
    assert call.section == call.path.split("/")[1]
    assert f"{call.path}{call.subject}{call.query}".encode()


@given(SENT, st.sampled_from(["v1.41", "v1.41.", "v1"]))
def test_a_version_in_front_changes_nothing_else(rest: str, version: str) -> None:
    """Every path means with a version what it means without one."""
    plain, versioned = recognise("POST", f"/x{rest}", False), recognise("POST", f"/{version}/x{rest}", False)
    assert (plain.verb, plain.path, plain.subject) == (versioned.verb, versioned.path, versioned.subject)


@pytest.mark.parametrize(
    ("method", "target"),
    [("DELETE", "/containers/db?" + "a=b&" * MOST_PARAMETERS), ("GET", "/%41" + "x" * (LONGEST_PATH - 3))],
)
def test_what_no_client_sends_is_refused_before_it_is_taken_apart(method: str, target: str) -> None:
    """In one line; the same a little shorter passes."""
    with pytest.raises(BadRequest, match=r"more than 256 parameters|longer than 65536 bytes"):
        recognise(method, target, False)
    assert recognise(method, target.replace("&", "", 1).replace("xx", "x", 1), False)


def test_a_call_is_shown_as_a_line_that_is_never_long() -> None:
    """In refusals and in the log."""
    assert str(recognise("POST", "/v1.44/containers/db/start?t=1", False)) == "POST /containers/db/start"
    assert str(recognise("GET", "/" + "x" * 500, False)) == f"GET /{'x' * 119}..."
