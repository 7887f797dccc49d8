"""A container's place in a network, written again."""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest

from mooring.adapters.docker.engine_places import naming, place_in
from mooring.core.everywhere import NetworkEverywhere
from mooring.core.faults import Conflict
from tests.adapters.test_docker_engine import Script, engine, no, ok

NETWORK = "n" * 64
PLACE = {
    "IPAMConfig": {"IPv6Address": "fd00::9", "LinkLocalIPs": ["169.254.1.1"]}, "Links": ["db:data"],
    "Aliases": ["web", "abcabcabcabc"], "DriverOpts": {"a": "b"}, "GwPriority": 7, "NetworkID": NETWORK,
    "EndpointID": "e" * 64, "Gateway": "10.0.0.1", "IPAddress": "10.0.0.2", "IPPrefixLen": 24, "IPv6Gateway": "",
    "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "MacAddress": "02:00:00:00:00:01", "DNSNames": ["web"],
    "Later": None,
}  # fmt: skip


def inspected(**networks: object) -> bytes:
    """GET /containers/{id}/json."""
    return json.dumps({"Id": "abcabcabcabc" + "0" * 52, "NetworkSettings": {"Networks": networks}}).encode()


def test_what_was_asked_for_stays_and_what_was_filled_in_goes() -> None:
    """Also fields that nobody here knows; the beginning of the id is no alias of the user's."""
    place = place_in(inspected(other={"NetworkID": "x"}, none=None, web=PLACE), NETWORK)
    assert place == {
        "IPAMConfig": PLACE["IPAMConfig"], "Links": ["db:data"], "Aliases": ["web"], "DriverOpts": {"a": "b"},
        "GwPriority": 7,
    }  # fmt: skip
    assert naming(place, [ip_address("10.0.0.2")])["IPAMConfig"] == {
        "IPv4Address": "10.0.0.2", "IPv6Address": "fd00::9", "LinkLocalIPs": ["169.254.1.1"],
    }  # fmt: skip


def test_a_place_without_wishes_names_the_addresses_only() -> None:
    """Null is nothing."""
    place = place_in(inspected(web={"NetworkID": NETWORK, "IPAMConfig": None, "Aliases": None}), NETWORK)
    assert place == {}
    named = naming(place, [ip_address("10.0.0.2"), ip_address("fd00::2")])
    assert named == {"IPAMConfig": {"IPv4Address": "10.0.0.2", "IPv6Address": "fd00::2"}}


def test_who_is_not_there_has_no_place() -> None:
    """And what is no container is not understood."""
    assert place_in(inspected(web={"NetworkID": "x"}), NETWORK) is None
    assert place_in(b'{"Id": "a", "NetworkSettings": null}', NETWORK) is None
    with pytest.raises(msgspec.MsgspecError):
        place_in(b"[]", NETWORK)


PLACED = json.dumps({"Id": "c", "NetworkSettings": {"Networks": {"web": {"NetworkID": "n"}}}}).encode()


async def test_a_reconnect_that_is_refused_puts_the_container_back(tmp_path: Path) -> None:
    """By name first, then as it was; the engine's words are passed on."""
    script = Script()
    answers = {
        "/containers/c/json": ok(PLACED), "/networks/n/disconnect": ok(b""),
        "/networks/n/connect": no(403, "Address already in use"),
    }  # fmt: skip
    async with engine(tmp_path, answers, script=script) as docker:
        with pytest.raises(Conflict, match="Docker refuses: Address already in use"):
            await docker.reconnect("c", "n", await docker.place("c", "n"), [])
    assert script.asked == ["/containers/c/json", "/networks/n/disconnect", *["/networks/n/connect"] * 2]


async def test_what_a_plugin_says_is_to_be_done_is_the_refusals_hint(tmp_path: Path) -> None:
    """Where that is this one, behind the engine: people look for it there."""
    said = "IpamDriver.RequestPool: subnet 10.1.0.0/24 is in use (held by network a); choose another subnet"
    async with engine(tmp_path, {"/networks/create": no(409, said)}) as docker:
        with pytest.raises(Conflict) as refused:
            await docker.create_network(
                NetworkEverywhere(name="a", id="", subnets=(), options={}).for_engine("mooring")
            )
    assert refused.value.what.endswith("is in use (held by network a)")
    assert refused.value.hint == "choose another subnet"


async def test_who_goes_away_in_the_middle_of_a_reconnect_leaves_nobody_without_a_network(tmp_path: Path) -> None:
    """The container is put into it all the same."""
    script = Script()
    answers = {"/networks/n/connect": ok(b"")}
    async with engine(tmp_path, answers, script=script) as docker, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(docker.reconnect("c", "n", "{}", []))
        for _ in range(1000):
            if "/networks/n/disconnect" in script.asked:
                break
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert script.asked[-1] == "/networks/n/connect"
