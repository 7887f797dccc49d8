"""Calling a plugin: requests as dockerd sends them, retries with their body, answers with the plugin's own text."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mooring.adapters.plugins.client import IDLE_MOST, PluginClient, Unreachable
from mooring.adapters.plugins.discovery import Kind, PluginAddress, Tls
from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, NotFound, Unavailable
from mooring.testing.clocks import ManualClock
from mooring.wire import remote_api as api
from tests.adapters.plugins.fakes import (
    Asked,
    FakePlugin,
    HastyClock,
    Script,
    address,
    line,
    plugin,
    replies,
    reply,
    tcp_plugin,
)

LEAVE = api.EndpointReference("n", "e")
JOIN = api.Joining("n", "e", "/key", {"a": "<b>"})
POOL = api.PoolQuery("s")
ADDRESS = api.AddressQuery("p")


def after(failures: int) -> Script:
    """Hangs up that often, then answers."""
    left = [failures]

    def script(asked: Asked) -> bytes | None:
        left[0] -= 1
        return None if left[0] >= 0 else reply()

    return script


async def test_activation_says_what_is_implemented(tmp_path: Path) -> None:
    """With an empty body (moby TestEchoInputOutput, TestFailOnce's other half)."""
    async with line(tmp_path, replies(Activate={"Implements": ["NetworkDriver", "VolumeDriver"]})) as to:
        assert await to.client.activate() == ("NetworkDriver", "VolumeDriver")
        assert to.plugin.asked[0].body == b""
    async with line(tmp_path, replies(Activate={})) as to:
        assert await to.client.activate() == ()


async def test_a_request_looks_as_dockerds(tmp_path: Path) -> None:
    """POST, a host even for a socket, what is accepted, a length, no type of content."""
    async with line(tmp_path, replies()) as to:
        await to.client.call("NetworkDriver.Join", JOIN)
        asked = to.plugin.asked[0]
    assert asked.method == "NetworkDriver.Join"
    assert asked.headers == {
        "host": "plugin.moby.localhost",
        "user-agent": "mooring",
        "accept": "application/vnd.docker.plugins.v1.2+json",
        "content-length": str(len(asked.body)),
    }
    assert asked.body.endswith(b"\n")
    assert asked.json == {"NetworkID": "n", "EndpointID": "e", "SandboxKey": "/key", "Options": {"a": "<b>"}}


async def test_a_plugin_at_a_port_is_called_by_its_host() -> None:
    """TCP in clear."""
    async with tcp_plugin(replies()) as (fake, port):
        client = PluginClient(PluginAddress("p", Kind.TCP, host="127.0.0.1", port=port), HastyClock())
        await client.call("NetworkDriver.Leave", LEAVE)
        await client.close()
    assert fake.asked[0].headers["host"] == f"127.0.0.1:{port}"


async def test_connections_are_kept(tmp_path: Path) -> None:
    """One for calls in a row; not after a reply that closes."""
    async with line(tmp_path, replies()) as to:
        for _ in range(4):
            await to.client.call("NetworkDriver.Leave", LEAVE)
        assert to.plugin.connections == 1
    async with line(tmp_path, lambda _: reply({}, 200, "Connection: close")) as to:
        for _ in range(4):
            await to.client.call("NetworkDriver.Leave", LEAVE)
        assert to.plugin.connections == 4
        assert to.clock.pauses == []


async def test_calls_at_once_do_not_wait_for_one_another(tmp_path: Path) -> None:
    """Each has a connection; not all of them are kept."""
    calls = IDLE_MOST + 4
    async with line(tmp_path, replies()) as to:
        together = asyncio.Barrier(calls)

        async def meet() -> None:
            await together.wait()

        to.plugin.before = meet
        async with asyncio.TaskGroup() as tasks:
            for _ in range(calls):
                tasks.create_task(to.client.call("NetworkDriver.Leave", LEAVE))
        assert to.plugin.connections == calls
        assert len(to.client._idle) == IDLE_MOST


async def test_a_connection_that_was_closed_while_idle_is_no_attempt(tmp_path: Path) -> None:
    """Whether we saw it or not, another is made at once."""
    async with line(tmp_path, replies()) as to:
        await to.client.call("NetworkDriver.Leave", LEAVE)
        await to.plugin.drop()
        await to.client.call("NetworkDriver.Leave", LEAVE)
        assert to.plugin.connections == 2
        # Here the plugin hangs up only when it is asked.
        to.plugin.script = after(1)
        await to.client.call("NetworkDriver.Leave", LEAVE)
        assert to.plugin.connections == 3
        assert to.clock.pauses == []


# Retries.


async def test_a_retry_has_the_whole_body(tmp_path: Path) -> None:
    """Where dockerd's have none (moby TestFailOnce, TestBackoff's pauses)."""
    async with line(tmp_path, after(4)) as to:
        await to.client.call("NetworkDriver.Join", JOIN)
        assert len(to.plugin.asked) == 5
        assert {asked.body for asked in to.plugin.asked} == {api.encode_request(JOIN)}
        assert to.clock.pauses == [1, 2, 4, 8]


async def test_a_plugin_that_stays_silent_is_given_up(tmp_path: Path) -> None:
    """Before the pause that would end after 30 s (moby TestAbortRetry); the fault names plugin and method."""
    async with line(tmp_path, lambda _: None) as to:
        with pytest.raises(Unreachable, match=r"plugin p does not answer NetworkDriver\.Leave: "):
            await to.client.call("NetworkDriver.Leave", LEAVE)
        assert len(to.plugin.asked) == 5
        assert to.clock.pauses == [1, 2, 4, 8]


async def test_time_that_tries_take_counts(tmp_path: Path) -> None:
    """Two slow tries leave no time for a third."""
    async with line(tmp_path, lambda _: None) as to:

        async def slow() -> None:
            to.clock.advance(14)

        to.plugin.before = slow
        with pytest.raises(Unreachable):
            await to.client.call("NetworkDriver.Leave", LEAVE)
        assert to.clock.pauses == [1]


async def test_a_clock_that_is_put_back_does_not_keep_us_trying(tmp_path: Path) -> None:
    """The pauses alone bound it."""
    async with line(tmp_path, lambda _: None) as to:

        async def back() -> None:
            to.clock._now -= 3600

        to.plugin.before = back
        with pytest.raises(Unreachable):
            await to.client.call("NetworkDriver.Leave", LEAVE)
        assert to.clock.pauses == [1, 2, 4, 8]


@pytest.mark.parametrize("request_", [LEAVE, POOL, ADDRESS])
async def test_a_plugin_that_comes_back_is_found_again(tmp_path: Path, request_: api.Message) -> None:
    """While it is away nothing is sent, so every call may be tried again (moby TestFailedConnection)."""
    methods = {LEAVE: "NetworkDriver.Leave", ADDRESS: "IpamDriver.RequestAddress"}
    async with AsyncExitStack() as stack:
        started: list[FakePlugin] = []

        async def start() -> None:
            started.append(await stack.enter_async_context(plugin(tmp_path / "p.sock", replies())))

        clock = HastyClock()
        clock.meanwhile = start
        client = PluginClient(address(tmp_path / "p.sock"), clock)
        await client.call(methods.get(request_, "IpamDriver.RequestPool"), request_)
        assert len(started[0].asked) == 1
        assert clock.pauses == [1]
        await client.close()


@pytest.mark.parametrize(
    ("method", "request_"), [("IpamDriver.RequestPool", POOL), ("IpamDriver.RequestAddress", ADDRESS)]
)
async def test_what_gives_something_new_each_time_is_sent_once(
    tmp_path: Path, method: str, request_: api.Message
) -> None:
    """A second pool or address would leak; nor is it risked on a kept connection."""
    async with line(tmp_path, replies()) as to:
        await to.client.call("NetworkDriver.Leave", LEAVE)
        to.plugin.script = after(1)
        with pytest.raises(Unreachable, match="may have been carried out"):
            await to.client.call(method, request_)
        assert to.plugin.methods == ["Leave", method.partition(".")[2]]
        assert to.plugin.connections == 2
        assert to.clock.pauses == []


async def test_an_address_of_our_choice_may_be_asked_for_again(tmp_path: Path) -> None:
    """The second call is about the same address."""
    async with line(tmp_path, after(1)) as to:
        await to.client.call("IpamDriver.RequestAddress", api.AddressQuery("p", "10.9.0.2"))
        assert len(to.plugin.asked) == 2


@pytest.mark.parametrize("status", [400, 404, 500, 503, 201, 302])
async def test_an_answer_is_never_asked_for_again(tmp_path: Path, status: int) -> None:
    """Errors are answers."""
    async with line(tmp_path, lambda _: reply({"Err": "no"}, status)) as to:
        with pytest.raises(Fault, match="plugin p: no"):
            await to.client.call("NetworkDriver.Leave", LEAVE)
        assert len(to.plugin.asked) == 1
        assert to.clock.pauses == []


@pytest.mark.parametrize("data", [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"])
async def test_half_an_answer_is_none_and_not_asked_for_again(tmp_path: Path, data: bytes) -> None:
    """The plugin did something, but what is not known."""
    async with line(tmp_path, lambda _: data, hang_up=True) as to:
        with pytest.raises(Unreachable, match=r"plugin p, NetworkDriver\.Leave: the reply"):
            await to.client.call("NetworkDriver.Leave", LEAVE)
        assert len(to.plugin.asked) == 1


async def test_a_plugin_that_does_not_answer_in_time_is_not_asked_again(tmp_path: Path) -> None:
    """It is there, and slow (moby TestClientWithRequestTimeout); the connection is not used again."""
    async with line(tmp_path, replies(), patience=0.03) as to:
        let_go = asyncio.Event()

        async def hang() -> None:
            await let_go.wait()

        to.plugin.before = hang
        with pytest.raises(Unreachable, match=r"did not answer NetworkDriver\.Leave within 0\.03 s; may have been"):
            await to.client.call("NetworkDriver.Leave", LEAVE)
        let_go.set()
        to.plugin.before = None
        await to.client.call("NetworkDriver.Leave", LEAVE)
        assert to.plugin.connections == 2


async def test_a_cancelled_call_leaves_its_connection_to_nobody(tmp_path: Path) -> None:
    """Its late answer must not be taken for another's."""
    async with line(tmp_path, replies()) as to:
        reached, let_go = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            reached.set()
            await let_go.wait()

        to.plugin.before = hang
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(to.client.call("NetworkDriver.Leave", LEAVE))
            await reached.wait()
            call.cancel()
        let_go.set()
        await to.client.call("NetworkDriver.Leave", LEAVE)
        assert to.plugin.connections == 2


# Answers.


@pytest.mark.parametrize(
    ("status", "document", "kind", "text"),
    [
        (404, {"Err": "no such network"}, NotFound, "plugin p: no such network"),
        (409, {"Err": "taken"}, Conflict, "plugin p: taken"),
        (507, {"Error": "full"}, Exhausted, "plugin p: full"),
        (500, b"plain\nlines\x1b[31m", Unavailable, "plugin p: plain?lines?[31m"),
        (500, b"x" * 5000, Unavailable, "plugin p: " + "x" * 997 + "..."),
        (200, {"Err": "with 200"}, Unavailable, "plugin p: with 200"),
        (200, b"", Unavailable, "plugin p: NetworkDriver.Leave: reply body: Input data was truncated"),
        (200, [], Unavailable, "plugin p: NetworkDriver.Leave: reply body: expected an object, got list"),
    ],
)
async def test_the_plugins_text_comes_out_in_one_line(
    tmp_path: Path, status: int, document: object, kind: type[Fault], text: str
) -> None:
    """With its name, of the kind that the status stands for, and told from silence."""
    async with line(tmp_path, lambda _: reply(document, status)) as to:
        with pytest.raises(Fault) as caught:
            await to.client.call("NetworkDriver.Leave", LEAVE)
    assert type(caught.value) is kind
    assert str(caught.value) == text


async def test_text_that_is_not_unicode_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    """JSON has no form for it."""
    async with line(tmp_path, replies()) as to:
        with pytest.raises(BadRequest, match="plugin p"):
            await to.client.call("NetworkDriver.Leave", api.EndpointReference("n", "\udc80"))
        assert to.plugin.asked == []


async def test_tls_files_that_cannot_be_used_are_told_at_once() -> None:
    """Waiting would not make them better."""
    clock = HastyClock()
    client = PluginClient(PluginAddress("p", Kind.TLS, host="localhost", port=1, tls=Tls(True, "/nowhere")), clock)
    with pytest.raises(Unreachable, match="TLS files"):
        await client.activate()
    assert clock.pauses == []


async def test_a_closed_client_calls_nobody(tmp_path: Path) -> None:
    """Not even again: calls under way and those that pause end too."""
    clock = ManualClock()
    async with plugin(tmp_path / "p.sock", replies()) as fake:
        client = PluginClient(address(tmp_path / "p.sock"), clock)
        reached, let_go = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            reached.set()
            await let_go.wait()

        fake.before = hang
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(failure(client))
            await reached.wait()
            await client.close()
            assert "closed" in await call
        let_go.set()
        assert "closed" in await failure(client)
        await client.close()
        assert fake.connections == 1


async def failure(client: PluginClient) -> str:
    """Why a call fails."""
    with pytest.raises(Unreachable) as caught:
        await client.call("NetworkDriver.Leave", LEAVE)
    return str(caught.value)
