"""Every address has an answer that says who, since when, why, and what would free it."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.core.containers import Holder
from mooring.core.intents import Intent, Purpose
from mooring.core.leases import Active, State
from mooring.core.networks import HostAccess, Network, NetworkOptions, Segment
from mooring.core.pools import Pool
from mooring.core.views import Reason
from mooring.core.whom import for_container
from mooring.services.operations.explain import explain_address
from mooring.services.operations.scenes import Scene
from tests.services.samples import DB, MAC, START, leased, sample
from tests.services.vnic_hosts import LauncherHost


async def reasons(address: str) -> list[Reason]:
    """What is said of the address on the sample host."""
    return (await sample()).inspection.explain(ip_address(address)).reasons


@pytest.mark.parametrize(
    ("address", "verdict", "words"),
    [
        (
            "10.32.0.2",
            "held",
            [
                "container db",
                "endpoint e10000000000 (attached)",
                "4 minutes ago",
                "`docker stop db`",
                "may get a different address, unless it was created with `--ip 10.32.0.2`",
            ],
        ),
        ("fd00:32::2", "held", ["endpoint e10000000000", "`docker stop CONTAINER`", "`--ip6 fd00:32::2`"]),
        ("10.32.0.1", "held", ["gateway", "`docker network rm 1f6b2c000000`", "2025-06-15 15:06:40 UTC"]),
        ("10.32.0.9", "held", ["--aux-address printer=10.32.0.9"]),
        (
            "10.32.0.3",
            "held",
            ["MAC 02:00:00:00:00:03", "no endpoint has it", "releases such addresses within a few minutes"],
        ),
        ("10.32.0.4", "cooling", ["was released", "not chosen automatically before", "(in 1 minute)", "gets it now"]),
        (
            "10.32.0.5",
            "held",
            ["fixed for the key db-0", "not in use", "the last container that holds it is removed: cccccc"],
        ),
        ("10.32.0.6", "held", ["reserved it for printer", "ask Ann", "It expires at"]),
        ("10.32.0.77", "free", ["nothing holds it", "docker run --ip 10.32.0.77"]),
        ("fd00:32::77", "free", ["docker run --ip6 fd00:32::77"]),
        ("10.32.0.200", "free", ["outside of the range 10.32.0.0/25", "never chosen automatically"]),
        ("10.32.0.0", "never", ["is the network address of subnet 10.32.0.0/24"]),
        ("10.32.0.255", "never", ["the broadcast address"]),
        ("fd00:32::", "never", ["the subnet-router anycast address"]),
        ("172.30.0.2", "held", ["endpoint e20000000000", "another IPAM driver"]),
        ("172.30.0.1", "held", ["the gateway of subnet 172.30.0.0/24"]),
        ("172.30.0.3", "elsewhere", ["no endpoint has it", "another IPAM driver"]),
        ("192.168.7.7", "denied", ["192.168.0.0/16 is denied by the configuration", "remove it from `deny`"]),
        ("10.40.0.1", "carvable", ["subnet pool default-v4 (10.32.0.0/12)", "docker network create"]),
        ("8.8.8.8", "elsewhere", ["not Mooring's", "ip route get 8.8.8.8"]),
        ("127.0.0.1", "never", ["a loopback address"]),
        ("255.255.255.255", "never", ["the broadcast address of whatever link"]),
        ("::", "never", ["the unspecified address"]),
        ("ff02::1", "never", ["a multicast address"]),
        ("169.254.1.1", "never", ["a link-local address"]),
        ("169.254.53.53", "never", ["Mooring's DNS server", "No network has the option dns=on"]),
    ],
)
async def test_an_address_is_explained(address: str, verdict: str, words: list[str]) -> None:
    """The first reason has the verdict, and its sentences have the words."""
    first = (await reasons(address))[0]
    assert first.verdict == verdict
    text = " ".join(first.text)
    assert [word for word in words if word not in text] == []


async def test_an_address_of_two_spaces_has_two_reasons() -> None:
    """Each names its space, when that is not the default one."""
    ours, theirs = await reasons("10.32.0.2")
    assert (ours.space, theirs.space) == ("default", "tenant")
    assert "address space tenant" in theirs.text[-1]
    assert "only Docker knows the container" in " ".join(theirs.text)


@pytest.mark.parametrize(
    ("access", "words"),
    [
        (None, "programs reach it by published ports only: its network is in a routing domain"),
        (HostAccess.ADDRESSES, "programs reach it at this address (-o host_access=addresses)"),
    ],
)
async def test_what_the_host_reaches_of_a_tenants_address_is_said(access: HostAccess | None, words: str) -> None:
    """Of others there is nothing to say."""
    pool = Pool(id="r", space="red", subnet=ip_network("10.77.0.0/24"), created=START, network="d" * 64)
    segment = Segment(pool.subnet, ip_interface("10.77.0.1/24"), "red", "r")
    red = Network("d" * 64, NetworkOptions(host_access=access), False, (segment,), (), START, domain=1)
    host = await sample(pool, red)
    assert words in " ".join(host.inspection.explain(ip_address("10.77.0.5")).reasons[0].text)
    assert "programs reach it" not in " ".join((await reasons("10.32.0.2"))[0].text)


async def test_a_pool_that_no_network_uses_says_so() -> None:
    """A free address of a pool that has no network is free there."""
    host = await sample(Pool(id="x", space="default", subnet=ip_network("10.33.0.0/24"), created=START))
    (reason,) = host.inspection.explain(ip_address("10.33.0.5")).reasons
    assert "which no network of Mooring's uses now" in reason.text[0]


async def test_a_cooldown_that_is_over_is_told_so() -> None:
    """After its end a cooling address may be chosen."""
    host = await sample()
    host.clock.advance(3600)
    (reason, _) = host.inspection.explain(ip_address("10.32.0.4")).reasons
    assert "Its cooldown is over" in " ".join(reason.text)


async def test_an_endpoint_whose_lease_is_gone_is_told() -> None:
    """What should not be is said, not hidden."""
    host = await sample()
    await host.cache.commit(delete=[leased("fd00:32::2", State.DYNAMIC, "p6")])
    (reason,) = host.inspection.explain(ip_address("fd00:32::2")).reasons
    assert reason.verdict == "held"
    assert "There is no lease for it, an inconsistency" in " ".join(reason.text)


async def test_a_fixed_address_in_use_names_endpoint_and_host() -> None:
    """An active fixed lease says where it is active."""
    host = await sample()
    await host.cache.commit(put=[leased("10.32.0.5", State.FIXED, key="k", active=Active("e9" * 32, "alpha", "b"))])
    (reason, _) = host.inspection.explain(ip_address("10.32.0.5")).reasons
    assert "in use by endpoint e9e9e9e9e9e9 on host alpha" in " ".join(reason.text)


KNOWN = Holder(id="c" * 64, engine="engine-1", name="db", since=START)
MAKING = Intent(id="i1", purpose=Purpose.CREATE, engine="engine-1", created=START + 297, name="web")


@pytest.mark.parametrize(
    ("fields", "verdict", "words"),
    [
        (
            {"key": "key:db", "holders": frozenset({"c" * 64, "d" * 64})},
            "held",
            [
                "for the key db (label mooring.key)",
                "It is not in use: no endpoint has it.",
                "1 day after the last container that holds it is removed: db, dddddddddddd.",
            ],
        ),
        (
            {"key": "name:db", "until": START + 4000},
            "kept",
            [
                "for the container named db",
                "is kept until 2025-06-15 16:13:20 UTC (in 1 hour), then it is free",
                "`mooring lease release 10.32.0.8` releases it now",
            ],
        ),
        (
            {"key": "compose:shop/db/1"},
            "kept",
            ["replica 1 of the compose service shop/db", "No container is configured with it any more"],
        ),
        (
            {"key": f"container:{'c' * 64}", "holders": frozenset({"c" * 64}), "whom": "db"},
            "held",
            ["It is fixed for container db", "After that it is reserved for db again."],
        ),
        (
            {"key": "container:intent:i1", "holders": frozenset({"intent:i1"})},
            "held",
            [
                "for the container that is being created",
                "It is assigned to a container that is being created (web), started 3 seconds ago. If whoever",
                "within half a minute",
            ],
        ),
        (
            {"key": "key:db", "holders": frozenset({"intent:i9", "c" * 64})},
            "held",
            ["It is assigned to a container that is being created.", "is removed: db."],
        ),
    ],
)
async def test_a_fixed_address_is_explained(fields: dict[str, object], verdict: str, words: list[str]) -> None:
    """What it belongs to, who names it, what is promised, and what would free it."""
    host = await sample()
    await host.cache.commit(put=[KNOWN, MAKING, leased("10.32.0.8", State.FIXED, "p4", **fields)])
    reason = host.inspection.explain(ip_address("10.32.0.8")).reasons[0]
    text = " ".join(reason.text)
    assert [word for word in words if word not in text] == []
    assert reason.verdict == verdict


async def test_an_address_that_nothing_proves_says_so_before_it_is_lost() -> None:
    """Without a MAC of its own, where Mooring chose the subnet and the name would have to be the proof."""
    host = await sample()
    for mac, address, pool, says in ((MAC, "10.32.0.8", "p4", False), ("", "10.32.0.8", "p4", True),
                                     ("", "fd00:32::8", "p6", False)):  # fmt: skip
        await host.cache.commit(
            put=[leased(address, State.FIXED, pool, key="container:c", holders=frozenset({"c"}), mac=mac)]
        )
        text = " ".join(host.inspection.explain(ip_address(address)).reasons[0].text)
        assert ("Docker before 29 does not tell" in text) is says


async def test_a_fixed_address_in_use_says_since_when() -> None:
    """The endpoint with its host, its MAC, and when it was made."""
    host = await sample()
    await host.cache.commit(
        put=[leased("10.32.0.2", State.FIXED, key="key:db", active=Active(DB, "alpha", "b"), mac=MAC)]
    )  # fmt: skip
    text = " ".join(host.inspection.explain(ip_address("10.32.0.2")).reasons[0].text)
    assert (
        f"in use by endpoint {DB[:12]} (attached) on host alpha, MAC {MAC}, created at 2025-06-15 15:07:40 UTC" in text
    )


@pytest.mark.parametrize(
    ("whom", "words"),
    [
        ("", ["No container can get it."]),
        ("web-*", ["when its name is web-*", "With Docker before 29, create it"]),
        ("team=a", ["when its labels are team=a", "create it through the proxy"]),
        (for_container("c" * 64), ["`mooring attach cccccccccccc 1f6b2c000000` gives it to that container"]),
    ],
)
async def test_a_reservation_says_who_gets_it_and_how_it_ends(whom: str, words: list[str]) -> None:
    """And one whose time is over counts no more."""
    host = await sample()
    await host.cache.commit(put=[leased("10.32.0.8", State.RESERVED, whom=whom, until=START + 100)])
    text = " ".join(host.inspection.explain(ip_address("10.32.0.8")).reasons[0].text)
    missing = [word for word in (*words, "no longer applies", "`mooring lease release 10.32.0.8`") if word not in text]
    assert missing == []


@given(address=st.ip_addresses())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_address_has_an_answer(address: object) -> None:
    """There is at least one reason, and every sentence is one line."""
    for reason in await reasons(str(address)):
        assert reason.text
        assert all(line == " ".join(line.split()) for line in reason.text)


async def test_an_address_of_a_network_of_vnics_is_a_vnics_or_nobodys() -> None:
    """With what ends it, or makes it."""
    host = LauncherHost()
    await host.start()
    made = await host.vnic("red", "172.16.5.5", instance="i-1")
    scene = Scene(host.services.cache, host.services.endpoint_index, host.clock.now())
    waits = " ".join(explain_address(made.address, scene).reasons[0].text)
    assert waits.startswith(f"172.16.5.5 in subnet 172.16.5.0/24 of tenant red is that of VNIC {made.id}, instance i-1")
    assert "Its Docker network is not there: `mooring vnic inspect" in waits
    network = await host.handoff("n1", bridge=made.group.bridge)
    said = explain_address(made.address, scene).reasons[0].text
    assert f"It is that of VNIC {made.id}, instance i-1, MAC {made.mac}" in said[-1]
    assert "no VNIC's" in explain_address(ip_address("172.16.5.9"), scene).reasons[0].text[-1]
    await host.run(network, "e1", "172.16.5.5", made.mac)
    (reason,) = explain_address(made.address, scene).reasons
    text = " ".join(reason.text)
    assert "is held by" in text
    assert "dynamic" not in text
    assert "hold" not in text
    assert "cools" not in text
