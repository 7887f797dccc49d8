"""The proxy's gate: bodies in, one call of the controller, bodies out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, ip_network

import pytest

from mooring.core.docker_requests import ContainerSpec, EndpointConfig, NetworkSpec
from mooring.core.faults import BadRequest, Conflict, Unavailable
from mooring.core.intents import Intent, Purpose
from mooring.core.networks import Subnet
from mooring.servers.proxy.address_hook import AddressHook
from mooring.servers.proxy.hooks import Decision, Reply
from mooring.services.containers.admission import Admission
from mooring.services.containers.fixed_allocator import Grant
from mooring.wire.docker_api import Verb, recognise
from mooring.wire.go_json import LARGEST

INTENT = Intent(id="i1", purpose=Purpose.CREATE, engine="e", created=0.0, container="c" * 64, name="db")
GRANT = Grant("n" * 64, IPv4Address("10.0.0.9"), None, "02:00:00:00:00:09", frozenset({IPv4Address("10.0.0.9")}))
BODY = json.dumps({"Image": "x", "Labels": {"fixed-ip": ""}, "HostConfig": {"NetworkMode": "web"}}).encode()


class ScriptedController:
    """Answers what the test says, and notes what it was asked. fault: raised by what settles."""

    def __init__(self, grants: bool = True) -> None:
        self.guards = self.serves = True
        self.admission = Admission(INTENT, {"web": GRANT}, (1, 41)) if grants else None
        self.fault: Exception | None = None
        self.done: list[tuple[object, ...]] = []

    def _settle(self, *what: object) -> None:
        self.done.append(what)
        if self.fault is not None:
            raise self.fault

    async def create(self, name: str, spec: ContainerSpec, version: tuple[int, int] | None) -> Admission | None:
        self.done.append(("create", name, spec.mode, version))
        return self.admission

    async def connect(
        self, reference: str, container: str, endpoint: EndpointConfig, version: tuple[int, int] | None
    ) -> Admission | None:
        self.done.append(("connect", reference, container, version))
        return self.admission

    async def concerns(self, networks: Sequence[str], labels: Mapping[str, str] | None) -> bool:
        self.done.append(("concerns", *networks))
        return self.admission is not None

    async def complete(self, intent: Intent, container: str) -> None:
        self._settle("settle", container)

    async def roll_back(self, intent: Intent) -> None:
        self._settle("give back")

    def leave_open(self, intent: Intent) -> None:
        self.done.append(("abandon",))

    async def removal(self, reference: str) -> Intent | None:
        self.done.append(("removal", reference))
        return INTENT if self.admission is not None else None

    async def disconnection(self, reference: str, container: str) -> Intent | None:
        self.done.append(("disconnection", reference, container))
        return INTENT if self.admission is not None else None

    async def departed(self, intent: Intent) -> bool:
        self._settle("departed")
        return True

    async def pruned(self, containers: Sequence[str]) -> None:
        self._settle("pruned", *containers)


async def ready() -> None:
    """The store is read."""


async def decide(controller: ScriptedController, method: str, target: str, body: bytes = b"") -> Decision:
    """What the gate says to the request."""
    hook = AddressHook(controller, ready)
    call = recognise(method, target, False)
    assert hook.wants(call)
    return await hook.decide(call, body)


async def settle(found: Decision, status: int = 0, body: bytes = b"") -> None:
    """The engine answers, or does not when the status is 0."""
    assert found.settle is not None
    await found.settle(Reply(status, body) if status else None)


@pytest.mark.parametrize(
    ("verb", "guards", "serves", "wanted"),
    [
        (Verb.CREATE, False, False, True),
        (Verb.CONNECT, True, False, False),
        (Verb.CONNECT, False, True, True),
        (Verb.REMOVE, False, True, False),
        (Verb.REMOVE, True, True, True),
        (Verb.PRUNE, False, True, False),
        (Verb.PRUNE, True, True, True),
        (Verb.DISCONNECT, False, True, False),
        (Verb.DISCONNECT, True, True, True),
        (Verb.START, True, True, False),
        (Verb.RENAME, True, True, False),
        (Verb.OTHER, True, True, False),
        (Verb.ATTACH, True, True, False),
    ],
)
def test_only_what_may_concern_an_address_is_held(verb: Verb, guards: bool, serves: bool, wanted: bool) -> None:
    """A removal is of no interest while nobody holds anything, a connect while there is no network of ours."""
    controller = ScriptedController()
    controller.guards, controller.serves = guards, serves
    call = recognise("GET", "/", False)
    assert AddressHook(controller, ready).wants(type(call)(verb, "POST", "containers")) is wanted


async def test_a_create_gets_its_address_and_is_settled_by_the_full_id() -> None:
    """The body has address and MAC, everything else as it was."""
    controller = ScriptedController()
    found = await decide(controller, "POST", "/v1.41/containers/create?name=db", BODY)
    assert found.body is not None
    patched = json.loads(found.body)
    assert patched["NetworkingConfig"]["EndpointsConfig"]["web"]["IPAMConfig"] == {"IPv4Address": "10.0.0.9"}
    assert patched["MacAddress"] == GRANT.mac
    assert {key: patched[key] for key in ("Image", "Labels", "HostConfig")} == json.loads(BODY)
    await settle(found, 201, b'{"Id":"abc","Warnings":null}')
    assert controller.done == [("create", "db", "web", (1, 41)), ("settle", "abc")]


@pytest.mark.parametrize(
    ("status", "body", "done"),
    [(409, b"{}", "give back"), (500, b"", "give back"), (0, b"", "abandon"), (201, b"garbled", "abandon")],
)
async def test_what_was_not_made_is_given_back_and_what_nobody_knows_is_left_to_the_reconciler(
    status: int, body: bytes, done: str
) -> None:
    """An error is an answer; no reply, and one that cannot be read, are none."""
    controller = ScriptedController()
    await settle(await decide(controller, "POST", "/containers/create", BODY), status, body)
    assert controller.done[-1] == (done,)


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"Labels":{"a":1}}', b'{"HostConfig":{"NetworkMode":"host"}}'])
async def test_a_body_that_says_nothing_to_us_passes_as_it_is(body: bytes) -> None:
    """The controller is not even asked."""
    controller = ScriptedController()
    assert await decide(controller, "POST", "/containers/create", body) == Decision()
    assert controller.done == []


HUGE = b'{"Env":["%b"],"HostConfig":{"NetworkMode":"web"}}' % (b"x" * LARGEST)
DEEP = b'{"HostConfig":{"NetworkMode":"web"},"Cmd":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001


@pytest.mark.parametrize("target", ["/containers/create", "/networks/web/connect"])
@pytest.mark.parametrize("body", [BODY + b"{}", DEEP])
async def test_what_the_engine_might_carry_out_and_we_cannot_read_is_refused_where_it_is_ours(
    target: str, body: bytes
) -> None:
    """Bytes after the document, a depth that nobody sends; on other networks it passes."""
    controller = ScriptedController()
    with pytest.raises(BadRequest, match="one JSON document"):
        await decide(controller, "POST", target, body)
    assert controller.done == [("concerns", "web")]
    assert await decide(ScriptedController(grants=False), "POST", target, body) == Decision()


async def test_a_large_body_has_its_address() -> None:
    """A create, a connect and a network: as it came, and its change behind everything else."""
    found = await decide(ScriptedController(), "POST", "/v1.44/containers/create?name=db", HUGE)
    assert found.body is not None
    assert found.body.startswith(HUGE[:-1] + b",")
    assert json.loads(found.body)["NetworkingConfig"]["EndpointsConfig"]["web"]["IPAMConfig"] == {
        "IPv4Address": "10.0.0.9"
    }
    assert found.settle is not None
    endpoint = b'{"Container":"db","X":"%b"}' % (b"x" * LARGEST)
    found = await decide(ScriptedController(), "POST", "/v1.44/networks/web/connect", endpoint)
    assert found.body is not None
    assert json.loads(found.body)["EndpointConfig"] == {"IPAMConfig": {"IPv4Address": "10.0.0.9"}}
    host = HUGE.replace(b'"web"', b'"host"')
    assert await decide(ScriptedController(), "POST", "/containers/create", host) == Decision()
    labelled = HUGE[:-1] + b',"Labels":{"fixed_ip":""}}'
    said = await decide(ScriptedController(grants=False), "POST", "/containers/create", labelled)
    assert (said.body, said.settle is None) == (None, False)


async def test_half_a_document_passes() -> None:
    """The engine says what is wrong with it."""
    assert await decide(ScriptedController(), "POST", "/containers/create", b"{") == Decision()


async def test_what_is_too_much_to_be_kept_is_refused() -> None:
    """Nobody knows whose it is."""
    many = b",".join(b'"%d%b":{}' % (number, b"x" * 1000) for number in range(2 * LARGEST // 1000))
    with pytest.raises(BadRequest, match="1 MiB about networks and labels"):
        await decide(
            ScriptedController(), "POST", "/containers/create", b'{"NetworkingConfig":{"EndpointsConfig":{%b}}}' % many
        )
    with pytest.raises(BadRequest):
        await AddressHook(ScriptedController(), ready).outsize(recognise("POST", "/containers/create", False), None)


async def test_a_container_that_gets_nothing_passes_as_it_is() -> None:
    """Its reply is nobody's business either."""
    plain = b'{"Image":"x","HostConfig":{"NetworkMode":"web"}}'
    assert await decide(ScriptedController(grants=False), "POST", "/containers/create", plain) == Decision()
    assert await decide(ScriptedController(grants=False), "DELETE", "/containers/x") == Decision()


