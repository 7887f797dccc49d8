"""`mooring pool ls|inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.options import Connection, format_option, pass_connection

if TYPE_CHECKING:
    from mooring.wire.api import PoolDetail, PoolRow


@click.group()
def pool() -> None:
    """Look at pools: the subnets from which addresses are given.

    \b
    Example:
      mooring pool ls
    """


@pool.command("ls")
@format_option
@pass_connection
def list_pools(connection: Connection, form: str) -> None:
    """List the pools of this host.

    \b
    Example:
      mooring pool ls
    """
    from mooring.cli.tables import print_json, print_table, since
    from mooring.wire.api import ListPools, PoolRow

    rows = connection.ask(ListPools(), list[PoolRow])
    if form == "json":
        print_json(rows)
        return
    print_table(
        ("POOL ID", "SUBNET", "HELD", "COOLING", "SIZE", "NETWORK", "SPACE", "CREATED"),
        [
            (
                row.id,
                row.subnet,
                str(row.used),
                str(row.cooling),
                _size(row),
                row.network[:12] or "-",
                row.space,
                since(row.created),
            )
            for row in rows
        ],
    )


@pool.command("inspect")
@click.argument("which", metavar="ID|SUBNET")
@format_option
@pass_connection
def inspect_pool(connection: Connection, which: str, form: str) -> None:
    """Show the pool whose id begins so, or those of the subnet, in every address space that has one.

    \b
    Example:
      mooring pool inspect 10.32.0.0/24
      mooring pool inspect 3f9a
    """
    from mooring.cli.tables import print_json
    from mooring.wire.api import GetPool, PoolDetail

    details = connection.ask(GetPool(which), list[PoolDetail])
    if form == "json":
        print_json(details)
        return
    for number, detail in enumerate(details):
        if number:
            click.echo()
        _print(detail)


def _print(detail: PoolDetail) -> None:
    from mooring.cli.tables import print_facts, since

    row = detail.pool
    states = ", ".join(f"{count} {state}" for state, count in detail.leases.items())
    print_facts([
        ("Pool", row.id),
        ("Subnet", row.subnet + (f" from subnet pool {row.source}" if row.source else "")),
        ("Range", row.range or ""),
        ("Gateway", row.gateway or "none"),
        ("Space", row.space),
        ("Network", row.network or "none"),
        ("Usage", f"{row.used} held, {row.cooling} cooling, of {_size(row)}"),
        ("Leases", states),
        ("Claim", f"{detail.claim}: an idle fixed address goes to " + _CLAIMS.get(detail.claim, "")),
        ("Created", since(row.created)),
        ("Options", ", ".join(f"{key}={value}" for key, value in detail.options.items())),
    ])  # fmt: skip


_CLAIMS = {"explicit": "whoever names it", "holders": "its holders only"}


def _size(row: PoolRow) -> str:
    from mooring.wire.api import LARGEST

    return str(row.size) if row.size < LARGEST else f"2^{128 - int(row.subnet.partition('/')[2])}"
