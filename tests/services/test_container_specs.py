"""How much of what a request asks for the engine will use."""

from __future__ import annotations

import pytest

from mooring.core.docker_requests import ContainerSpec, EndpointConfig
from mooring.services.containers.container_specs import Room, Spellings, addresses_of, parsed_mac, unheeded

MAC, OTHER = "02:42:00:00:00:01", "02:42:00:00:00:02"


@pytest.mark.parametrize("main", [True, False])
@pytest.mark.parametrize(
    ("version", "create", "connect"),
    [((1, 41), "main", False), ((1, 43), "main", False), ((1, 44), "any", False), ((1, 53), "any", False),
     ((1, 54), "any", True), ((1, 60), "any", True)],
)  # fmt: skip
def test_where_a_mac_counts(version: tuple[int, int], create: str, connect: bool, main: bool) -> None:
    """In a create from 1.44 on for each endpoint, before for the mode's network; in a connect from 1.54 on."""
    assert Room(version).settable(main) is (create == "any" or main)
    assert Room(version, connecting=True).settable(main) is connect
    assert Room(version, connecting=True).nameable(main, False)


def test_a_mac_that_the_engine_ignores_is_none() -> None:
    """Tools copy what an inspection showed into whatever they send; what is no MAC is refused where it counts only."""
    endpoint = EndpointConfig("web", mac=MAC)
    assert Room((1, 44)).mac_of(endpoint, False) == MAC
    assert Room((1, 43)).mac_of(endpoint, False) == ""
    assert Room((1, 43)).mac_of(endpoint, True) == MAC  # the proxy writes it where it counts
    assert Room((1, 53), connecting=True).mac_of(endpoint, False) == ""
    assert Room((1, 54), connecting=True).mac_of(endpoint, False) == MAC
    assert Room((1, 44)).mac_of(EndpointConfig("web", mac="no mac"), False) is None
    assert Room((1, 43)).mac_of(EndpointConfig("web", mac="no mac"), False) == ""


def test_the_mac_of_the_whole_container_is_that_of_the_modes_network() -> None:
    """Also when the container is there already and is connected to it once more (engines before 25)."""
    assert Room((1, 41), mac=OTHER).mac_of(EndpointConfig("web"), True) == OTHER
    assert Room((1, 41), mac=OTHER).mac_of(EndpointConfig("web"), False) == ""
    assert Room((1, 41), mac=OTHER).mac_of(EndpointConfig("web", mac=MAC), True) == MAC
    assert Room((1, 41), connecting=True, mac=OTHER).mac_of(EndpointConfig("web", mac=MAC), True) == OTHER


def test_before_1_44_a_create_has_room_for_one_endpoint() -> None:
    """That of the network which is not the mode's, where there are two."""
    assert not Room((1, 43)).nameable(True, alone=False)
    assert Room((1, 43)).nameable(True, alone=True)
    assert Room((1, 43)).nameable(False, alone=False)
    assert Room((1, 44)).nameable(True, alone=False)


def test_a_network_that_is_written_by_the_beginning_of_its_id_is_written_by_its_name() -> None:
    """Only where it has something: the rest of the request is not ours."""
    spellings = Spellings()
    spellings.note("a" * 64, "aaaa", "one", True)
    spellings.note("a" * 64, "a" * 64, "", False)
    spellings.note("b" * 64, "bbbb", "two", False)
    assert spellings.main == "a" * 64
    assert spellings.written == {"a" * 64: "a" * 64, "b" * 64: "two"}
    assert spellings.needed({"a" * 64}) == {"aaaa": "one"}
    assert spellings.needed({"b" * 64}) == {"bbbb": "two"}


def test_addresses_and_macs_are_read_as_go_reads_them() -> None:
    """A mapped address is an IPv4 one; a MAC has colons, hyphens or dots."""
    assert [str(each) for each in addresses_of(EndpointConfig("web", "10.0.0.1", "fd00::1")) or ()] == [
        "10.0.0.1",
        "fd00::1",
    ]
    assert [str(each) for each in addresses_of(EndpointConfig("web", "::ffff:10.0.0.1")) or ()] == ["10.0.0.1"]
    assert addresses_of(EndpointConfig("web", "fd00::1")) is None
    assert addresses_of(EndpointConfig("web", "10.0.0")) is None
    assert {parsed_mac(text) for text in (MAC, MAC.replace(":", "-"), "0242.0000.0001")} == {MAC}
    assert (parsed_mac(""), parsed_mac("02:42")) == ("", None)


def test_a_label_beside_another_containers_network_says_whose_counts() -> None:
    """compose's network_mode: service:web, in short."""
    spec = ContainerSpec({"fixed-ip": ""}, "container:" + "a" * 64, ())
    assert unheeded(spec, kept=False) == (
        "label fixed-ip has no effect: this container shares the network of container aaaaaaaaaaaa; "
        "put the label there",
    )