async def test_connect_and_disconnect() -> None:
    """The network is in the path, the container in the body."""
    controller = ScriptedController()
    found = await decide(controller, "POST", "/v1.44/networks/web/connect", b'{"Container":"db"}')
    assert found.body is not None
    assert json.loads(found.body)["EndpointConfig"] == {"IPAMConfig": {"IPv4Address": "10.0.0.9"}}
    await settle(found, 200)
    assert controller.done == [("connect", "web", "db", (1, 44)), ("settle", "c" * 64)]
    await settle(await decide(controller, "POST", "/networks/web/disconnect", b'{"Container":"db","Force":true}'), 200)
    assert controller.done[2:] == [("disconnection", "web", "db"), ("departed",)]
    await settle(await decide(controller, "POST", "/v1.41/networks/web/connect", b'{"Container":"db"}'), 403, b"{}")
    assert controller.done[-1] == ("give back",)
    await settle(await decide(controller, "POST", "/v1.41/networks/web/connect", b'{"Container":"db"}'))
    assert controller.done[-1] == ("abandon",)


@pytest.mark.parametrize("status", [204, 404, 409, 500, 0])
async def test_after_a_removal_the_engine_is_asked_whatever_it_answered(status: int) -> None:
    """404 and 409 are answers, not removals."""
    controller = ScriptedController()
    await settle(await decide(controller, "DELETE", "/containers/db?force=1"), status)
    assert controller.done == [("removal", "db"), ("departed",)]


