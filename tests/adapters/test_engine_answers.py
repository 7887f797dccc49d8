"""Docker's answers as core's values: nulls, odd texts, and whatever else JSON can be."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.docker.engine_answers import (
    ContainerAnswer,
    ContainerRow,
    InfoAnswer,
    NetworkAnswer,
    VersionAnswer,
    bridges_of,
    ids_of,
    subnets_of,
)
from mooring.adapters.docker.event_answers import EventAnswer
from mooring.core.containers import Container, ContainerEndpoint, EngineNetwork, EngineSubnet, EventKind

NEVER_RAN = """{"Id": "c1", "Names": ["/db"], "Created": 1700000000, "State": "created", "Labels": {"fixed-ip": ""},
  "NetworkSettings": {"Networks": {"web": {"IPAMConfig": {"IPv4Address": "10.32.0.9", "IPv6Address": "fd00::9"},
  "NetworkID": "", "EndpointID": "", "IPAddress": "", "GlobalIPv6Address": "", "MacAddress": ""}}}}"""
RUNS = """{"Id": "c1", "Name": "/db", "Created": "2024-05-06T07:08:09.123456789Z", "State": {"Running": true},
  "Config": {"Labels": {"a": "b"}, "MacAddress": "02:AB:00:00:00:01"}, "HostConfig": {"NetworkMode": "web"},
  "NetworkSettings": {"Networks": {
    "web": {"IPAMConfig": {"IPv4Address": "10.32.0.9"}, "NetworkID": "n1", "EndpointID": "e1",
            "IPAddress": "10.32.0.9", "GlobalIPv6Address": "fd00::9", "MacAddress": "02:AB:00:00:00:01"},
    "back": {"IPAMConfig": null, "NetworkID": "n2", "EndpointID": "e2", "IPAddress": "10.33.0.2",
             "MacAddress": "02:42:0A:21:00:02"}}}}"""


def row(ids: dict[str, str] | None = None, **changes: Any) -> Container:
    """The container that never ran, with changes, as a list has it."""
    document = {**json.loads(NEVER_RAN), **changes}
    return msgspec.json.decode(json.dumps(document), type=ContainerRow).value(ids or {})


def inspected(**changes: Any) -> Container:
    """The container that runs, with changes, as an engine of 20.10 tells it."""
    return inspected_in((1, 41), **changes)


def inspected_in(version: tuple[int, int], **changes: Any) -> Container:
    """The same, of an engine whose API has the version."""
    document = {**json.loads(RUNS), **changes}
    return msgspec.json.decode(json.dumps(document), type=ContainerAnswer).value({"web": "by-name"}, version)


def test_what_never_ran_is_in_the_network_that_has_the_name_now() -> None:
    """The engine gives it no id before the first start; one that is no more is told as none."""
    wanted = {"wanted4": ip_address("10.32.0.9"), "wanted6": ip_address("fd00::9")}
    known = ContainerEndpoint("n1", "web", **wanted)  # type: ignore[arg-type]
    expected = Container("c1", "db", False, 1.7e9, {"fixed-ip": ""}, (known,))
    assert row({"web": "n1"}) == expected
    assert row({"other": "n1"}).endpoints[0].network == ""


def test_a_running_container_tells_what_it_asks_for_and_what_it_has() -> None:
    """The MAC of its configuration belongs to the network of its mode; letters are small, the slash is gone."""
    found = inspected()
    assert (found.id, found.name, found.running, found.labels) == ("c1", "db", True, {"a": "b"})
    assert 1714979289.1 < found.created < 1714979289.2
    assert [(known.network, known.endpoint, known.wanted_mac, known.mac) for known in found.endpoints] == [
        ("n1", "e1", "02:ab:00:00:00:01", "02:ab:00:00:00:01"),
        ("n2", "e2", "", "02:42:0a:21:00:02"),
    ]
    assert [([*map(str, known.wanted)], [*map(str, known.held)]) for known in found.endpoints] == [
        (["10.32.0.9"], ["10.32.0.9", "fd00::9"]),
        ([], ["10.33.0.2"]),
    ]


@pytest.mark.parametrize(("mode", "asking"), [("web", "web"), ("n1", "web"), ("n2", "back"), ("default", ""), ("", "")])
def test_the_mode_names_its_network_by_name_or_id(mode: str, asking: str) -> None:
    """Only there the MAC of the configuration counts."""
    found = inspected(HostConfig={"NetworkMode": mode})
    assert [known.name for known in found.endpoints if known.wanted_mac] == ([asking] if asking else [])


IDS = {"web": "abc1", "back": "abd2", "abc": "f003", "f00": "9004"}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("web", ("abc1", "web")), ("abc1", ("abc1", "web")), ("abc", ("f003", "abc")), ("abd", ("abd2", "back")),
        ("ab", ("", "ab")), ("f00", ("9004", "f00")), ("f003", ("f003", "abc")), ("we", ("", "we")), ("", ("", "")),
    ],
)  # fmt: skip
def test_what_never_ran_is_in_the_network_that_its_user_meant(reference: str, expected: tuple[str, str]) -> None:
    """A name before the beginning of an id, and nobody is guessed; told under the network's own name."""
    settings = {"Networks": {reference: {"IPAMConfig": {"IPv4Address": "10.0.0.1"}, "NetworkID": ""}}}
    (known,) = row(IDS, NetworkSettings=settings).endpoints
    assert (known.network, known.name, str(known.wanted4)) == (*expected, "10.0.0.1")


