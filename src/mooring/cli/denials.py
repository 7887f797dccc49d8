"""`mooring deny add|ls|rm`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.listings import Column, Listing, Style, listed_options, one_of
from mooring.cli.options import Connection, dry_run_option, format_option, pass_connection
from mooring.cli.suggestions import denied

if TYPE_CHECKING:
    from mooring.client import DenyReply, DenyRow


@click.group()
def deny() -> None:
    """Keep networks out of subnets: a VPN's, a data centre's, those of somebody to come.

    No subnet is chosen that overlaps an entry, and one that is given with --subnet is refused. Networks that exist keep
    theirs. The setting `deny` of the configuration is a part of the same list.

    \b
    Example:
      mooring deny add 10.8.0.0/16 --note "VPN Berlin"
    """


FILTERS = ("network", "note", "origin", "subnet")


@deny.command("ls")
@listed_options(FILTERS)
@pass_connection
def list_entries(connection: Connection, style: Style) -> None:
    """List the deny list, and which networks are in it all the same.

    \b
    Example:
      mooring deny ls
      mooring deny ls --filter origin=stored
    """
    _listing(connection).show(connection.client.deny_entries(), style)


def _listing(connection: Connection) -> Listing[DenyRow]:
    from mooring.cli.tables import since

    return Listing(
        (
            Column("SUBNET", lambda row, _: row.subnet),
            Column("ORIGIN", lambda row, _: row.origin),
            Column("NOTE", lambda row, _: row.note or "-"),
            Column("NETWORKS", lambda row, _: ", ".join(row.networks) or "-"),
            Column("SINCE", lambda row, _: since(row.created) if row.created is not None else "-", wide=True),
        ),
        lambda row, _: row.subnet,
        {
            "network": lambda row, value: any(each.partition(" ")[0] == value for each in row.networks),
            "note": lambda row, value: value in row.note,
            "origin": lambda row, value: row.origin == one_of(("configuration", "stored"), value),
            "subnet": lambda row, value: row.subnet == value,
        },
        {"network": connection.client.network},
    )


@deny.command("add")
@click.argument("subnet")
@click.option("--note", default="", metavar="TEXT", help="Why; shown to whoever is refused.")
@dry_run_option
@format_option
@pass_connection
def add(connection: Connection, subnet: str, note: str, dry_run: bool, form: str) -> None:
    """Keep networks out of SUBNET from now on. Networks that are in it stay, and are named.

    \b
    Example:
      mooring deny add 10.8.0.0/16 --note "VPN Berlin"
      mooring deny add fd12:3456::/32
    """
    _tell(connection.client.deny(subnet, note=note, dry_run=dry_run), "denied", form)


@deny.command("rm")
@click.argument("subnet", shell_complete=denied)
@dry_run_option
@format_option
@pass_connection
def remove(connection: Connection, subnet: str, dry_run: bool, form: str) -> None:
    """Let networks use SUBNET again: the entry of exactly that subnet ends.

    An entry of the configuration ends where it is: in `deny` of mooring.toml, and a restart of the daemon.

    \b
    Example:
      mooring deny rm 10.8.0.0/16
    """
    _tell(connection.client.allow(subnet, dry_run=dry_run), "no longer denied", form)


def _tell(reply: DenyReply, what: str, form: str) -> None:
    from mooring.cli.tables import clean, printed

    if printed(reply, form):
        return
    entry = reply.entry
    if not reply.changed:
        click.echo(f"{entry.subnet} is {what} already")
        return
    click.echo(f"{entry.subnet} {'would be' if reply.dry_run else 'is'} {what}")
    if entry.networks and what == "denied":
        click.echo(clean(f"in it, and staying: {', '.join(entry.networks)}"))
