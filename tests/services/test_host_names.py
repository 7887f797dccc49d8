"""Names follow the records, whoever changes them, and cost no more where there are many."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, ip_address

from mooring.core.advertisements import EndpointNames
from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.host_names import Asker
from mooring.core.names import PTR, SRV, A, Question, Verdict
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import AddressRequest, EndpointRequest, JoinRequest, Role
from mooring.services.containers.host_names import HOST, PATIENCE, HostNames
from tests.services.hosts import MemoryHost, separate_network


class Named(MemoryHost):
    """A host whose names are asked for."""

    @property
    def names(self) -> HostNames:
        """Its index."""
        assert self.services.keeping is not None
        return self.services.keeping.host_names

    def note(
        self, network: str, name: str, endpoint: str, *aliases: str, service: str = "", whole: bool = True,
        healthy: bool | None = True,
    ) -> Container:  # fmt: skip
        """The engine tells of a running container in the network, which it calls by the id's word."""
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": service} if service else {}
        place = ContainerEndpoint(
            network, network.rstrip("0"), endpoint=endpoint.ljust(64, "0"), aliases=aliases if whole else None
        )
        container = Container(endpoint.ljust(64, "c"), name, True, 0.0, labels, (place,), healthy=healthy)
        self.names.note(container)
        return container

    def ask(self, name: str, asker: Asker = HOST, kind: int = A) -> list[str]:
        """What is answered, [the verdict] where there are no addresses."""
        answer = self.names.lookup(Question(name, kind), asker)
        found = [*map(str, answer.addresses), *answer.names, *(f"{each.name}:{each.port}" for each in answer.targets)]
        return found or [answer.verdict.value]


async def started() -> tuple[Named, str]:
    """A host with a network."""
    host = Named()
    await host.start()
    return host, await host.network("web")


async def test_a_container_has_its_names_from_the_moment_it_is_told_of_until_its_endpoint_goes() -> None:
    """Name, id, alias and service; by its bridge and address it asks for others by their short names."""
    host, network = await started()
    await host.endpoint(network, "e1")
    await host.endpoint(network, "e2")
    assert host.ask("shop-db-1.web.mooring") == ["absent"]
    host.note(network, "shop-db-1", "e1", "Main", service="db")
    assert host.ask("db.web.mooring") == ["10.32.0.2"]
    bridge = host.services.cache.network(network).bridge  # type: ignore[union-attr]
    asker = host.names.asker(bridge, ip_address("10.32.0.3"))
    assert asker is not None
    for name in ("shop-db-1", "e1cccccccccc", "main", "db", "db.web"):
        assert host.ask(name, asker) == ["10.32.0.2"], name
    assert host.ask("2.0.32.10.in-addr.arpa", asker, PTR) == ["shop-db-1.web.mooring"]
    await host.services.endpoints.detach(network, "e1".ljust(64, "0"))
    assert host.ask("db", asker) == ["forward"]
    assert host.ask("2.0.32.10.in-addr.arpa", asker, PTR) == ["absent"]
    assert host.ask("2.0.33.10.in-addr.arpa", asker, PTR) == ["forward"]
    await host.services.endpoints.delete(network, "e1".ljust(64, "0"))
    assert host.ask("db.web.mooring") == ["absent"]


async def test_an_address_that_is_used_again_has_the_name_of_who_has_it_now() -> None:
    """Weave's smoke test 265: nothing of the one before is in the answer; a namespace that is attached has its name."""
    host, network = await started()
    await host.endpoint(network, "e1")
    host.note(network, "old", "e1")
    assert host.ask("2.0.32.10.in-addr.arpa", kind=PTR) == ["old.web.mooring"]
    known = host.services.cache.network(network)
    assert known is not None
    await host.services.endpoints.delete(network, "e1".ljust(64, "0"))
    await host.services.endpoints.release(known.ipv4[0].pool, ip_address("10.32.0.2"))
    request = EndpointRequest(network, "ns-1", IPv4Interface("10.32.0.2/24"), None, "02:00:00:00:00:09", name="lab-1")
    await host.services.endpoints.create(request)
    await host.services.endpoints.attach(network, "ns-1", JoinRequest("namespace:1"), provisional=True)
    assert host.ask("2.0.32.10.in-addr.arpa", kind=PTR) == ["absent"]
    await host.services.endpoints.confirm(network, "ns-1", 0)
    assert host.ask("2.0.32.10.in-addr.arpa", kind=PTR) == ["lab-1.web.mooring"]
    assert (host.ask("lab-1.web.mooring"), host.ask("old.web.mooring")) == (["10.32.0.2"], ["absent"])


