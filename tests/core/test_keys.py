"""What a label means, and what an address belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.keys import compose_replica, is_meant, is_on, key_in_words, key_of, outlives
from mooring.core.networks import Sticky

ID = "c0ffee" + "0" * 58
COMPOSE = {
    "com.docker.compose.project": "shop",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "2",
}
ONE_OFF = {**COMPOSE, "com.docker.compose.oneoff": "True"}
OWN = f"container:{ID}"


@pytest.mark.parametrize("value", ["true", "1", "-1", "", "adbldfe", "no"])
def test_what_barrels_table_has_on_is_on(value: str) -> None:
    """Whatever is neither 0 nor false; the empty text too."""
    assert is_on(value)


@pytest.mark.parametrize("value", ["false", "False", "FALSE", "0", None])
def test_what_barrels_table_has_off_is_off(value: str | None) -> None:
    """Zero, false in any case of letters, and no label at all."""
    assert not is_on(value)


@pytest.mark.parametrize("value", ["00", "0.0", " 0", "0 ", " false", "false ", "off", "none", "null", "f"])
def test_what_only_looks_like_no_is_on(value: str) -> None:
    """Nothing is trimmed or read as a number: Barrel does not."""
    assert is_on(value)


@pytest.mark.parametrize(
    ("labels", "sticky", "key"),
    [
        # Nothing is said: the network decides.
        ({}, Sticky.OFF, ""),
        ({}, Sticky.CONTAINER, OWN),
        ({}, Sticky.NAME, "name:db"),
        # The label says yes: never less than the network.
        ({"fixed-ip": ""}, Sticky.OFF, OWN),
        ({"fixed-ip": ""}, Sticky.CONTAINER, OWN),
        ({"fixed-ip": ""}, Sticky.NAME, "name:db"),
        ({"fixed-ip": "no"}, Sticky.OFF, OWN),
        # It says no: whatever the network and the other labels say.
        ({"fixed-ip": "0"}, Sticky.OFF, ""),
        ({"fixed-ip": "False"}, Sticky.CONTAINER, ""),
        ({"fixed-ip": "0"}, Sticky.NAME, ""),
        ({"fixed-ip": "0", "mooring.key": "k"}, Sticky.NAME, ""),
        ({"fixed-ip": "false", **COMPOSE}, Sticky.NAME, ""),
        # A key of its own is before everything that the network has.
        ({"mooring.key": "k"}, Sticky.OFF, "key:k"),
        ({"mooring.key": "k"}, Sticky.CONTAINER, "key:k"),
        ({"mooring.key": "k", "fixed-ip": "1"}, Sticky.NAME, "key:k"),
        ({"mooring.key": "k", **COMPOSE}, Sticky.NAME, "key:k"),
        ({"mooring.key": ""}, Sticky.OFF, ""),
        ({"mooring.key": ""}, Sticky.NAME, "name:db"),
        # What compose makes: project, service and number, where the network goes by names.
        (COMPOSE, Sticky.OFF, ""),
        (COMPOSE, Sticky.CONTAINER, OWN),
        (COMPOSE, Sticky.NAME, "compose:shop/web/2"),
        ({**COMPOSE, "fixed-ip": ""}, Sticky.OFF, "compose:shop/web/2"),
        ({**COMPOSE, "fixed-ip": "1"}, Sticky.CONTAINER, "compose:shop/web/2"),
        ({**COMPOSE, "fixed-ip": ""}, Sticky.NAME, "compose:shop/web/2"),
        ({**COMPOSE, "fixed-ip": "", "com.docker.compose.service": ""}, Sticky.OFF, OWN),
        ({**ONE_OFF, "fixed-ip": ""}, Sticky.OFF, OWN),
        ({**COMPOSE, "com.docker.compose.oneoff": "False"}, Sticky.NAME, "compose:shop/web/2"),
        ({**COMPOSE, "com.docker.compose.container-number": ""}, Sticky.NAME, "name:db"),
        ({"com.docker.compose.project": "shop"}, Sticky.NAME, "name:db"),
        # `docker compose run`: nobody's successor, and its name is a random one.
        (ONE_OFF, Sticky.NAME, OWN),
        (ONE_OFF, Sticky.OFF, ""),
        ({**ONE_OFF, "mooring.key": "k"}, Sticky.NAME, "key:k"),
        ({"com.docker.compose.oneoff": "True"}, Sticky.NAME, OWN),
    ],
)
def test_what_an_address_belongs_to(labels: dict[str, str], sticky: Sticky, key: str) -> None:
    """The label before the network, `fixed-ip=0` before both."""
    assert key_of(labels, "db", sticky, ID) == key


@pytest.mark.parametrize(("name", "key"), [("db", "name:db"), ("/db", "name:db"), ("", OWN), ("a/b", "name:a/b")])
def test_a_name_counts_without_the_slash_and_only_when_it_is_known(name: str, key: str) -> None:
    """The engine's names begin with a slash, a request's need not; without one the container stands for itself."""
    assert key_of({}, name, Sticky.NAME, ID) == key


LABELS = st.dictionaries(
    st.sampled_from(["fixed-ip", "mooring.key", *ONE_OFF]), st.sampled_from(["", "0", "false", "False", "1", "x/y"])
)


@given(LABELS, st.sampled_from(["", "db", "/db"]), st.sampled_from(Sticky))
def test_a_key_says_yes_exactly_when_somebody_asks_for_it(labels: dict[str, str], name: str, sticky: Sticky) -> None:
    """A label that is on, a key, or a sticky network; and no label that is off."""
    fixed = labels.get("fixed-ip")
    asked = is_on(fixed) or bool(labels.get("mooring.key")) or sticky is not Sticky.OFF
    key = key_of(labels, name, sticky, ID)
    assert bool(key) is (asked and (fixed is None or is_on(fixed)))
    assert not key or key.split(":")[0] in {"key", "compose", "name", "container"}
    assert outlives(key) is (bool(key) and key != OWN)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("", False), (OWN, False), ("container:", False), ("key:container:x", True), ("name:db", True), ("key:k", True)],
)
def test_only_keys_of_their_own_outlive_a_container(key: str, expected: bool) -> None:
    """A key whose text happens to begin like a container's is still a key."""
    assert outlives(key) is expected