@pytest.mark.parametrize("keys", [("abc1", "web"), ("web", "abc1")])
def test_what_is_listed_twice_is_one_place(keys: tuple[str, str]) -> None:
    """Engine 20.10 lists what was made with the beginning of an id under that and under the name, once it ran."""
    endpoint = {"IPAMConfig": None, "NetworkID": "abc123", "EndpointID": "e1", "IPAddress": "10.0.0.2"}
    settings = {"Networks": {**dict.fromkeys(keys, endpoint), "back": {"NetworkID": "abd2"}}}
    web = ContainerEndpoint("abc123", "web", ipv4=IPv4Address("10.0.0.2"), endpoint="e1")
    assert row(NetworkSettings=settings).endpoints == (web, ContainerEndpoint("abd2", "back"))
    config = {"Config": {"MacAddress": "02:AB:00:00:00:01"}, "HostConfig": {"NetworkMode": "abc1"}}
    first, second = inspected(NetworkSettings=settings, **config).endpoints
    assert (first.name, first.wanted_mac, second.wanted_mac) == ("web", "02:ab:00:00:00:01", "")


def test_places_in_networks_that_are_not_known_are_told_apart() -> None:
    """They are two, by their names."""
    settings = {"Networks": {"one": {"IPAMConfig": {"IPv4Address": "10.0.0.1"}}, "two": None}}
    assert [(each.network, each.name) for each in row(NetworkSettings=settings).endpoints] == [("", "one"), ("", "two")]


def test_a_name_that_several_networks_have_is_nobodys() -> None:
    """The engine refuses to start what uses it; three are no more one than two are."""
    text = (
        '[{"Id": "a", "Name": "web"}, {"Id": "b", "Name": "dup"}, {"Id": "c", "Name": "dup"}, {"Id": "d", "Name": ""}'
    )
    networks = msgspec.json.decode(text + ', {"Id": "e", "Name": "dup"}, {"Id": "f"}]', type=list[NetworkAnswer])
    assert ids_of(networks) == {"web": "a"}