async def test_a_service_is_all_its_live_replicas() -> None:
    """One more and one less, at once."""
    host, network = await started()
    for number in (1, 2, 3):
        await host.endpoint(network, f"e{number}")
        host.note(network, f"shop-app-{number}", f"e{number}", service="app")
    assert host.ask("app.web.mooring") == ["10.32.0.2", "10.32.0.3", "10.32.0.4"]
    await host.services.endpoints.detach(network, "e2".ljust(64, "0"))
    assert host.ask("app.web.mooring") == ["10.32.0.2", "10.32.0.4"]


async def test_with_dns_healthy_a_name_has_the_addresses_of_those_whose_check_succeeds() -> None:
    """None at all is no address, and not no name: nobody else is asked for it. PTR agrees. A network of the same
    container that is not so has them all along."""
    host = Named()
    await host.start()
    web, back = await host.network("web", dns="healthy"), await host.network("back", dns="on")
    for number in (1, 2):
        await host.endpoint(web, f"e{number}")
    await host.endpoint(back, "e3")
    asker = host.names.asker_in(web)

    def told(first: bool, second: bool) -> list[str]:
        host.note(web, "shop-app-1", "e1", service="app", healthy=first)
        host.note(web, "shop-app-2", "e2", service="app", healthy=second)
        host.note(back, "shop-app-1", "e3", healthy=first)
        assert host.ask("shop-app-1.back.mooring") == ["10.32.1.2"]
        assert host.ask("2.0.32.10.in-addr.arpa", HOST, PTR) == (["shop-app-1.web.mooring"] if first else ["absent"])
        assert host.ask("app", asker) == host.ask("app.web.mooring")
        return host.ask("app", asker)

    assert host.ask("app", asker) == ["forward"]
    assert told(first=False, second=False) == ["empty"]
    assert told(first=True, second=True) == ["10.32.0.2", "10.32.0.3"]
    assert told(first=True, second=False) == ["10.32.0.2"]
    assert told(first=False, second=False) == ["empty"]


async def test_a_list_is_no_proof_of_health() -> None:
    """It may be older than what an event told; what it says otherwise, or first, is asked for."""
    host = Named()
    await host.start()
    network = await host.network("web", dns="healthy")
    await host.endpoint(network, "e1")
    container = host.note(network, "db", "e1", whole=False)
    assert (host.ask("db.web.mooring"), host.names.unasked()) == (["absent"], [container.id])
    host.note(network, "db", "e1")
    host.note(network, "db", "e1", whole=False)
    assert (host.ask("db.web.mooring"), host.names.unasked()) == (["10.32.0.2"], [])
    host.note(network, "db", "e1", whole=False, healthy=False)
    assert (host.ask("db.web.mooring"), host.names.unasked()) == (["10.32.0.2"], [container.id])
    host.note(network, "db", "e1", healthy=False)
    host.note(network, "db", "e1", whole=False, healthy=None)  # it is paused, and the list does not say
    assert (host.ask("db.web.mooring"), host.names.unasked()) == (["empty"], [])


async def test_where_no_name_goes_by_health_nobody_is_asked_for_it() -> None:
    """A check that fails on and off costs the engine nothing there."""
    host, network = await started()
    await host.endpoint(network, "e1")
    host.note(network, "db", "e1")
    host.note(network, "db", "e1", whole=False, healthy=False)
    assert (host.ask("db.web.mooring"), host.names.unasked()) == (["10.32.0.2"], [])


async def test_a_renamed_container_has_the_new_name_only() -> None:
    """Compose recreates so: the new container is called otherwise until the old one is gone."""
    host, network = await started()
    await host.endpoint(network, "e1")
    host.note(network, "f00_db", "e1", "db")
    host.note(network, "db", "e1", "db")
    assert (host.ask("db.web.mooring"), host.ask("f00_db.web.mooring")) == (["10.32.0.2"], ["absent"])


