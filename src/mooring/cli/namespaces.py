"""`--pid` and `--netns` of `mooring attach` and `mooring detach`: network namespaces that are no container's.

Rule: what is to be done inside a namespace is done by this process, so it is root's alone.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mooring.attaching import Attaching, Target
    from mooring.cli.options import Connection
    from mooring.client import NamespaceView

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def namespace_options(command: F) -> F:
    """`--pid`, `--netns` and `--name`, as arguments of these names."""
    for option in (
        click.option("--name", default="", metavar="NAME", help="What the namespace is called in the network."),
        click.option("--netns", default="", metavar="NAME|PATH", help="A network namespace instead of a container."),
        click.option("--pid", type=click.IntRange(1), metavar="PID", help="The network namespace of a process."),
    ):
        command = option(command)
    return command


def target_of(pid: int | None, netns: str, name: str) -> Target | None:
    """The namespace that the options mean, None for a container. Raises BadRequest, UsageError."""
    from mooring.attaching import by_netns, by_process

    if pid is not None and netns:
        raise click.UsageError("--pid and --netns exclude each other")
    if pid is not None:
        return by_process(pid, name)
    if netns:
        return by_netns(netns, name)
    if name:
        raise click.UsageError("--name is for --pid and --netns")
    return None


def attach_namespace(
    connection: Connection, target: Target, network: str, addresses: tuple[str, ...]
) -> NamespaceView:  # fmt: skip
    """The namespace is in the network."""
    from mooring.adapters.linux.container_processes import containers_in

    with _attaching(connection) as attaching, _pinned(target) as target:
        containers = containers_in(target.path)
        view, own = _run(attaching, lambda: attaching.attach(target, network, addresses, containers))
    if own:
        click.echo(f"mooring: the namespace has routes of its own to {', '.join(own)}, which stay", err=True)
    return view


def detach_namespace(connection: Connection, target: Target, network: str, *, dry_run: bool) -> NamespaceView:
    """The namespace is not in the network."""
    with _attaching(connection) as attaching, _pinned(target) as target:
        return _run(attaching, lambda: attaching.detach(target, network, dry_run=dry_run))


@contextmanager
def _attaching(connection: Connection) -> Iterator[Attaching]:
    from mooring.adapters.linux.namespaces import LinuxNamespaces
    from mooring.attaching import MARK, Attaching
    from mooring.core.faults import Forbidden

    if os.geteuid() != 0:
        raise Forbidden("--pid and --netns change a network namespace, which only root may", hint="use sudo")
    yield Attaching(connection.client, LinuxNamespaces("/run/mooring/netns", MARK))


@contextmanager
def _pinned(target: Target) -> Iterator[Target]:
    """The same namespace for the length of the block, also when its process ends and another one gets its id."""
    from mooring.adapters.linux.namespace_files import opened
    from mooring.core.faults import NotFound

    with ExitStack() as held:
        try:
            descriptor = held.enter_context(opened(target.path))
        except NotFound:  # whoever looks says so, or goes by the name
            yield target
        else:
            yield replace(target, path=f"/proc/{os.getpid()}/fd/{descriptor}")


def _run(attaching: Attaching, work: Callable[[], Awaitable[T]]) -> T:
    import asyncio

    async def main() -> T:
        try:
            return await work()
        finally:
            await attaching.close()

    return asyncio.run(main())