@pytest.mark.parametrize(
    ("mode", "keys", "main"),
    [
        ("default", ("bridge", "web"), "bridge"), ("web", ("back", "web"), "web"), ("n-web", ("back", "web"), "web"),
        ("n-we", ("back", "web"), "web"), ("n-web", ("n-web", "web"), "n-web"), ("host", ("web",), ""),
        ("container:n-web", ("web",), ""), ("none", ("none",), "none"),
    ],
)  # fmt: skip
def test_the_main_network_is_the_one_of_the_mode(mode: str, keys: tuple[str, ...], main: str) -> None:
    """By name, by id or its beginning, and by the name that stands for the default."""
    settings = {"Networks": {key: {"NetworkID": f"n-{key}"} for key in keys}}
    config = {"Config": {"MacAddress": "02:ab:00:00:00:01"}, "HostConfig": {"NetworkMode": mode}}
    found = inspected(NetworkSettings=settings, **config)
    assert [known.name for known in found.endpoints if known.wanted_mac] == ([main] if main else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("02:AB:00:00:00:01", "02:ab:00:00:00:01"), ("02-ab-00-00-00-01", "02:ab:00:00:00:01"),
        ("02AB.0000.0001", "02:ab:00:00:00:01"), ("02:ab-00:00:00:01", ""), ("2:ab:0:0:0:1", ""), ("", ""),
        ("02ab00000001", ""), ("02:ab:00:00:00:01:02:03", ""), ("02:ab:00:00:00:0\u0661", ""), (None, ""),
        ("02:ab:00:00:00:01\n", ""), ("nonsense", ""),
    ],
)  # fmt: skip
def test_a_mac_is_the_same_however_it_is_written(text: str | None, expected: str) -> None:
    """Docker takes the three forms of Go's net.ParseMAC and keeps the user's own; what is no MAC is nothing."""
    endpoint = {"NetworkID": "n1", "EndpointID": "e1", "MacAddress": text}
    config = {"Config": {"MacAddress": text}, "HostConfig": {"NetworkMode": "web"}}
    (known,) = inspected(NetworkSettings={"Networks": {"web": endpoint}}, **config).endpoints
    assert (known.wanted_mac, known.mac) == (expected, expected)


@pytest.mark.parametrize(
    ("version", "endpoint", "expected"),
    [((1, 44), "", ("02:ab:00:00:00:02", "")), ((1, 43), "", ("", "")), ((1, 52), "e1", ("", "02:ab:00:00:00:02"))],
)
def test_the_mac_of_an_endpoint_is_asked_for_or_had(
    version: tuple[int, int], endpoint: str, expected: tuple[str, str]
) -> None:
    """Until the first start it is what the configuration asks for, if the engine can give each endpoint one."""
    networks = {"back": {"NetworkID": "n2", "EndpointID": endpoint, "MacAddress": "02:AB:00:00:00:02"}}
    (known,) = inspected_in(version, NetworkSettings={"Networks": networks}).endpoints
    assert (known.wanted_mac, known.mac) == expected


def test_links_are_no_names() -> None:
    """The engine lists them among the names, before or after the own one."""
    assert row(Names=["/web/db", "/db", "/other/alias"]).name == "db"
    assert row(Names=["/web/db"]).name == ""


@pytest.mark.parametrize(
    ("state", "expected"),
    [("created", False), ("exited", False), ("dead", False), ("removing", False), ("", False), (None, False),
     ("running", True), ("paused", True), ("restarting", True)],
)  # fmt: skip
def test_what_counts_as_running(state: str | None, expected: bool) -> None:
    """As the engine's own State.Running."""
    assert row(State=state).running is expected


@pytest.mark.parametrize(
    ("status", "check", "healthy"),
    [
        ("", None, True), ("", ["NONE"], True), ("", ["CMD", "true"], False), ("none", ["CMD", "true"], False),
        ("starting", ["CMD", "true"], False), ("unhealthy", ["CMD", "true"], False), ("healthy", ["CMD", "true"], True),
    ],
)  # fmt: skip
def test_who_has_a_health_check_is_healthy_when_it_has_succeeded(
    status: str, check: list[str] | None, healthy: bool
) -> None:
    """And while it runs: what is left of a check then is of the time before."""
    config = {"Healthcheck": {"Test": check}} if check else {}
    health = {"Health": {"Status": status}} if status else {}
    assert inspected(Config=config, State={"Running": True, **health}).healthy is healthy
    assert inspected(Config=config, State={"Running": False, **health}).healthy is (check in (None, ["NONE"]))


