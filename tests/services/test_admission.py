"""What is asked before a container is made or goes, and done after."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.docker_requests import ContainerSpec, EndpointConfig
from mooring.core.faults import BadRequest, Conflict, Unavailable
from mooring.core.intents import Intent
from mooring.core.leases import State
from mooring.services.containers.admission import AdmissionController
from mooring.testing.memory_store import When
from tests.services.holder_hosts import HolderHost, ident

PLAIN: dict[str, str] = {}


async def host_with(*networks: str, v6: bool = False, **raw: str) -> HolderHost:
    """A host that serves these networks."""
    host = HolderHost()
    await host.serve(*networks, v6=v6, **raw)
    return host


async def test_a_labelled_container_holds_its_addresses_once_it_is_made() -> None:
    """In every network and family, by its full id."""
    host = await host_with("web", "back", v6=True)
    await host.docker_create("db", "web", "back")
    assert len(host.fixed()) == 4
    assert set(host.fixed().values()) == {frozenset({"db"})}
    assert host.services.cache.count(Intent) == 0


async def test_an_unlabelled_container_costs_store_and_engine_nothing() -> None:
    """Neither does one that says no, nor one that asks for no network of ours."""
    host = await host_with("web")
    revision, calls = host.services.cache.revision, host.engine.calls
    for labels in (PLAIN, {"fixed-ip": "0"}, {"fixed-ip": "false", "mooring.key": "k"}):
        assert await host.keeping.controller.create("x", host.spec("web", labels=labels), (1, 41)) is None
    assert (host.services.cache.revision, host.engine.calls) == (revision, calls)
    assert await host.keeping.controller.create("x", host.spec("bridge"), (1, 41)) is None
    assert host.services.cache.revision == revision


async def test_removals_of_containers_that_hold_nothing_are_not_of_interest() -> None:
    """Nothing is asked while nobody holds anything, and no intent is written for who holds nothing."""
    host = await host_with("web")
    host.engine.create(ident("plain"), "plain")
    calls = host.engine.calls
    assert await host.keeping.controller.removal("plain") is None
    assert host.engine.calls == calls
    await host.docker_create("db", "web")
    assert await host.keeping.controller.removal("plain") is None
    assert host.services.cache.count(Intent) == 0


async def test_a_refused_create_leaves_nothing() -> None:
    """The engine said no: the addresses are free at once."""
    host = await host_with("web", v6=True)
    admission = await host.keeping.controller.create("db", host.spec("web"), (1, 41))
    assert admission is not None
    assert host.services.cache.count(Intent) == 1
    await host.keeping.controller.roll_back(admission.intent)
    assert (host.fixed(), host.services.cache.count(Intent)) == ({}, 0)


async def test_the_mac_is_granted_where_the_api_has_room_for_it() -> None:
    """Before 1.44 for the mode's network only; the lease of another one has none, so that nobody is asked for it."""
    host = await host_with("web", "back")
    admission = await host.keeping.controller.create("db", host.spec("web", "back"), (1, 43))
    assert admission is not None
    assert len(admission.grants["web"].mac) == 17
    assert admission.grants["back"].mac == ""


async def test_without_a_version_the_engines_own_counts() -> None:
    """It is asked for it."""
    host = await host_with("web", "back")
    host.engine.version = (1, 50)
    admission = await host.keeping.controller.create("db", host.spec("web", "back"), None)
    assert admission is not None
    assert admission.version == (1, 50)
    assert admission.grants["back"].mac != ""


async def test_an_engine_is_asked_for_its_version_once() -> None:
    """It answers slowly (it runs `runc --version`); one that ended may have become another."""
    host = HolderHost()
    host.typed = False
    await host.serve("web")
    host.engine.edition = (29, 0)
    await host.docker_create("one", "web")
    calls = host.engine.calls
    await host.docker_create("two", "web")
    assert host.engine.calls == calls + 1, "the network's name"
    host.keeping.controller.session.meet("")
    host.engine.edition = (29, 1)
    admission = await host.keeping.controller.create("three", host.spec("web"), None)
    assert admission is not None
    assert admission.grants["web"].nameable != frozenset()


async def test_an_address_that_is_no_address_is_left_to_the_engine() -> None:
    """It says better what is wrong."""
    host = await host_with("web")
    assert await host.keeping.controller.create("db", host.spec("web", ipv4="nonsense"), (1, 41)) is None