async def test_a_list_tells_no_aliases_and_takes_none() -> None:
    """What only a list has told of is asked for once; and a list that comes later changes nothing."""
    host, network = await started()
    await host.endpoint(network, "e1")
    woken = []
    host.names.wake_with(lambda: woken.append(1))
    container = host.note(network, "db", "e1", whole=False)
    assert host.ask("db.web.mooring") == ["10.32.0.2"]
    assert (host.names.unasked(), host.names.unasked(), woken) == ([container.id], [], [1])
    host.note(network, "db", "e1", "main")
    changes = host.names.changes
    host.note(network, "db", "e1", whole=False)
    assert (host.ask("main.web.mooring"), host.names.unasked(), host.names.changes) == (["10.32.0.2"], [], changes)


async def test_who_is_in_two_networks_asks_for_names_of_both_by_either() -> None:
    """And who is in one does not see the other, whatever he writes."""
    host, web = await started()
    back = await host.network("back")
    await host.endpoint(web, "e1", attach=False)
    await host.endpoint(back, "e2", attach=False)
    for network, endpoint in ((web, "e1"), (back, "e2")):
        await host.attach_to(network, endpoint.ljust(64, "0"), "/run/docker/netns/both")
    await host.endpoint(back, "e3")
    await host.endpoint(web, "e4")
    host.note(back, "db", "e3")
    bridge = host.services.cache.network(web).bridge  # type: ignore[union-attr]
    both, one = (host.names.asker(bridge, ip_address(each)) for each in ("10.32.0.2", "10.32.0.3"))
    assert both is not None
    assert one is not None
    assert (host.ask("db", both), host.ask("db.back.mooring", both)) == (["10.32.1.3"], ["10.32.1.3"])
    assert (host.ask("db", one), host.ask("db.back.mooring", one)) == (["forward"], ["absent"])
    assert host.names.asker("eth0", ip_address("10.32.0.2")) is None
    for other in ("10.32.1.3", "192.0.2.7", "127.0.0.1", "fe80::1", "10.32.1.2"):  # of another bridge, of nobody
        assert host.names.asker(bridge, ip_address(other)) is None


async def test_equal_tenants_are_told_their_own_by_the_domain_that_they_ask_in() -> None:
    """A bridge says nothing in another domain than its own; `peers` reaches no further than the domain; and others know
    nothing of their subnets. An internal network has no way out, not even by names."""
    host = Named(separate_tenants=True)
    await host.start()
    for ident, tenant in (("a", "red"), ("b", "blue")):
        await separate_network(host, ident, tenant, peers="all", dns="on", bridge=f"br-{tenant}")
        for endpoint in (f"1{tenant}", f"2{tenant}"):
            await host.endpoint(ident * 64, endpoint)
        host.note(ident * 64, "db", f"1{tenant}", "main", tenant)
        host.names.note_network(ident * 64, "shop")
    plain = await host.network("plain", peers="all")
    inner = await host.network("inner", internal=True)
    red, blue = (
        host.names.asker(f"br-{word}", ip_address("10.32.0.3"), domain) for word, domain in (("red", 1), ("blue", 2))
    )
    assert red is not None
    assert blue is not None
    for asker, own, other in ((red, "red", "blue"), (blue, "blue", "red")):
        assert host.ask("main", asker) == host.ask("db.shop.mooring", asker) == ["10.32.0.2"]
        assert host.ask("2.0.32.10.in-addr.arpa", asker, PTR) == ["db.shop.mooring"]
        assert (host.ask(own, asker), host.ask(f"{other}.shop.mooring", asker)) == (["10.32.0.2"], ["absent"])
        assert host.ask("9.0.32.10.in-addr.arpa", asker, PTR) == ["absent"]
    gold = await separate_network(host, "c", "gold", "10.33.0.0/24", peers="all")
    for outsider in (host.names.asker_in(plain), host.names.asker_in(gold.id)):
        assert host.ask("main.shop.mooring", outsider) == ["absent"]
    assert host.ask("9.0.32.10.in-addr.arpa", host.names.asker_in(gold.id), PTR) == ["forward"]
    for bridge, domain in (("br-red", 0), ("br-red", 2), ("uplink", 1), ("mt-1", 0)):
        assert host.names.asker(bridge, ip_address("10.32.0.3"), domain) is None
    assert host.ask("example.org", host.names.asker_in(inner)) == ["refused"]