@pytest.mark.parametrize(
    ("status", "healthy"),
    [
        ("Up 5 minutes", True), ("Up 5 minutes (healthy)", True), ("Up 5 minutes (Paused)", None), (None, True),
        ("Restarting (1) 5 seconds ago", None),
        ("Up 5 minutes (unhealthy)", False), ("Up 1 second (health: starting)", False),
    ],
)  # fmt: skip
def test_a_list_tells_health_in_words(status: str | None, healthy: bool | None) -> None:
    """Those of every engine."""
    assert row(Status=status).healthy is healthy


ROW_FIELDS = ("Names", "Created", "State", "Labels", "NetworkSettings")
ANSWER_FIELDS = ("Name", "Created", "State", "Config", "HostConfig", "NetworkSettings")


def test_nulls_and_missing_fields_are_nothing() -> None:
    """At the top, and wherever else they may be."""
    empty = Container("c1", "", False, 0.0)
    assert row(**dict.fromkeys(ROW_FIELDS)) == empty
    assert inspected(**dict.fromkeys(ANSWER_FIELDS)) == empty
    assert msgspec.json.decode('{"Id": "c1"}', type=ContainerRow).value({}) == empty
    assert msgspec.json.decode('{"Id": "c1"}', type=ContainerAnswer).value({}) == empty
    nothing = inspected(
        State={"Running": None}, Config={"Labels": None, "MacAddress": None}, HostConfig={"NetworkMode": None}
    )
    assert (nothing.running, nothing.labels, {known.wanted_mac for known in nothing.endpoints}) == (False, {}, {""})
    nulls = ("IPAMConfig", "NetworkID", "EndpointID", "IPAddress", "GlobalIPv6Address", "MacAddress")
    for endpoint in (None, {}, dict.fromkeys(nulls), {"IPAMConfig": {"IPv4Address": None, "IPv6Address": None}}):
        place = {"Networks": {"web": endpoint}}
        assert row(NetworkSettings=place).endpoints == (ContainerEndpoint("", "web"),)
        known = [inspected(NetworkSettings=place, **{each: None}).endpoints for each in ("Config", "HostConfig")]
        assert known == [(ContainerEndpoint("by-name", "web", aliases=()),)] * 2
    assert not any(read(NetworkSettings={"Networks": None}).endpoints for read in (row, inspected))


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "10.32.0.9/24", "10.32.0", "10.032.0.9", "::ffff", "invalid IP", "<nil>", " 10.32.0.9", "fd00::1"],
)
def test_a_text_that_is_no_ipv4_address_is_none(text: str) -> None:
    """Also one of the other family."""
    answer = {"Networks": {"web": {"IPAMConfig": {"IPv4Address": text}, "IPAddress": text}}}
    known = row(NetworkSettings=answer).endpoints[0]
    assert (known.wanted4, known.ipv4) == (None, None)