async def test_who_is_removed_holds_nothing_and_who_stays_keeps_everything() -> None:
    """By the engine's word for the full id, whatever was answered."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    intent = await host.keeping.controller.removal("db")
    assert intent is not None
    assert await host.keeping.controller.departed(intent) is False
    assert len(host.fixed()) == 1
    await host.docker_remove("db")
    assert host.fixed() == {}


async def test_a_name_that_was_given_to_another_container_frees_the_one_that_is_gone() -> None:
    """The id was found out before; the name may mean somebody else afterwards."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    intent = await host.keeping.controller.removal("db")
    assert intent is not None
    host.engine.remove(ident("db"))
    host.engine.create(ident("other"), "db")
    assert await host.keeping.controller.departed(intent) is True
    assert host.fixed() == {}


async def test_connect_and_disconnect_of_a_labelled_container() -> None:
    """One more network is held, and given up again; the first one stays."""
    host = await host_with("web", "back")
    await host.docker_create("db", "web")
    admission = await host.keeping.controller.connect("back", "db", EndpointConfig(""), (1, 41))
    assert admission is not None
    (grant,) = admission.grants.values()
    host.engine.connect(ident("db"), ContainerEndpoint(host.full("back"), "back", wanted4=grant.ipv4))
    await host.keeping.controller.complete(admission.intent, admission.intent.container)
    assert len(host.fixed()) == 2
    intent = await host.keeping.controller.disconnection("back", "db")
    assert intent is not None
    assert await host.keeping.controller.departed(intent) is False
    intent = await host.keeping.controller.disconnection("back", "db")
    assert intent is not None
    host.engine.disconnect(ident("db"), host.full("back"))
    assert await host.keeping.controller.departed(intent) is True
    assert len(host.fixed()) == 1


@pytest.mark.parametrize("mac", ["", "02:42:00:00:00:77"])
@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("version", [(1, 41), (1, 44), (1, 53), (1, 54), None])
async def test_a_connect_claims_what_the_engine_will_give_only(
    version: tuple[int, int] | None, typed: bool, mac: str
) -> None:
    """An address where one may be named, else what a MAC proves; and that is ignored below 1.54."""
    host = HolderHost()
    host.typed = typed
    await host.serve("web", "back")
    host.engine.version, host.engine.edition = (1, 51), (28, 5)
    await host.docker_create("db", "web")
    before = host.fixed()
    admission = await host.keeping.controller.connect("back", "db", EndpointConfig("", mac=mac), version)
    if not typed and version != (1, 54):
        assert admission is None
        assert (host.fixed(), host.services.cache.count(Intent)) == (before, 0)
        return
    assert admission is not None
    (grant,) = admission.grants.values()
    lease = host.lease(grant.ipv4)
    assert lease is not None
    assert grant.mac == lease.mac
    assert (grant.ipv4 in grant.nameable) is typed
    assert bool(grant.mac) is (version == (1, 54))
    assert grant.mac == mac or not (mac and grant.mac)


@pytest.mark.parametrize(("edition", "named"), [((28, 5), False), ((29, 0), False), ((29, 1), True), ((30, 0), True)])
async def test_an_address_is_the_proof_wherever_the_engine_takes_one(edition: tuple[int, int], named: bool) -> None:
    """From 29.1 on also in a subnet that Mooring chose: in a create beside the MAC, in a connect of old API alone."""
    host = HolderHost()
    host.typed = False
    await host.serve("web", "back", v6=True)
    host.engine.edition = edition
    admission = await host.keeping.controller.create("db", host.spec("web"), (1, 44))
    assert admission is not None
    (grant,) = admission.grants.values()
    assert grant.nameable == (frozenset({grant.ipv4, grant.ipv6}) if named else frozenset())
    assert grant.mac
    host.engine_creates("db", host.spec("web"), admission)
    await host.keeping.controller.complete(admission.intent, ident("db"))
    admission = await host.keeping.controller.connect("back", "db", EndpointConfig(""), (1, 51))
    assert (admission is not None) is named
    if admission is not None:
        (grant,) = admission.grants.values()
        assert grant.nameable == frozenset({grant.ipv4, grant.ipv6})
        assert grant.mac == ""