async def test_networks_that_reach_one_another_see_complete_names() -> None:
    """The option `peers`, and only between those with the same word."""
    host = Named()
    await host.start()
    one, two = await host.network("one", peers="blue"), await host.network("two", peers="blue")
    await host.network("three", peers="red")
    await host.endpoint(two, "e1")
    host.note(two, "db", "e1")
    askers = [
        host.names.asker(network.bridge, ip_address(source))
        for ident, source in ((one, "10.32.0.9"), ("three".ljust(64, "0"), "10.32.2.9"))
        if (network := host.services.cache.network(ident)) is not None
    ]
    assert askers[0] is not None
    assert askers[1] is not None
    assert host.ask("db.two.mooring", askers[0]) == ["10.32.1.2"]
    assert (host.ask("db", askers[0]), host.ask("db.two.mooring", askers[1])) == (["forward"], ["absent"])


async def test_ports_that_are_published_are_found_by_number_and_by_their_usual_name() -> None:
    """At the container's own address, where the port is the container's."""
    host, network = await started()
    await host.endpoint(network, "e1")
    ports = (PortRequest(Protocol.TCP, 5432, None, 15432, 15432),)
    await host.services.endpoints.publish(network, "e1".ljust(64, "0"), ports)
    host.note(network, "db", "e1")
    asked = [host.ask(name, kind=SRV) for name in ("_postgresql._tcp.db.web.mooring", "_5432._tcp.db.web.mooring")]
    assert asked == [["db.web.mooring:5432"]] * 2


async def test_records_of_operators_are_answered_beside_containers() -> None:
    """In a network under its name, which may be learnt later than the record."""
    host, network = await started()
    keeping = host.services.keeping
    assert keeping is not None
    nas = ip_address("192.0.2.9")
    await keeping.dns_records.add("nas", "", [nas], note="", until=None, dry=False)
    await keeping.dns_records.add("db", network, [nas], note="", until=None, dry=False)
    await host.endpoint(network, "e1")
    host.note(network, "db", "e1")
    assert host.ask("nas.mooring") == ["192.0.2.9"]
    assert host.ask("db.web.mooring") == ["10.32.0.2", "192.0.2.9"]
    assert host.ask("9.2.0.192.in-addr.arpa", kind=PTR) == ["db.web.mooring", "nas.mooring"]
    await keeping.dns_records.remove("db", network, dry=False)
    assert host.ask("db.web.mooring") == ["10.32.0.2"]


async def test_names_are_there_again_after_a_restart_once_the_engine_is_asked() -> None:
    """A kill -9 leaves the records, and the engine tells the rest. Meanwhile nobody knows whether a name is missing, so
    that is a failure (REFUSED) and not an answer that somebody would believe; one who is gone is waited for no more."""
    host, network = await started()
    for number in (1, 2):
        await host.endpoint(network, f"e{number}")
        host.note(network, f"db{number}", f"e{number}")
    await host.restart()
    host.names.note_loaded()
    seen = [host.names.changes]
    assert (host.ask("db1.web.mooring"), host.ask("nobody.mooring")) == (["refused"], ["refused"])
    host.note(network, "db1", "e1", whole=False)
    assert (host.ask("db1.web.mooring"), host.ask("alias.web.mooring")) == (["10.32.0.2"], ["refused"])
    host.note(network, "db1", "e1")
    seen.append(host.names.changes)
    assert (host.ask("db1.web.mooring"), host.ask("db2.web.mooring")) == (["10.32.0.2"], ["refused"])
    await host.services.endpoints.delete(network, "e2".ljust(64, "0"))
    seen.append(host.names.changes)
    assert (host.ask("db2.web.mooring"), host.ask("nobody.mooring")) == (["absent"], ["absent"])
    assert seen == sorted(set(seen))