async def test_what_was_pruned_is_named_by_the_engine() -> None:
    """And nothing follows from a refusal or from no reply."""
    controller = ScriptedController()
    body = json.dumps({"ContainersDeleted": ["a" * 64, "b" * 64], "SpaceReclaimed": 0}).encode()
    await settle(await decide(controller, "POST", "/containers/prune"), 200, body)
    assert controller.done == [("pruned", "a" * 64, "b" * 64)]
    for status, text in ((200, b'{"ContainersDeleted":null}'), (500, b""), (0, b"")):
        await settle(await decide(controller, "POST", "/containers/prune"), status, text)
    assert controller.done[1:] == [("pruned",)]


@pytest.mark.parametrize("target", ["/containers/db", "/containers/prune", "/containers/create"])
async def test_a_settlement_that_fails_holds_up_no_reply(target: str) -> None:
    """It is left to the reconciler."""
    controller = ScriptedController()
    controller.fault = Unavailable("the store is down")
    method = "DELETE" if target.endswith("db") else "POST"
    found = await decide(controller, method, target, BODY)
    await settle(found, 201 if target.endswith("create") else 200, b'{"Id":"abc","ContainersDeleted":["x"]}')
    assert controller.done[-1] == (("abandon",) if not target.endswith("prune") else ("pruned", "x"))


async def test_a_refusal_of_the_desk_is_the_answer() -> None:
    """Nothing reaches the engine then."""
    controller = ScriptedController()

    async def refuse(*_: object) -> None:
        raise Conflict("address 10.0.0.9 is not free", holder="container db")

    controller.create = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(Conflict):
        await decide(controller, "POST", "/containers/create", BODY)


def labelled(mode: str = "web", **labels: str) -> bytes:
    """A create with these labels, `_` for `.` and `-` as they are."""
    return json.dumps({"Image": "x", "Labels": labels, "HostConfig": {"NetworkMode": mode}}).encode()


@pytest.mark.parametrize(
    ("body", "grants", "words"),
    [
        (
            labelled(**{"fixed-ip": ""}),
            False,
            "label fixed-ip has no effect: Mooring manages no addresses in the container's networks",
        ),
        (labelled("bridge", **{"mooring.key": "db"}), False, "label mooring.key has no effect: .* networks .bridge."),
        (labelled("", **{"mooring.key": "db"}), False, "networks .default."),
        (labelled(**{"mooring.kye": "db"}), False, "did you mean mooring.key"),
        (labelled(**{"fixed-ip": "10.77.0.9"}), True, "does not request that address"),
    ],
)
async def test_labels_without_effect_are_told_in_the_reply(body: bytes, grants: bool, words: str) -> None:
    """As Docker tells such things; what the engine says stays, and nothing is added to a refusal."""
    found = await decide(ScriptedController(grants=grants), "POST", "/containers/create", body)
    assert (found.body is not None) is grants
    assert found.settle is not None
    told = await found.settle(Reply(201, b'{"Id":"abc","Warnings":["swap"],"Later":1}'))
    assert told is not None
    reply = json.loads(told)
    assert (reply["Id"], reply["Later"], reply["Warnings"][0]) == ("abc", 1, "swap")
    assert re.search(f"^mooring: .*{words}", reply["Warnings"][1])
    for other in (Reply(409, b'{"message":"no"}'), Reply(201, b"garbled"), None):
        assert await (await decide(ScriptedController(), "POST", "/containers/create", body)).settle(other) is None  # type: ignore[misc]