async def test_the_mac_of_the_container_counts_when_it_joins_its_main_network_again() -> None:
    """Tools disconnect and connect it before its first start; engines before 25 keep the MAC with the container."""
    host = HolderHost()
    host.typed = False
    await host.serve("web", "back")
    host.engine.names[host.full("web")] = "the-web"
    mac = "02:42:00:00:00:77"
    made = host.engine.create(ident("db"), "db", labels={"fixed-ip": ""})
    host.engine._containers[made.id] = replace(made, mode="the-web", mac=mac)
    config = EndpointConfig("", mac="02:42:00:00:00:88")
    assert await host.keeping.controller.connect("back", "db", config, (1, 41)) is None
    admission = await host.keeping.controller.connect("the-web", "db", config, (1, 41))
    assert admission is not None
    (grant,) = admission.grants.values()
    assert grant.mac == mac
    assert grant.ipv4 is not None


@pytest.mark.parametrize("reference", ["nobody", "plain", "db"])
async def test_connecting_who_is_not_there_not_labelled_or_there_already_is_the_engines_matter(reference: str) -> None:
    """Nothing is claimed."""
    host = await host_with("web", "back")
    await host.docker_create("db", "web")
    host.engine.create(ident("plain"), "plain")
    target = "web" if reference == "db" else "back"
    assert await host.keeping.controller.connect(target, reference, EndpointConfig(""), (1, 41)) is None
    assert len(host.fixed()) == 1


async def test_pruned_containers_hold_nothing() -> None:
    """Those that the engine names, and no others."""
    host = await host_with("web")
    for name in ("a1", "b1", "c1"):
        await host.docker_create(name, "web")
    await host.keeping.controller.pruned([ident("a1"), ident("c1"), ident("unheard")])
    assert set(host.fixed().values()) == {frozenset({"b1"})}


async def test_a_labelled_create_is_refused_while_the_store_is_down_and_removals_go_through() -> None:
    """What could not be written is settled later: the reconciler sees that the container is gone."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    host.store.fail_next()
    with pytest.raises(Unavailable):
        await host.keeping.controller.create("new", host.spec("web"), (1, 41))
    host.store.fail_next(times=2)
    intent = await host.keeping.controller.removal("db")
    assert intent is not None
    host.engine.remove(ident("db"))
    with pytest.raises(Unavailable):
        await host.keeping.controller.departed(intent)
    host.keeping.controller.leave_open(intent)
    assert len(host.fixed()) == 1
    for _ in range(2):
        await host.keeping.container_reconciler.once()
        host.clock.advance(200)
    await host.keeping.container_reconciler.once()
    assert host.fixed() == {}


class _Slow(HolderHost):
    """An engine that never answers."""

    async def stall(self) -> None:
        async def container(_: str) -> None:
            await asyncio.Event().wait()

        self.engine.container = container  # type: ignore[method-assign, assignment]


async def test_an_engine_that_does_not_answer_holds_up_nobody_for_long() -> None:
    """A removal goes on without an intent, a connect is refused."""
    host = _Slow()
    await host.serve("web", "back")
    await host.docker_create("db", "web")
    await host.stall()
    controller = AdmissionController(host.services.cache, host.services.holders, host.engine, deadline=0.01)
    assert await controller.removal("db") is None
    with pytest.raises(Unavailable, match=r"0\.01 s"):
        await controller.connect("back", "db", EndpointConfig(""), (1, 41))


async def test_what_the_store_wrote_although_it_failed_is_given_back_by_the_reconciler() -> None:
    """The client heard of a failure, the engine of nothing: no address is lost."""
    host = await host_with("web")
    host.store.fail_next(When.AFTER)
    with pytest.raises(Unavailable):
        await host.keeping.controller.create("db", host.spec("web"), (1, 41))
    assert host.services.cache.count(Intent) == 1
    host.clock.advance(10)
    await host.keeping.container_reconciler.once()
    assert (host.fixed(), host.services.cache.count(Intent)) == ({}, 0)


@pytest.mark.parametrize("version", [(1, 41), (1, 44)])
async def test_two_names_for_one_network_are_one_seat(version: tuple[int, int]) -> None:
    """NetworkMode has the name and EndpointsConfig the id, with the address: only one of them is an endpoint, since
    no engine starts a container that has two in one network."""
    host = await host_with("web")
    spec = host.spec("web")
    spec = replace(spec, endpoints=(*spec.endpoints, EndpointConfig(host.full("web"), "10.32.0.77")))
    admission = await host.keeping.controller.create("db", spec, version)
    assert admission is not None
    assert [*admission.grants] == [admission.main] == [host.full("web")]
    grant = admission.grants[host.full("web")]
    assert str(grant.ipv4) == "10.32.0.77"
    assert grant.nameable == frozenset({grant.ipv4})
    assert grant.mac != ""


FULL = "web".ljust(64, "0")
SPELLINGS = [
    # version, mode, endpoints, what is to be written otherwise, how the endpoint is written in the end
    ((1, 44), "the-web", [], {}, "the-web"),
    ((1, 44), FULL, [], {}, FULL),
    ((1, 44), "web00", [], {"web00": "the-web"}, "the-web"),
    ((1, 44), "web00", ["web00"], {"web00": "the-web"}, "the-web"),
    ((1, 44), "web00", ["the-web"], {"web00": "the-web"}, "the-web"),
    ((1, 44), "web00", [FULL], {"web00": "the-web"}, FULL),
    ((1, 44), FULL, ["web00"], {"web00": "the-web"}, "the-web"),
    ((1, 44), "the-web", ["web00"], {"web00": "the-web"}, "the-web"),
    # The one MAC that there is room for is used for the network whose name is the mode (engines before 25).
    ((1, 43), FULL, [], {FULL: "the-web"}, "the-web"),
    ((1, 43), "web00", [], {"web00": "the-web"}, "the-web"),
    ((1, 43), FULL, [FULL], {FULL: "the-web"}, "the-web"),
]


@pytest.mark.parametrize(("version", "mode", "endpoints", "changed", "written"), SPELLINGS)
async def test_a_network_is_written_the_way_that_an_engine_starts_a_container_with(
    version: tuple[int, int], mode: str, endpoints: list[str], changed: dict[str, str], written: str
) -> None:
    """Not by the beginning of its id: "endpoint with name ... already exists", on every engine."""
    host = await host_with("web")
    host.engine.names[FULL] = "the-web"
    spec = ContainerSpec({"fixed-ip": ""}, mode, tuple(map(EndpointConfig, dict.fromkeys([mode, *endpoints]))))
    admission = await host.keeping.controller.create("db", spec, version)
    assert admission is not None
    assert (admission.spellings, [*admission.grants], admission.main) == (changed, [written], written)


async def test_a_clash_names_the_holder() -> None:
    """Under the policy holders, by the container's name."""
    host = await host_with("web")
    await host.set_policy(host.full("web"), "holders")
    await host.docker_create("db", "web")
    (address,) = host.fixed()
    with pytest.raises(Conflict, match="container db"):
        await host.keeping.controller.create("thief", host.spec("web", ipv4=address), (1, 41))
    lease = host.lease(address)
    assert lease is not None
    assert lease.state is State.FIXED


