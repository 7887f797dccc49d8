"""What remains of a large create: as much as decides whose it is, however the bytes are cut and written."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.docker_requests import ContainerSpec
from mooring.wire.docker_bodies import container_spec
from mooring.wire.go_json import LARGEST
from mooring.wire.json_sieve import CREATE, Sieve

LABELS = {"fixed-ip", "mooring.key"}


def sieved(data: bytes, cuts: Sequence[int] = ()) -> Sieve:
    """Fed with the pieces."""
    sieve = Sieve(CREATE)
    marks = sorted({mark % (len(data) + 1) for mark in cuts})
    for start, end in zip([0, *marks], [*marks, len(data)], strict=True):
        sieve.feed(data[start:end])
    return sieve


def networks(spec: ContainerSpec | None) -> tuple[object, ...] | None:
    """What decides."""
    if spec is None:
        return None
    labels = {key: value for key, value in spec.labels.items() if key in LABELS}
    return (spec.mode, [endpoint.network for endpoint in spec.endpoints], spec.crowd, labels)


NAMES = st.sampled_from(
    ["HostConfig", "hostconfig", "NetworkMode", "networkmode", "NetworkingConfig", "EndpointsConfig", "Labels", "Env",
     "Labelſ", "fixed-ip", "mooring.key", "a", 'q"\\', "\u00e9", "Cmd", "Image"]
)  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=6), NAMES)
VALUES = st.recursive(
    LEAVES, lambda sub: st.lists(sub, max_size=3) | st.dictionaries(NAMES, sub, max_size=3), max_leaves=8
)
MAPS = st.dictionaries(NAMES, VALUES, max_size=3)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "HostConfig": st.none()
        | st.fixed_dictionaries({}, optional={"NetworkMode": st.sampled_from(["web", "", None])})
        | MAPS,
        "NetworkingConfig": st.none()
        | st.fixed_dictionaries({"EndpointsConfig": st.none() | st.dictionaries(NAMES, st.none() | MAPS, max_size=4)}),
        "Labels": st.none() | st.dictionaries(NAMES, st.text(max_size=4), max_size=4),
        "Env": st.lists(st.text(max_size=8), max_size=4),
        "hostCONFIG": MAPS,
        "Cmd": VALUES,
    },
)


@given(
    BODIES, st.booleans(), st.sampled_from([None, 2]), st.lists(st.integers(0, 5000), max_size=8), st.binary(max_size=4)
)
def test_what_remains_decides_as_the_whole(
    body: dict[str, object], plain: bool, indent: int | None, cuts: list[int], behind: bytes
) -> None:
    """Networks, mode and labels, whatever else is there, in any pieces; what is behind the object is not read."""
    data = json.dumps(body, ensure_ascii=plain, indent=indent).encode("utf-8", "surrogatepass")
    whole = networks(container_spec(data))
    sieve = sieved(data + behind, cuts)
    assert sieve.done
    if whole is not None:
        assert networks(container_spec(sieve.document)) == whole


@pytest.mark.parametrize(
    ("body", "mode", "names"),
    [
        (b'{"HostConfig":{"NetworkMode":"a"},"HostConfig":{"NetworkMode":"b"}}', "b", ["b"]),
        (b'{"HostConfig":{"NetworkMode":"a"},"HostConfig":null}', "", []),
        (b'{"HostConfig":{"NetworkMode":"a","networkmode":null}}', "a", ["a"]),
        (b'{"\\u0048ostConfig":{"Network\\u004dode":"a"}}', "a", ["a"]),
        (b'{"NetworkingConfig":{"EndpointsConfig":{"x":{"IPAMConfig":{}},"y":null}}}', "", ["x", "y"]),
        (b' {\n"Env" : [ "}" , "{\\"" ] , "HostConfig" : { "Binds":["a"], "NetworkMode" : "a" } }', "a", ["a"]),
        (b"null", "", []),
        (b"[]", "", []),
    ],
)
def test_it_reads_as_go_does(body: bytes, mode: str, names: list[str]) -> None:
    """Fields that come twice, in other letters, in escapes, and nulls."""
    every: list[Sequence[int]] = [[], range(len(body))]
    for cuts in every:
        sieve = sieved(body, cuts)
        assert sieve.done
        spec = container_spec(sieve.document)
        assert spec is not None
        assert (spec.mode, [endpoint.network for endpoint in spec.endpoints]) == (mode, names)


def test_an_object_that_has_not_ended_is_not_done() -> None:
    """The engine could not carry it out either."""
    whole = b'{"Env":["x"],"HostConfig":{"NetworkMode":"a"}}'
    for size in range(len(whole)):
        assert not sieved(whole[:size]).done


def test_memory_is_bounded() -> None:
    """Of strings, depth and numbers without end nothing is kept; of too many networks, so much is said."""
    tracemalloc.start()
    sieve = Sieve(CREATE)
    sieve.feed(b'{"Env":["')
    for _ in range(64):
        sieve.feed(b"x" * (1 << 20))
    sieve.feed(b'"],"Cmd":')
    for _ in range(16):
        sieve.feed(b"[" * (1 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    assert not sieve.overflow
    many = Sieve(CREATE)
    many.feed(b'{"NetworkingConfig":{"EndpointsConfig":{')
    for number in range(2 * LARGEST // 1000):
        many.feed(b'"%d%s":{},' % (number, b"x" * 1000))
    assert many.overflow
    name = Sieve(CREATE)
    for piece in (b'{"', b"n" * LARGEST, b"n" * LARGEST):
        name.feed(piece)
    assert name.overflow
