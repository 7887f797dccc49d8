"""`mooring attach` and `detach`, of containers and namespaces; `mooring expose` and `hide`, of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.namespaces import attach_namespace, detach_namespace, namespace_options, target_of
from mooring.cli.options import Connection, dry_run_option, format_option, pass_connection
from mooring.cli.suggestions import containers, networks

if TYPE_CHECKING:
    from mooring.client import AttachmentView, ExposureView, NamespaceView


@click.command()
@click.argument("container", metavar="[CONTAINER]", shell_complete=containers)
@click.argument("network", metavar="NETWORK", required=False, default="", shell_complete=networks)
@click.argument("addresses", metavar="[ADDRESS]...", nargs=-1)
@namespace_options
@format_option
@pass_connection
def attach(
    connection: Connection, container: str, network: str, addresses: tuple[str, ...], form: str,
    pid: int | None, netns: str, name: str,
) -> None:  # fmt: skip
    """Attach CONTAINER to NETWORK, with ADDRESS (one of each family), and print the addresses that it has there.

    Without ADDRESS it gets the one that is reserved for it there (`mooring ip allocate --check-alive`), or any. One
    that was named or reserved is fixed: the container keeps it through stops, until it is detached or removed.

    --pid and --netns attach a network namespace that is no container's, as root: with an interface, address and routes
    as the network's containers have them, until it is detached or ends.

    \b
    Example:
      mooring attach db web
      mooring attach db web 10.32.0.9
      mooring attach --netns lab-1 web
      mooring attach --pid 4711 web 10.32.0.9
    """
    if (target := target_of(pid, netns, name)) is not None:
        addresses = (*filter(None, [network]), *addresses)
        _show(attach_namespace(connection, target, container, addresses), form, "attached already")
        return
    view = connection.client.attach(container, _needed(network), addresses)
    _show(view, form, "attached already")
    if not view.addresses and form == "table":
        click.echo("mooring: attached; the container has no address yet, it gets one when it starts", err=True)


@click.command()
@click.argument("container", metavar="[CONTAINER]", shell_complete=containers)
@click.argument("network", metavar="NETWORK", required=False, default="", shell_complete=networks)
@namespace_options
@dry_run_option
@format_option
@pass_connection
def detach(
    connection: Connection, container: str, network: str, dry_run: bool, form: str,
    pid: int | None, netns: str, name: str,
) -> None:  # fmt: skip
    """Detach CONTAINER from NETWORK, and print the addresses that it had there. No address is kept for it.

    --pid and --netns: as for `mooring attach`. A namespace that is gone is meant by the name that it had.

    \b
    Example:
      mooring detach db web
      mooring detach --netns lab-1 web
    """
    view: AttachmentView | NamespaceView
    if (target := target_of(pid, netns, name)) is not None:
        if network:
            raise click.UsageError(f"Got unexpected extra argument ({network})")
        view = detach_namespace(connection, target, container, dry_run=dry_run)
    else:
        view = connection.client.detach(container, _needed(network), dry_run=dry_run)
    _show(view, form, "not attached")
    if dry_run and view.changed and form == "table":
        click.echo("mooring: not done, only tried", err=True)


def _needed(network: str) -> str:
    if not network:
        raise click.UsageError("Missing argument 'NETWORK'.")
    return network


@click.command()
@click.argument("network", shell_complete=networks)
@click.argument("addresses", metavar="[ADDRESS]...", nargs=-1)
@format_option
@pass_connection
def expose(connection: Connection, network: str, addresses: tuple[str, ...], form: str) -> None:
    """Give this host an address in NETWORK, whose containers it can then reach, and print those that it has there.

    Without ADDRESS it gets one of each family that it has none of: on most networks it has the gateway's already, and
    nothing changes. For networks without one: -o gateway=none, or isolated ones. It stays through reboots.

    \b
    Example:
      mooring expose lab
      mooring expose lab 10.32.0.9
    """
    _show(connection.client.expose(network, addresses), form, "exposed already")


@click.command()
@click.argument("network", shell_complete=networks)
@click.argument("addresses", metavar="[ADDRESS]...", nargs=-1)
@format_option
@pass_connection
def hide(connection: Connection, network: str, addresses: tuple[str, ...], form: str) -> None:
    """Take ADDRESS, or all that `mooring expose` gave it, from this host in NETWORK, and print what it has there still.

    \b
    Example:
      mooring hide lab
    """
    _show(connection.client.hide(network, addresses), form, "not exposed")


def _show(view: AttachmentView | ExposureView | NamespaceView, form: str, unchanged: str) -> None:
    from mooring.cli.tables import printed

    if printed(view, form):
        return
    if not view.changed:
        click.echo(f"mooring: {unchanged}", err=True)
    if view.addresses:
        click.echo(" ".join(view.addresses))