@pytest.mark.parametrize(
    ("text", "expected"), [("FD00::000A", "fd00::a"), ("10.0.0.1", None), ("fd00::1/64", None), ("", None)]
)
def test_an_ipv6_address_is_the_same_however_it_is_written(text: str, expected: str | None) -> None:
    """And nothing else is one."""
    settings = {"Networks": {"web": {"IPAMConfig": {"IPv6Address": text}, "GlobalIPv6Address": text}}}
    known = row(NetworkSettings=settings).endpoints[0]
    assert known.wanted6 == known.ipv6 == (ip_address(expected) if expected else None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10.5Z", 10.5),
        ("1970-01-01T00:00:10.500000000Z", 10.5),
        ("1970-01-01T01:00:10.5+01:00", 10.5),
        ("1970-01-01T01:00:10+01:00", 10.0),
        ("1970-01-01T00:00:10", 10.0),
        ("0001-01-01T00:00:00Z", -62135596800.0),  # Go's zero time
        ("", 0.0), ("yesterday", 0.0), ("1970", 0.0), ("0001-01-01T00:00:00", -62135596800.0),
        ("9999-12-31T23:59:59.999999999Z", 253402300799.999999),
    ],
)  # fmt: skip
def test_when_it_was_made(text: str, seconds: float) -> None:
    """In any zone, with any fraction; 0 for what is no time."""
    assert inspected(Created=text).created == pytest.approx(seconds, abs=1e-3)


def test_a_list_has_seconds() -> None:
    """Whole ones, or a fraction."""
    assert (row(Created=0).created, row(Created=1.5).created) == (0.0, 1.5)


def test_networks_and_what_is_in_them() -> None:
    """A subnet with host bits is one; a bridge without a name of its own has one from its id."""
    text = """[{"Id": "abcdefabcdefabcdef", "Name": "web", "Driver": "bridge", "EnableIPv6": true,
      "Internal": true, "Options": {"mtu": "1400"}, "IPAM": {"Driver": "mooring", "Options": {"tenant": "a"},
       "Config": [{"Subnet": "10.0.0.1/24", "IPRange": "10.0.0.128/25", "Gateway": "10.0.0.1/24",
       "AuxiliaryAddresses": {"printer": "10.0.0.9", "none": "x"}}, {"Subnet": "fd00::/64"}, {"Subnet": null},
        {"Subnet": ""}, {}]}},
      {"Id": "b", "Name": null, "Driver": null, "EnableIPv6": null, "Options": null, "IPAM": {"Config": null},
       "Containers": null}, {"Id": "c", "IPAM": null}]"""
    networks = msgspec.json.decode(text, type=list[NetworkAnswer])
    four, six = ip_network("10.0.0.0/24"), ip_network("fd00::/64")
    assert subnets_of(networks) == {four, six}
    assert bridges_of(networks) == {"br-abcdefabcdef"}
    first, *others = [network.value() for network in networks]
    printer = {"printer": ip_address("10.0.0.9")}
    part = EngineSubnet(four, ip_network("10.0.0.128/25"), ip_address("10.0.0.1"), printer)
    assert first == EngineNetwork(
        "abcdefabcdefabcdef", "web", "bridge", True, internal=True, options={"mtu": "1400"}, ipam="mooring",
        ipam_options={"tenant": "a"}, subnets=(part, EngineSubnet(six)),
    )  # fmt: skip
    assert others == [EngineNetwork("b", "", ""), EngineNetwork("c", "", "")]


def test_a_subnet_that_is_none_is_an_error() -> None:
    """It is said, since a missing subnet would count as a network that is gone."""
    with pytest.raises(ValueError, match="nonsense"):
        subnets_of(
            [msgspec.json.decode('{"Id": "a", "IPAM": {"Config": [{"Subnet": "nonsense"}]}}', type=NetworkAnswer)]
        )


@pytest.mark.parametrize(("text", "expected"), [("1.41", (1, 41)), ("1.100", (1, 100)), ("2.0", (2, 0))])
def test_a_version_is_two_numbers(text: str, expected: tuple[int, int]) -> None:
    """1.9 is before 1.41."""
    assert VersionAnswer(text).value() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20.10.24+dfsg1", (20, 10)), ("29.1.0", (29, 1)), ("v29.1", (29, 1)), ("library-import", (0, 0)), ("", (0, 0))],
)
def test_the_release_of_an_engine(text: str, expected: tuple[int, int]) -> None:
    """Whatever a distribution appends."""
    assert VersionAnswer("1.41", text).release() == expected


