"""`mooring lease reserve|release|hold|move` and `mooring fix`: what an operator does with addresses by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.options import Connection, dry_run_option, format_option, pass_connection, space_option
from mooring.cli.suggestions import addresses, containers

if TYPE_CHECKING:
    from mooring.client import ChangesReply
    from mooring.core.networks import Address


@click.command()
@click.argument("addresses", metavar="ADDRESS[-LAST]|SUBNET")
@click.option(
    "--for",
    "whom",
    default="",
    metavar="WHOM",
    shell_complete=containers,
    help="A container name, a pattern such as web-*, or labels such as a=b,c!=d.",
)
@click.option("--note", default="", metavar="TEXT", help="Reason for the reservation.")
@click.option("--until", default="", metavar="TIME", help="When it ends: 7d from now, or a date and time (UTC).")
@space_option
@dry_run_option
@format_option
@pass_connection
def reserve(
    connection: Connection, addresses: str, whom: str, note: str, until: str, space: str, dry_run: bool, form: str
) -> None:
    """Reserve addresses for a container; without --for no container gets them. All of them, or none if one is in use.

    \b
    Example:
      mooring lease reserve 10.32.0.9 --for db --note "the licence is bound to it"
      mooring lease reserve 10.32.0.64-10.32.0.95 --for 'web-*' --until 7d
      mooring lease reserve 10.32.0.240/28 --for team=billing
    """
    import time

    from mooring.core.times import point_of

    first, last = _range(addresses)
    end = point_of(until, time.time()) if until else None
    reply = connection.client.reserve(
        str(first), str(last), space=space, whom=whom, note=note, until=end, dry_run=dry_run
    )
    _show(reply, form)


@click.command()
@click.argument("address", shell_complete=addresses)
@click.option("--force", is_flag=True, help="Also while its containers still exist, if none of them is using it.")
@space_option
@dry_run_option
@format_option
@pass_connection
def release(connection: Connection, address: str, force: bool, space: str, dry_run: bool, form: str) -> None:
    """Free ADDRESS: end a reservation or a cooldown, or release a fixed address that is not in use.

    An address that a container is using is never taken from it.

    \b
    Example:
      mooring lease release 10.32.0.9
      mooring lease release 10.32.0.5 --force --dry-run
    """
    from mooring.core.addresses import parse_address

    place = str(parse_address(address))
    _show(connection.client.release(place, space=space, force=force, dry_run=dry_run), form)


@click.command()
@click.argument("address", shell_complete=addresses)
@click.option(
    "--key", default="", metavar="KEY", help="What it belongs to instead of the container, as the label mooring.key."
)
@click.option("--hold", "kept", default="", metavar="DURATION", help="How long the key keeps it without a container.")
@space_option
@dry_run_option
@format_option
@pass_connection
def hold(connection: Connection, address: str, key: str, kept: str, space: str, dry_run: bool, form: str) -> None:
    """Make the dynamic ADDRESS of a running container fixed: it then belongs to that container, or to --key.

    If the container could not ask for it at its next start (Docker before 29, and a configuration without the address),
    it is disconnected and reconnected with the address, which interrupts its network for a moment. Where that is not
    possible, the address is only fixed for a --key. An address that is already fixed gets the given key and hold time.

    \b
    Example:
      mooring lease hold 10.32.0.2
      mooring lease hold 10.32.0.2 --key db --hold 7d
    """
    from mooring.core.addresses import parse_address
    from mooring.core.times import seconds_of

    place, seconds = str(parse_address(address)), seconds_of(kept) if kept else None
    _show(connection.client.hold(place, space=space, key=key, hold=seconds, dry_run=dry_run), form)


@click.command()
@click.argument("what", metavar="ADDRESS|KEY", shell_complete=addresses)
@click.option("--force", is_flag=True, help="Also from a host that is not heard and may still be using it.")
@space_option
@dry_run_option
@format_option
@pass_connection
def move(connection: Connection, what: str, force: bool, space: str, dry_run: bool, form: str) -> None:
    """Bring ADDRESS, or what KEY has, to this host from another host of the cluster, where it then waits for its key.

    Only needed for a host that is gone with its containers: what is idle moves by itself when a container with the key
    is created here. An address that is in use on a host that is heard is never taken. Use --force only if the other
    host is off.

    \b
    Example:
      mooring lease move db --dry-run
      mooring lease move compose:shop/db/1 --force
    """
    _show(connection.client.move(what, space=space, force=force, dry_run=dry_run), form)


@click.command()
@click.argument("container", shell_complete=containers)
@dry_run_option
@format_option
@pass_connection
def fix(connection: Connection, container: str, dry_run: bool, form: str) -> None:
    """Have CONTAINER ask for the fixed addresses that it holds at its next start.

    For a container that was created or connected without the proxy: its configuration does not contain the address, and
    Docker before 29 does not tell Mooring which container is asking. A running container loses its network for a
    moment. If it is not possible, the command says why.

    \b
    Example:
      mooring fix db --dry-run
      mooring fix db
    """
    if not container.strip():
        raise click.BadParameter("must not be empty", param_hint="CONTAINER")
    _show(connection.client.fix_container(container.strip(), dry_run=dry_run), form)


def _range(text: str) -> tuple[Address, Address]:
    """First and last. Raises BadRequest."""
    from ipaddress import ip_network

    from mooring.core.addresses import parse_address
    from mooring.core.faults import BadRequest

    if "/" in text:
        try:
            subnet = ip_network(text)
        except ValueError as error:
            raise BadRequest(f"{text[:60]!r} is not a subnet: {error}") from None
        return subnet.network_address, subnet.broadcast_address
    first, dash, last = text.partition("-")
    return parse_address(first), parse_address(last if dash else first)


def _show(reply: ChangesReply, form: str) -> None:
    from mooring.cli.tables import printed

    if not printed(reply, form):
        _print(reply)


def _print(reply: ChangesReply) -> None:
    from mooring.cli.tables import clean, print_table

    if not reply.changes:
        click.echo("nothing to change")
        return
    spaces = any(change.space != "default" for change in reply.changes)
    rows = [
        (change.address, *([change.space] if spaces else []), change.before, change.after) for change in reply.changes
    ]
    print_table(("ADDRESS", *(["SPACE"] if spaces else []), "BEFORE", "AFTER"), rows)
    for change in reply.changes:
        if change.note:
            click.echo(f"{change.address}: {clean(change.note)}")
    if reply.dry_run:
        click.echo("nothing was changed (--dry-run)")