async def test_labels_that_do_what_they_say_are_not_spoken_of() -> None:
    """The reply is the engine's, byte for byte."""
    found = await decide(ScriptedController(), "POST", "/containers/create", BODY)
    assert found.settle is not None
    assert await found.settle(Reply(201, b'{"Id":"abc","Warnings":null}')) is None


class ScriptedNetworks:
    """Says that one subnet comes back, and notes what was made."""

    def __init__(self) -> None:
        self.made_ones: list[tuple[str, str]] = []
        self.fault: Exception | None = None

    def concerns(self, spec: NetworkSpec) -> bool:
        return spec.driver == "mooring"

    async def returning(self, spec: NetworkSpec) -> Sequence[Subnet]:
        return [ip_network("10.32.0.0/24")] if spec.name == "web" else []

    async def made(self, network: str, name: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.made_ones.append((network, name))


async def network_passage(networks: ScriptedNetworks, body: bytes) -> Decision:
    """Of a network's creation with the body."""
    hook = AddressHook(ScriptedController(), ready, networks)
    call = recognise("POST", "/v1.41/networks/create", upgrade=False)
    assert hook.wants(call)
    return await hook.decide(call, body)


async def test_a_subnet_pool_that_is_named_to_the_driver_is_named_to_the_ipam_driver_too() -> None:
    """Compose drops the IPAM driver's options; the driver's stay, and what the network had comes back beside them."""
    body = {"Driver": "mooring", "IPAM": {"Driver": "mooring"}, "Options": {"pool": "lab", "mtu": "1400"}}
    for name, config in (("new", None), ("web", [{"Subnet": "10.32.0.0/24"}])):
        found = await network_passage(ScriptedNetworks(), json.dumps({"Name": name, **body}).encode())
        assert found.body is not None
        told = json.loads(found.body)
        assert told["IPAM"] == {"Driver": "mooring", "Options": {"pool": "lab"}} | (
            {"Config": config} if config else {}
        )
        assert told["Options"] == body["Options"]


async def test_a_network_that_comes_back_has_its_subnet_and_its_name_is_told() -> None:
    """Before the reply goes on."""
    networks = ScriptedNetworks()
    decision = await network_passage(networks, b'{"Name":"web","Driver":"mooring"}')
    assert decision.body == b'{"Name":"web","Driver":"mooring","IPAM":{"Config":[{"Subnet":"10.32.0.0/24"}]}}'
    assert decision.settle is not None
    await decision.settle(Reply(201, b'{"Id":"' + b"n" * 64 + b'","Warning":""}'))
    assert networks.made_ones == [("n" * 64, "web")]
    await decision.settle(Reply(409, b'{"message":"exists"}'))
    await decision.settle(None)
    assert len(networks.made_ones) == 1
    networks.fault = Unavailable("no store")
    await decision.settle(Reply(201, b'{"Id":"' + b"n" * 64 + b'"}'))  # the reply goes on all the same


@pytest.mark.parametrize(
    "body", [b'{"Name":"web","Driver":"bridge"}', b"[]", b"", b'{"Name":"other","Driver":"mooring"}']
)
async def test_other_networks_keep_every_byte(body: bytes) -> None:
    """Those of other drivers, and new ones."""
    assert (await network_passage(ScriptedNetworks(), body)).body is None


@pytest.mark.parametrize("grants", [True, False])
async def test_a_container_gets_the_nameservers_that_its_networks_say(grants: bool) -> None:
    """With an address or without one; where no network says any, the body is as it was."""

    class Scripted:
        serves = True

        async def of_container(self, spec: ContainerSpec) -> Sequence[str]:
            return ["169.254.53.53", "192.0.2.53"] if spec.mode == "web" else []

    for mode, named in (("web", True), ("back", False)):
        hook = AddressHook(ScriptedController(grants), ready, None, Scripted())
        body = json.dumps({"HostConfig": {"NetworkMode": mode}, "NetworkingConfig": {"EndpointsConfig": {"web": {}}}})
        found = await hook.decide(recognise("POST", "/v1.41/containers/create", False), body.encode())
        changed = json.loads(found.body) if found.body is not None else {"HostConfig": {}}
        servers = ["169.254.53.53", "192.0.2.53"] if named else None
        assert changed["HostConfig"].get("Dns") == servers
        assert (found.body is None) is not (named or grants)
