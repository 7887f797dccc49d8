"""The forms of networks that every host of a cluster is to have, and of what hosts say of them.

Rules: see mooring.wire.cluster_forms.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from urllib.parse import unquote

import msgspec

from mooring.core.containers import EngineSubnet
from mooring.core.everywhere import HostAnswer, NetworkEverywhere, Outcome
from mooring.wire.forms.elements import Stored, text_of


class AskedSubnetV1(Stored, tag="AskedSubnetV1"):
    """A subnet that is asked for."""

    subnet: str
    range: str = ""
    gateway: str = ""
    auxiliary: dict[str, str] = msgspec.field(default_factory=dict)

    def value(self) -> EngineSubnet:
        """As core knows it."""
        return EngineSubnet(
            ip_network(self.subnet), ip_network(self.range) if self.range else None,
            ip_address(self.gateway) if self.gateway else None,
            {name: ip_address(text) for name, text in self.auxiliary.items()},
        )  # fmt: skip


class EverywhereV1(Stored, tag=1):
    """The network that has the name in the key."""

    id: str
    subnets: tuple[AskedSubnetV1, ...]
    options: dict[str, str] = msgspec.field(default_factory=dict)
    ipam_options: dict[str, str] = msgspec.field(default_factory=dict)
    internal: bool = False
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    round: int = 1
    ending: bool = False
    by: str = ""
    asked: float = 0.0

    def record(self, key: str) -> NetworkEverywhere:
        """See stored.Form."""
        return NetworkEverywhere(
            name=unquote(key.split("/")[1]), id=self.id, subnets=tuple(each.value() for each in self.subnets),
            options=self.options, ipam_options=self.ipam_options, internal=self.internal, labels=self.labels,
            round=self.round, ending=self.ending, by=self.by, asked=self.asked,
        )  # fmt: skip


class HostAnswerV1(Stored, tag=1):
    """What the host in the key did with the network of the name there."""

    network: str
    round: int
    outcome: Outcome
    why: str = ""

    def record(self, key: str) -> HostAnswer:
        """See stored.Form."""
        _, name, host = key.split("/")
        return HostAnswer(
            name=unquote(name), host=unquote(host), network=self.network, round=self.round, outcome=self.outcome,
            why=self.why,
        )  # fmt: skip


def everywhere_form(asked: NetworkEverywhere) -> EverywhereV1:
    """The newest form of a network that every host is to have."""
    subnets = tuple(
        AskedSubnetV1(
            subnet=str(each.subnet), range=text_of(each.range), gateway=text_of(each.gateway),
            auxiliary={name: str(address) for name, address in each.auxiliary.items()},
        )
        for each in asked.subnets
    )  # fmt: skip
    return EverywhereV1(
        id=asked.id, subnets=subnets, options=dict(asked.options), ipam_options=dict(asked.ipam_options),
        internal=asked.internal, labels=dict(asked.labels), round=asked.round, ending=asked.ending, by=asked.by,
        asked=asked.asked,
    )  # fmt: skip


def host_answer_form(answer: HostAnswer) -> HostAnswerV1:
    """The newest form of what a host did."""
    return HostAnswerV1(network=answer.network, round=answer.round, outcome=answer.outcome, why=answer.why)
