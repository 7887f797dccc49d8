"""`mooring lease ls|inspect`; what changes leases is in `reservations`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mooring.cli.options import Connection, format_option, pass_connection

if TYPE_CHECKING:
    from mooring.wire.api import LeaseRow

STATES = ("gateway", "auxiliary", "dynamic", "fixed", "reserved", "cooling", "foreign")


@click.group()
def lease() -> None:
    """Leases: the addresses that are not free.

    \b
    Example:
      mooring lease ls
    """


@lease.command("ls")
@click.option("--pool", default="", metavar="ID", help="Only of the pool whose id begins so.")
@click.option("--network", default="", metavar="ID", help="Only of the network whose id begins so.")
@click.option("--space", default="", metavar="NAME", help="Only of the address space.")
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"Only {', '.join(STATES)}.")
@click.option("--fixed", is_flag=True, help="Only fixed ones, with what they belong to.")
@click.argument("text", default="")
@format_option
@pass_connection
def list_leases(
    connection: Connection,
    pool: str,
    network: str,
    space: str,
    state: str | None,
    fixed: bool,
    text: str,
    form: str,
) -> None:
    """List the leases that match everything given; TEXT: in the address, MAC, name, owner, key or note.

    \b
    Example:
      mooring lease ls --fixed
      mooring lease ls --state cooling
      mooring lease ls 10.32.0.
      mooring lease ls --network 1f6b2c --format json
    """
    from mooring.cli.tables import print_json
    from mooring.core.leases import State
    from mooring.wire.api import LeaseRow, ListLeases

    wanted = ListLeases(pool, network, space, State(state) if state else None, text, fixed)
    rows = connection.ask(wanted, list[LeaseRow])
    if form == "json":
        print_json(rows)
    elif fixed:
        _print_fixed(rows)
    else:
        _print_any(rows)


def _print_fixed(rows: Sequence[LeaseRow]) -> None:
    from mooring.cli.tables import print_table, since
    from mooring.core.moments import moment

    print_table(
        ("ADDRESS", "KEY", "HOLDERS", "IN USE", "KEPT UNTIL", "NETWORK", "SINCE"),
        [
            (
                row.address,
                _short(row.key) or "-",
                ", ".join(row.holders) or "-",
                "yes" if row.active else "no",
                moment(row.until) if row.until is not None and not row.holders else "-",
                row.network[:12] or "-",
                since(row.since),
            )
            for row in rows
        ],
    )


def _print_any(rows: Sequence[LeaseRow]) -> None:
    from mooring.cli.tables import print_table, since

    print_table(
        ("ADDRESS", "STATE", "HOLDER", "MAC", "NETWORK", "SPACE", "SINCE"),
        [
            (
                row.address,
                row.state,
                row.holder,
                row.mac or "-",
                row.network[:12] or "-",
                row.space,
                since(row.since),
            )
            for row in rows
        ],
    )


@lease.command("inspect")
@click.argument("address")
@format_option
@pass_connection
def inspect_lease(connection: Connection, address: str, form: str) -> None:
    """Show the lease of ADDRESS, in every address space that has one.

    \b
    Example:
      mooring lease inspect 10.32.0.2
    """
    from mooring.cli.tables import print_facts, print_json
    from mooring.core.moments import moment
    from mooring.wire.api import GetLease, LeaseRow, parse_address

    rows = connection.ask(GetLease(parse_address(address)), list[LeaseRow])
    if form == "json":
        print_json(rows)
        return
    for number, row in enumerate(rows):
        if number:
            click.echo()
        print_facts([
            ("Address", row.address),
            ("State", row.state),
            ("Holder", row.holder),
            ("Key", row.key),
            ("In use", ("yes" if row.active else "no") if row.state == "fixed" else ""),
            ("For", row.whom),
            ("Note", row.note),
            ("MAC", row.mac),
            ("Endpoint", row.endpoint),
            ("Network", row.network),
            ("Subnet", row.subnet or ""),
            ("Pool", row.pool),
            ("Space", row.space),
            ("Since", moment(row.since)),
            ("Until", moment(row.until) if row.until is not None else ""),
        ])  # fmt: skip


def _short(key: str) -> str:
    """The key for a table: of a container's id its beginning, as Docker shows it."""
    kind, colon, rest = key.partition(":")
    return f"{kind}{colon}{rest[:12]}" if kind == "container" else key
