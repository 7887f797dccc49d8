"""The lab's looks at records and kernels of several hosts: planted faults are found, and what only seems one is not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tests.e2e.lab.sightings import Look, Sightings

X = "10.0.0.5"
ONE, TWO = (1, X), (2, X)


def looked(*looks: tuple[dict[tuple[int, str], str], dict[tuple[int, str], str]]) -> list[str]:
    """What is wrong with these looks at kernels and records, a second apart, of which each is had twice."""
    subnet = ip_network("10.0.0.0/24")
    assert subnet.version == 4
    twice = [look for each in looks for look in (each, each)]
    made = Sightings([], subnet, settled=True)
    made.looks = [Look(float(at), kernels, records) for at, (kernels, records) in enumerate(twice)]
    made._endpoints = {"e1": "c1", "e2": "c2"}
    return made.history().faults()


def test_one_user_after_another_is_right() -> None:
    """On two hosts."""
    assert looked(({}, {}), ({ONE: "c1"}, {ONE: "e1"}), ({}, {}), ({TWO: "c2"}, {TWO: "e2"})) == []


@pytest.mark.parametrize(("kernels", "records", "fault"), [
    ({ONE: "c1"}, {ONE: "e1", TWO: "e2"}, "was granted to c2 on host2 while c1 on host1 has it"),
    ({ONE: "c1", TWO: "c2"}, {ONE: "e1"}, "was sighted to c2 on host2 while c1 on host1 has it"),
    ({ONE: "c1", TWO: "c2"}, {ONE: "e1"}, "is in host2's kernel for c2 without a grant"),
])  # fmt: skip
def test_a_planted_fault_is_found(
    kernels: dict[tuple[int, str], str], records: dict[tuple[int, str], str], fault: str
) -> None:
    """Two on record, two in kernels, and one in a kernel that is not on record."""
    assert any(fault in line for line in looked(({ONE: "c1"}, {ONE: "e1"}), (kernels, records)))


def test_a_container_that_ends_during_a_look_had_its_address_all_the_same() -> None:
    """It was in the kernel at the look's beginning, and off the record at its end."""
    subnet = ip_network("10.0.0.0/24")
    assert subnet.version == 4
    made = Sightings([], subnet, settled=True)
    made.looks = [Look(0.0, {}, {}), Look(1.0, {ONE: "c1"}, {ONE: "e1"}), Look(2.0, {ONE: "c1"}, {}), Look(3.0, {}, {})]
    made._endpoints = {"e1": "c1"}
    assert made.history().faults() == []