@pytest.mark.parametrize("text", ["", "1", "1.", ".1", "one.two", "1.41.2"])
def test_what_is_no_version_is_an_error(text: str) -> None:
    """Rather than a wrong number."""
    with pytest.raises(ValueError):
        VersionAnswer(text).value()


TEXT = st.one_of(
    st.text(max_size=8), st.sampled_from(["10.0.0.1", "fd00::1", "fe80::1%eth0", "0001-01-01T00:00:00", "1.1"])
)
LEAF = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT)
ENDPOINT = st.fixed_dictionaries(
    {},
    optional={
        "IPAMConfig": st.none() | st.dictionaries(st.sampled_from(["IPv4Address", "IPv6Address"]), st.none() | TEXT),
        **dict.fromkeys(("NetworkID", "EndpointID", "IPAddress", "GlobalIPv6Address", "MacAddress"), st.none() | TEXT),
    },
)
SETTINGS = st.none() | st.fixed_dictionaries({"Networks": st.none() | st.dictionaries(TEXT, st.none() | ENDPOINT)})
MAPPING = st.none() | st.dictionaries(TEXT, TEXT, max_size=2)
RUNNING = st.fixed_dictionaries({"Running": st.booleans()})
SUBNETS = st.lists(st.fixed_dictionaries({"Subnet": st.none() | TEXT}))
SHAPED: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("Id", "ID", "Type", "Driver", "ApiVersion"), TEXT),
    **dict.fromkeys(("Labels", "Options"), MAPPING),
    "Names": st.none() | st.lists(TEXT, max_size=3),
    "Name": st.none() | TEXT,
    "Created": st.none() | TEXT | st.floats(allow_nan=False),
    "State": TEXT | RUNNING,
    "Config": st.none() | st.fixed_dictionaries({"Labels": MAPPING, "MacAddress": st.none() | TEXT}),
    "HostConfig": st.none() | st.fixed_dictionaries({"NetworkMode": st.none() | TEXT}),
    "NetworkSettings": SETTINGS,
    "Action": TEXT | st.sampled_from([each.value for each in EventKind]),
    "Actor": st.none() | st.fixed_dictionaries({"ID": TEXT, "Attributes": MAPPING}),
    "timeNano": st.none() | st.integers(),
    "Containers": st.none() | st.dictionaries(TEXT, st.none() | ENDPOINT),
    "IPAM": st.none() | st.fixed_dictionaries({"Config": SUBNETS}),
}
NAMES = st.sampled_from([*SHAPED, "Networks", "IPAMConfig", "NetworkID", "IPAddress", "MacAddress", "Running", "web"])
ANYTHING = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5))


@given(ANYTHING | st.fixed_dictionaries({}, optional=SHAPED))
def test_no_json_raises_anything_but_what_the_adapter_expects(document: object) -> None:
    """Every conversion takes it, or says by msgspec or ValueError that it does not."""
    text = json.dumps(document)
    for asked in (
        lambda: msgspec.json.decode(text, type=ContainerRow).value({"web": "n1"}),
        lambda: msgspec.json.decode(text, type=ContainerAnswer).value({"web": "n1", "b": "10"}, (1, 44)),
        lambda: ids_of([msgspec.json.decode(text, type=NetworkAnswer)]),
        lambda: msgspec.json.decode(text, type=EventAnswer).value(),
        lambda: msgspec.json.decode(text, type=NetworkAnswer).value(),
        lambda: subnets_of([msgspec.json.decode(text, type=NetworkAnswer)]),
        lambda: bridges_of([msgspec.json.decode(text, type=NetworkAnswer)]),
        lambda: msgspec.json.decode(text, type=VersionAnswer).value(),
        lambda: msgspec.json.decode(text, type=InfoAnswer),
    ):
        try:
            asked()
        except (msgspec.MsgspecError, ValueError):
            continue
