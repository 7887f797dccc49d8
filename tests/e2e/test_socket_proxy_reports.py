"""What was reported of other proxies of Docker's socket, tried on ours.

Rule: each test names its threads; what is asserted is what the reporter wanted, or that the engine answers alike.
"""

from __future__ import annotations

import subprocess

from tests.e2e.lab import DockerClient, Host
from tests.e2e.lab.wires import UPGRADE, Answer, Wire, output, request


def exec_of(host: Host, *argv: str) -> str:
    body = {"AttachStdout": True, "AttachStderr": True, "Cmd": argv}
    return str(host.proxy.api("POST", "/containers/web/exec", body)["Id"])


def test_an_exec_without_standard_input_says_what_it_has_to_say(host: Host) -> None:
    """linuxserver/docker-socket-proxy#10 (nothing came without -i), #132 of Tecnativa's (200 instead of 101)."""
    host.run_container("web")
    assert host.proxy.docker("exec", "web", "echo", "said").output == "said"
    for upgrade, head in ((UPGRADE, b"HTTP/1.1 101 UPGRADED\r\n"), ("", b"HTTP/1.1 200 OK\r\n")):
        with Wire(host.proxy.socket) as wire:
            wire.send(request("POST", f"/exec/{exec_of(host, 'echo', 'said')}/start", {"Detach": False}, upgrade))
            # dtan4/nginx-basic-auth-proxy#8: a raw stream has no chunks.
            said = wire.until(b"\r\n\r\n")
            assert said.startswith(head)
            assert b"chunked" not in said.lower()
            assert output(wire.rest()) == (b"said\n", b"")


def test_a_pipe_into_an_exec_ends(host: Host) -> None:
    """rancher-sandbox/rancher-desktop#2094, moby#36516: the end of standard input was lost, and the command hung."""
    host.run_container("web")
    with host.proxy.command("exec", "-i", "web", "cat", "-", stdin=subprocess.PIPE) as command:
        assert command.communicate(b"hi\n", 30)[0] == b"hi\n"


def conversation(client: DockerClient) -> list[Answer]:
    """One connection: an error, replies without a body, a long reply in chunks, two requests at once."""
    with Wire(client.socket) as wire:
        found = []
        for data in (
            request("GET", "/containers/none/json"),  # docker/for-mac#5059: an error's chunks had no end
            request("POST", "/containers/web/start"),  # 304, and what follows is no body of it
            request("HEAD", "/_ping"),
            request("GET", "/images/json?all=1"),  # weaveworks/weave#1103: a reply in chunks closed the connection
        ):
            wire.send(data)
            found.append(wire.answer(to_head=data.startswith(b"HEAD")))
        wire.send(request("GET", "/_ping") + request("GET", "/containers/none/json"))
        return [*found, wire.answer(), wire.answer()]


def test_a_connection_is_good_for_one_request_after_the_other(host: Host) -> None:
    """docker/for-linux#215. Errors, no bodies, chunks, two requests in one piece: as on the engine's own socket."""
    host.run_container("web")
    theirs, ours = conversation(host.engine), conversation(host.proxy)
    assert [answer.status for answer in ours] == [404, 304, 200, 200, 200, 404]
    assert [answer.header("Connection") for answer in ours] == [answer.header("Connection") for answer in theirs]
    assert [answer.body for answer in ours] == [answer.body for answer in theirs]


def test_a_start_with_chunks_that_hold_nothing_is_judged_by_the_engine(host: Host) -> None:
    """portainer/portainer#9239: a body that is empty, and not said to be."""
    host.run_container("web")
    found = []
    for client in (host.engine, host.proxy):
        host.docker("kill", "web")
        with Wire(client.socket) as wire:
            wire.send(b"POST /containers/web/start HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
            found.append(wire.answer())
        if found[-1].status >= 400:
            host.docker("start", "web")
    assert found[0].status == found[1].status
    assert found[0].body == found[1].body
