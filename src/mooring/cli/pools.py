"""`mooring pool ls|inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.listings import Column, Listing, Style, listed_options
from mooring.cli.options import Connection, format_option, pass_connection
from mooring.cli.suggestions import pools

if TYPE_CHECKING:
    from mooring.client import PoolDetail, PoolRow


@click.group()
def pool() -> None:
    """Show pools: the subnets from which addresses are assigned.

    \b
    Example:
      mooring pool ls
    """


FILTERS = ("id", "network", "source", "space", "subnet")


@pool.command("ls")
@listed_options(FILTERS)
@pass_connection
def list_pools(connection: Connection, style: Style) -> None:
    """List the pools of this host, and how full they are.

    \b
    Example:
      mooring pool ls
      mooring pool ls --format 'table {{.Subnet}}\\t{{.Percent}}'
    """
    rows = connection.client.pools()
    _listing(connection, any(row.space != "default" for row in rows)).show(rows, style)


def _listing(connection: Connection, spaces: bool) -> Listing[PoolRow]:
    """spaces: whether there are several address spaces."""
    from mooring.cli.tables import percent, since

    return Listing(
        (
            Column("POOL ID", lambda row, style: style.short(row.id)),
            Column("SUBNET", lambda row, _: row.subnet),
            Column("NETWORK", lambda row, style: row.network_name or style.short(row.network) or "-"),
            Column("USED", lambda row, _: str(row.used)),
            Column("SIZE", lambda row, _: _size(row)),
            Column("USE%", lambda row, _: percent(row.used, row.size)),
            Column("SPACE", lambda row, _: row.space, wide=not spaces),
            Column("COOLING", lambda row, _: str(row.cooling), wide=True),
            Column("RANGE", lambda row, _: row.range or "-", wide=True),
            Column("SOURCE", lambda row, _: row.source or "-", wide=True),
            Column("CREATED", lambda row, _: since(row.created), wide=True),
        ),
        lambda row, _: row.id,
        {
            "id": lambda row, value: row.id.startswith(value),
            "network": lambda row, value: row.network_name == value or (bool(value) and row.network.startswith(value)),
            "source": lambda row, value: row.source == value,
            "space": lambda row, value: row.space == value,
            "subnet": lambda row, value: row.subnet == value,
        },
        {"network": connection.client.network, "space": lambda value: connection.client.pools(space=value)},
    )


@pool.command("inspect")
@click.argument("which", metavar="ID|SUBNET|NETWORK", shell_complete=pools)
@format_option
@pass_connection
def inspect_pool(connection: Connection, which: str, form: str) -> None:
    """Show pools by ID prefix, by subnet (in every address space that has it), or by network.

    \b
    Example:
      mooring pool inspect 10.32.0.0/24
      mooring pool inspect web
    """
    from mooring.cli.tables import printed

    if not which.strip():
        raise click.BadParameter("must not be empty", param_hint="ID|SUBNET|NETWORK")
    details = connection.client.pool(which.strip())
    if printed(details, form):
        return
    for number, detail in enumerate(details):
        if number:
            click.echo()
        _print(detail)


def _print(detail: PoolDetail) -> None:
    from mooring.cli.tables import percent, print_facts, since

    row = detail.pool
    states = ", ".join(f"{count} {state}" for state, count in detail.leases.items())
    print_facts(
        [
            ("Pool", row.id),
            ("Subnet", row.subnet + (f" from subnet pool {row.source}" if row.source else "")),
            ("Range", row.range or ""),
            ("Gateway", row.gateway or "none"),
            ("Space", row.space),
            ("Network", (f"{row.network_name} ({row.network})" if row.network_name else row.network) or "none"),
            ("Usage", f"{row.used} used, {row.cooling} cooling, of {_size(row)} ({percent(row.used, row.size)})"),
            ("Leases", states),
            ("Claim", f"{detail.claim}: an idle fixed address goes to " + _CLAIMS.get(detail.claim, "")),
            ("Created", since(row.created)),
            ("Options", ", ".join(f"{key}={value}" for key, value in detail.options.items())),
        ]
    )


_CLAIMS = {"explicit": "any container that requests it", "holders": "its holders only"}


def _size(row: PoolRow) -> str:
    from mooring.client import LARGEST

    return str(row.size) if row.size < LARGEST else f"2^{128 - int(row.subnet.partition('/')[2])}"
