"""`mooring subnet-pool create|ls|inspect|set|rm`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mooring.cli.listings import Column, Listing, Style, listed_options, one_of
from mooring.cli.options import Connection, Number, dry_run_option, format_option, pass_connection
from mooring.cli.suggestions import spaces, stored_subnet_pools, subnet_pools

if TYPE_CHECKING:
    from mooring.client import SubnetPoolChangesReply, SubnetPoolDetail, SubnetPoolRow

F = TypeVar("F", bound=Callable[..., Any])

# Prefixes that a line of the list has room for.
SHOWN = 2
# Turn of a default one that was given none.
POSITION = 100
FILTERS = ("default", "family", "name", "origin", "space")


@click.group("subnet-pool")
def subnet_pool() -> None:
    """Show and change subnet pools: the prefixes from which networks get their subnets.

    \b
    Example:
      mooring subnet-pool create lab --prefix 10.64.0.0/16 --length 26
      docker network create -d mooring --ipam-driver mooring --ipam-opt pool=lab web
    """


def _length_options(command: F) -> F:
    """What a subnet pool is asked for, as `length`, `min_length`, `max_length`."""
    for name, text in (
        ("--max-length", "The longest prefix length (smallest subnet) that a network may ask for."),
        ("--min-length", "The shortest prefix length (largest subnet) that a network may ask for."),
        ("--length", "Prefix length of a network's subnet; 24 or 64 unless the prefixes are smaller."),
    ):
        command = click.option(name, type=Number(1, 128), metavar="N", help=text)(command)
    return command


def _turn_options(command: F) -> F:
    """Whether it is a default one, put together as `position`: None when nothing was said, 0 for by name only."""
    from functools import wraps

    @click.option(
        "--default/--no-default", "default", default=None, help="Whether networks that name no subnet pool use it."
    )
    @click.option(
        "--position", type=Number(1, 9999), metavar="N",
        help=f"When its turn comes among the default ones, lower first; {POSITION} with --default alone.",
    )  # fmt: skip
    @wraps(command)
    def with_position(*arguments: object, default: bool | None, position: int | None, **more: object) -> object:
        if default is False and position is not None:
            raise click.UsageError("--position has no meaning with --no-default")
        turn = position if position is not None else None if default is None else POSITION if default else 0
        return command(*arguments, position=turn, **more)

    return with_position  # type: ignore[return-value]


@subnet_pool.command("create")
@click.argument("name")
@click.option(
    "--prefix", "prefixes", multiple=True, required=True, metavar="SUBNET",
    help="Where subnets are carved from; several are tried in turn.",
)  # fmt: skip
@_length_options
@_turn_options
@click.option(
    "--tenant", "--space", "space", default="", metavar="NAME", shell_complete=spaces,
    help="The address space that it belongs to; everybody's when not given.",
)  # fmt: skip
@click.option("--note", default="", metavar="TEXT", help="What it is for.")
@dry_run_option
@format_option
@pass_connection
def create_subnet_pool(
    connection: Connection, /, name: str, prefixes: tuple[str, ...], form: str, position: int | None, **more: Any
) -> None:
    """Make the subnet pool NAME. It is used by networks that name it, and with --default by those that name none.

    \b
    Example:
      mooring subnet-pool create lab --prefix 10.64.0.0/16 --length 26 --note CI
      mooring subnet-pool create more --prefix 172.24.0.0/14 --prefix 10.80.0.0/14 --default
    """
    _show(connection.client.create_subnet_pool(name, prefixes, position=position or 0, **more), form)


@subnet_pool.command("ls")
@listed_options(FILTERS)
@pass_connection
def list_subnet_pools(connection: Connection, style: Style) -> None:
    """List the subnet pools of the configuration and of the store: how full they are, and what is left.

    \b
    Example:
      mooring subnet-pool ls
      mooring subnet-pool ls --filter family=4 -o wide
    """
    from mooring.cli.tables import clean

    rows = connection.client.subnet_pools()
    listing = _listing(connection, any(row.space != "default" for row in rows))
    listing.show(rows, style)
    if style.form == "table" and not style.quiet:
        for row in listing.left(rows, style.filters):
            if row.warning:
                click.echo(f"{row.name}: {clean(row.warning)}")


def _listing(connection: Connection, spaces: bool) -> Listing[SubnetPoolRow]:
    """spaces: whether there are several address spaces."""
    from mooring.cli.tables import since

    return Listing(
        (
            Column("NAME", lambda row, _: row.name),
            Column("PREFIXES", lambda row, style: _prefixes(row, len(row.prefixes) if style.whole else SHOWN)),
            Column("LENGTH", lambda row, _: f"/{row.length}"),
            Column("DEFAULT", lambda row, _: str(row.default or "-")),
            Column("CARVED", lambda row, _: _percent(row.percent)),
            Column("LEFT", lambda row, _: _left(row)),
            Column("LARGEST", lambda row, _: row.largest or "-"),
            Column("NETWORKS", lambda row, _: str(row.networks)),
            Column("SPACE", lambda row, _: row.space, wide=not spaces),
            Column("ORIGIN", lambda row, _: row.origin),
            Column("BLOCKED", lambda row, _: _percent(row.blocked), wide=True),
            Column("BOUNDS", lambda row, _: f"/{row.min_length} to /{row.max_length}", wide=True),
            Column("CREATED", lambda row, _: since(row.since) if row.since is not None else "-", wide=True),
            Column("NOTE", lambda row, _: row.note or "-", wide=True),
        ),
        lambda row, _: row.name,
        {
            "default": lambda row, value: _yes(value) is bool(row.default),
            "family": lambda row, value: str(row.family) == one_of(("4", "6"), value),
            "name": lambda row, value: value in row.name,
            "origin": lambda row, value: row.origin == one_of(("configuration", "stored", "dropped"), value),
            "space": lambda row, value: row.space == value,
        },
        {"space": lambda value: connection.client.pools(space=value)},
    )


@subnet_pool.command("inspect")
@click.argument("name", shell_complete=subnet_pools)
@format_option
@pass_connection
def inspect_subnet_pool(connection: Connection, name: str, form: str) -> None:
    """Show the subnet pool NAME: what is left of each length, who has what, and what is in the way.

    \b
    Example:
      mooring subnet-pool inspect lab
    """
    from mooring.cli.tables import printed

    if not name.strip():
        raise click.BadParameter("must not be empty", param_hint="NAME")
    details = connection.client.subnet_pool(name.strip())
    if printed(details, form):
        return
    for number, detail in enumerate(details):
        if number:
            click.echo()
        _print(detail)


def _print(detail: SubnetPoolDetail) -> None:
    from mooring.cli.tables import print_facts, print_table, since

    row = detail.subnet_pool
    bounds = f", /{row.min_length} to /{row.max_length} if asked for" if row.size else ""
    turn = f"{row.default} (position {row.position})" if row.default else "no: networks have to name it"
    left = ", ".join(f"{each.number} of /{each.length}" for each in row.left)
    print_facts(
        [
            ("Subnet pool", row.name),
            ("Origin", row.origin),
            ("Space", row.space),
            ("Prefixes", ", ".join(row.prefixes)),
            ("Length", f"/{row.length}{bounds}"),
            ("Default", turn),
            ("Carved", _percent(row.percent) + (f", {_percent(row.blocked)} blocked" if row.blocked else "")),
            ("Largest", row.largest or "nothing is left"),
            ("Left", left),
            ("Networks", str(row.networks)),
            ("Created", since(row.since) if row.since is not None else ""),
            ("Note", row.note),
            ("Warning", row.warning),
            ("In the way", ", ".join(detail.others)),
        ]
    )
    if detail.users:
        click.echo()
        print_table(
            ("SUBNET", "NETWORK", "CREATED"),
            [
                (
                    user.subnet + (" (outside)" if user.outside else ""),
                    user.network_name or user.network[:12] or f"none yet, pool {user.pool[:12]}",
                    since(user.created),
                )
                for user in detail.users
            ],
        )


@subnet_pool.command("set")
@click.argument("name", shell_complete=stored_subnet_pools)
@click.option("--add-prefix", "add", multiple=True, metavar="SUBNET", help="Grow by this prefix.")
@click.option(
    "--remove-prefix", "remove", multiple=True, metavar="SUBNET",
    help="Shrink by this prefix, or part of one; refused while a network has a part of it.",
)  # fmt: skip
@_length_options
@_turn_options
@click.option("--name", "new_name", default="", metavar="NAME", help="Rename it; refused while a network uses it.")
@click.option("--note", metavar="TEXT", help='What it is for; "" for nothing.')
@dry_run_option
@format_option
@pass_connection
def set_subnet_pool(connection: Connection, /, name: str, form: str, **more: Any) -> None:
    """Change the stored subnet pool NAME; those of the configuration are changed there.

    \b
    Example:
      mooring subnet-pool set lab --add-prefix 10.65.0.0/16
      mooring subnet-pool set lab --remove-prefix 10.64.128.0/17 --dry-run
      mooring subnet-pool set lab --default --length 27
    """
    given = [key for key, value in more.items() if value not in ((), None) and key != "dry_run"]
    if not [key for key in given if key != "new_name" or more[key]]:
        raise click.UsageError("nothing to set: give what is to change, as --add-prefix")
    _show(connection.client.set_subnet_pool(name, **more), form)


@subnet_pool.command("rm")
@click.argument("name", shell_complete=stored_subnet_pools)
@dry_run_option
@format_option
@pass_connection
def remove_subnet_pool(connection: Connection, name: str, dry_run: bool, form: str) -> None:
    """Remove the stored subnet pool NAME. Refused while a network has a subnet of it.

    \b
    Example:
      mooring subnet-pool rm lab
    """
    _show(connection.client.remove_subnet_pool(name, dry_run=dry_run), form)


def _show(reply: SubnetPoolChangesReply, form: str) -> None:
    from mooring.cli.tables import print_table, printed

    if printed(reply, form):
        return
    if not reply.changes:
        click.echo("nothing to change")
        return
    rows = [(change.name, change.what, change.before or "-", change.after or "-") for change in reply.changes]
    print_table(("SUBNET POOL", "WHAT", "BEFORE", "AFTER"), rows)
    if reply.dry_run:
        click.echo("nothing was changed (--dry-run)")


def _prefixes(row: SubnetPoolRow, most: int) -> str:
    more = f", {len(row.prefixes) - most} more" if len(row.prefixes) > most else ""
    return ", ".join(row.prefixes[:most]) + more or "-"


def _left(row: SubnetPoolRow) -> str:
    """How many of the usual length; when none is left, how many of the largest that are."""
    usual = next((each for each in row.left if each.length == row.length and each.number), None)
    shown = usual or next((each for each in row.left if each.number), None)
    return f"{shown.number} of /{shown.length}" if shown is not None else "none"


def _percent(value: float) -> str:
    return f"{value:g} %"


def _yes(value: str) -> bool:
    from mooring.cli.listings import truth

    return truth(value)