@pytest.mark.parametrize("text", ["02:42:AC:11:00:02", "02-42-ac-11-00-02", "0242.ac11.0002"])
async def test_a_mac_is_read_as_the_engine_tells_it(text: str) -> None:
    """In every form that Go takes; the plugin hears colons."""
    host = await host_with("web")
    spec = replace(host.spec("web"), mac=text)
    admission = await host.keeping.controller.create("db", spec, (1, 41))
    assert admission is not None
    assert admission.grants["web"].mac == "02:42:ac:11:00:02"


@pytest.mark.parametrize(
    ("ipv4", "taken"), [("::ffff:10.32.0.77", "10.32.0.77"), ("fd00::1", None), ("10.32.0.077", None)]
)
async def test_an_address_is_read_as_the_engine_reads_it_or_left_to_it(ipv4: str, taken: str | None) -> None:
    """A mapped address is an IPv4 one to Go; one of the other family is the engine's to refuse."""
    host = await host_with("web")
    admission = await host.keeping.controller.create("db", host.spec("web", ipv4=ipv4), (1, 41))
    assert (str(admission.grants["web"].ipv4) if admission is not None else None) == taken


@pytest.mark.parametrize("text", ["x" * 201, "a\x1b[2Jb", "a\nb"])
async def test_a_key_is_a_line_of_text(text: str) -> None:
    """Anything else is refused at create."""
    host = await host_with("web")
    with pytest.raises(BadRequest, match=r"mooring\.key"):
        await host.keeping.controller.create("db", host.spec("web", labels={"mooring.key": text}), (1, 41))


async def test_a_container_that_was_destroyed_before_it_was_settled_holds_nothing() -> None:
    """Somebody else removed it between the engine's reply and the settlement."""
    host = await host_with("web")
    spec = host.spec("web")
    admission = await host.keeping.controller.create("db", spec, (1, 44))
    assert admission is not None
    host.engine_creates("db", spec, admission)
    host.engine.remove(ident("db"))
    host.keeping.controller.note_gone(ident("db"))
    await host.keeping.controller.complete(admission.intent, ident("db"))
    assert host.fixed() == {}