async def test_who_is_never_told_of_is_not_waited_for_for_ever() -> None:
    """A namespace whose name was lost with a store, what is left of a network that is gone, a record of one that is
    gone: the last is waited for for minutes from the engine's first list on, however long that took."""
    host, network = await started()
    await host.endpoint(network, "e1")
    known = host.services.cache.endpoint(network, "e1".ljust(64, "0"))
    assert known is not None
    namespace, stale = replace(known, id="ns-1"), replace(known, id="f1", network="gone")
    await host.services.cache.commit(put=[namespace, stale])
    await host.restart()
    host.names.note_loaded()
    assert host.names._unheard == {known.id}
    keeping = host.services.keeping
    assert keeping is not None
    host.clock.advance(PATIENCE)
    await keeping.container_reconciler.once()
    assert host.ask("nobody.mooring") == ["refused"]
    before = host.names.changes
    host.clock.advance(PATIENCE)
    host.engine.up = False
    await keeping.container_reconciler.once()
    assert host.ask("nobody.mooring") == ["refused"]
    host.engine.up = True
    await keeping.container_reconciler.once()
    assert host.ask("nobody.mooring") == ["absent"]
    assert host.names.changes > before


async def test_after_a_restart_a_name_that_came_with_the_address_is_known_and_the_aliases_are_not() -> None:
    """An engine from 29 on says whose an address is; that is not all that its container is called. An attached
    namespace, which no engine tells of, is not waited for."""
    host, network = await started()
    known = host.services.cache.network(network)
    assert known is not None
    for ident, name, own in (("e1".ljust(64, "0"), "db", ""), ("ns-1", "", "lab")):
        got = await host.services.ipam.request_address(AddressRequest(known.ipv4[0].pool, Role.ENDPOINT, name=name))
        interface = IPv4Interface(str(got))
        await host.services.endpoints.create(EndpointRequest(network, ident, interface, None, "", name=own))
        await host.services.endpoints.attach(network, ident, JoinRequest("namespace:1"))
    await host.restart()
    host.names.note_loaded()
    assert host.ask(f"db.{network[:12]}.mooring") == ["10.32.0.2"]
    assert (host.ask("alias.web.mooring"), host.names.unheard) == (["refused"], True)
    host.note(network, "db", "e1", "alias")
    assert (host.ask("alias.web.mooring"), host.names.unheard) == (["10.32.0.2"], False)


async def test_a_change_says_that_something_changed() -> None:
    """Who remembers answers relies upon it."""
    host, network = await started()
    seen = [host.names.changes]
    await host.endpoint(network, "e1")
    host.note(network, "db", "e1")
    seen.append(host.names.changes)
    await host.services.endpoints.detach(network, "e1".ljust(64, "0"))
    seen.append(host.names.changes)
    await host.services.endpoints.delete(network, "e1".ljust(64, "0"))
    await host.services.networks.delete(network)
    seen.append(host.names.changes)
    assert seen == sorted(set(seen))
    assert host.names.lookup(Question("web.mooring", A), HOST).verdict is Verdict.ABSENT


async def test_who_tells_other_hosts_hears_of_each_change_of_an_endpoints_names() -> None:
    """Names, services and health, with the container's full id; what changes nothing is not told again."""
    host = Named()
    await host.start()
    network, heard = await host.network("web", dns="healthy"), list[str]()
    host.names.listen(heard.append)
    ident = "e1".ljust(64, "0")
    await host.endpoint(network, "e1")
    assert (heard, host.names.names_of(ident)) == ([], EndpointNames())
    host.note(network, "shop-db-1", "e1", "main", service="db")
    host.note(network, "shop-db-1", "e1", "main", service="db")
    assert heard == [ident]
    told = host.names.names_of(ident)
    assert (told.container, told.healthy) == ("e1".ljust(64, "c"), True)
    assert told.names == ("shop-db-1", "e1cccccccccc", "db", "main")
    host.note(network, "shop-db-1", "e1", "main", service="db", healthy=False)
    assert heard == [ident, ident]
    assert host.names.names_of(ident) == replace(told, healthy=False)
    await host.services.endpoints.detach(network, ident)
    assert (len(heard), host.names.names_of(ident)) == (3, EndpointNames())