@pytest.mark.parametrize(
    ("key", "words", "expected"),
    [
        ("key:db", ("db", "key:db"), True),
        ("name:web", ("web",), True),
        ("port:p1", ("p1",), True),
        ("compose:shop/db/1", ("shop/db/1", "shop/db", "compose:shop/db", "compose:shop/db/1"), True),
        ("compose:shop/db/1", ("", "db", "shop", "shop/d", "shop/db/2"), False),
        ("key:db", ("", "d", "key", "key:"), False),
        (OWN, (OWN.partition(":")[2],), False),
    ],
)
def test_a_key_is_meant_by_its_text_and_a_service_by_its_name(key: str, words: tuple[str, ...], expected: bool) -> None:
    """As people write them who ask for what it has."""
    assert {is_meant(key, what) for what in words} == {expected}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("compose:shop/web/2", "compose service shop/web, number 2"),
        ("compose:shop/web", "key compose:shop/web"),
        ("key:db", "key db"),
        ("key:", "key key:"),
        ("name:web", "name web"),
        (OWN, "container c0ffee000000"),
        ("other:a/b/c", "key other:a/b/c"),
    ],
)
def test_a_key_is_told_in_words(key: str, words: str) -> None:
    """What it is of; what is written as no key of ours is shown as it is."""
    assert key_in_words(key) == words


@pytest.mark.parametrize("without", ["", *COMPOSE])
def test_compose_tells_which_replica_a_container_is(without: str) -> None:
    """When it says all three, and made the container to stay."""
    labels = {label: text for label, text in COMPOSE.items() if label != without}
    assert compose_replica(labels) == (("shop/web", "2") if not without else ("", ""))
    assert compose_replica(ONE_OFF) == ("", "")
    assert compose_replica({**COMPOSE, "com.docker.compose.oneoff": "False"}) == ("shop/web", "2")
