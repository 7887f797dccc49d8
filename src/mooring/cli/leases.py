"""`mooring lease ls|inspect`; what changes leases is in `reservations`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from mooring.cli.listings import Column, Listing, Style, listed_options, one_of, truth
from mooring.cli.options import Connection, format_option, pass_connection
from mooring.cli.suggestions import addresses, anything, networks, pools, spaces

if TYPE_CHECKING:
    from mooring.client import LeaseRow

STATES = ("gateway", "auxiliary", "dynamic", "fixed", "reserved", "cooling")


@click.group()
def lease() -> None:
    """Leases: the addresses that are not free.

    \b
    Example:
      mooring lease ls
    """


FILTERS = ("address", "container", "fixed", "key", "mac", "network", "pool", "space", "state", "used")


@lease.command("ls")
@click.option("--pool", default="", metavar="POOL", shell_complete=pools, help="Only of the pool: ID, subnet, network.")
@click.option(
    "--network", default="", metavar="NETWORK", shell_complete=networks, help="Only of the network: name, ID, subnet."
)
@click.option("--space", default="", metavar="NAME", shell_complete=spaces, help="Only of the address space.")
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"Only {', '.join(STATES)}.")
@click.option("--fixed", is_flag=True, help="Only fixed ones, with what they belong to.")
@click.argument("text", default="", shell_complete=anything)
@listed_options(FILTERS)
@pass_connection
def list_leases(
    connection: Connection, pool: str, network: str, space: str, state: str | None, fixed: bool, text: str, style: Style
) -> None:
    """List leases. All filters must match; TEXT is searched for in address, MAC, name, owner, key and note.

    For a removed network the addresses still kept for it are listed. Any other unknown network, pool or address space
    is an error.

    \b
    Example:
      mooring lease ls --fixed
      mooring lease ls --state cooling
      mooring lease ls --network web -o wide
      mooring lease ls --filter container=db --format '{{.Address}}'
    """
    from dataclasses import replace

    from mooring.client import State

    given = {"pool": pool, "network": network, "space": space}
    left = list(style.filters)
    for each in style.filters:  # the daemon knows names, and says which of them there are not
        key, _, value = each.partition("=")
        if key in given and not given[key] and sum(other.startswith(f"{key}=") for other in left) == 1:
            given[key] = value
            left.remove(each)
    rows = connection.client.leases(state=State(state) if state else None, text=text, fixed=fixed, **given)
    listing = _fixed_listing() if fixed else _listing(any(row.space != "default" for row in rows))
    listing.show(rows, replace(style, filters=tuple(left)))
    if style.form == "table" and not style.quiet:
        _warn(rows)


def _warn(rows: Sequence[LeaseRow]) -> None:
    """What the next start of a container does to its address, each once."""
    for warning in dict.fromkeys(row.warning for row in rows if row.warning):
        click.echo(f"mooring: warning: {' '.join(warning.split())}", err=True)


def _network(row: LeaseRow, style: Style) -> str:
    return row.network_name or style.short(row.network) or "-"


def _listing(spaces: bool) -> Listing[LeaseRow]:
    """spaces: whether there are several address spaces."""
    from mooring.cli.tables import since
    from mooring.core.times import moment

    return Listing(
        (
            Column("ADDRESS", lambda row, _: row.address),
            Column("STATE", lambda row, _: row.state),
            Column("HOLDER", lambda row, _: row.holder),
            Column("NETWORK", _network),
            Column("SINCE", lambda row, _: since(row.since)),
            Column("SPACE", lambda row, _: row.space, wide=not spaces),
            Column("MAC", lambda row, _: row.mac or "-", wide=True),
            Column("KEY", lambda row, style: _key(row, style) or "-", wide=True),
            Column("UNTIL", lambda row, _: moment(row.until) if row.until is not None else "-", wide=True),
            Column("ENDPOINT", lambda row, style: style.short(row.endpoint) or "-", wide=True),
        ),
        lambda row, _: row.address,
        _filters(),
    )


def _fixed_listing() -> Listing[LeaseRow]:
    from mooring.cli.tables import since
    from mooring.core.times import moment

    return Listing(
        (
            Column("ADDRESS", lambda row, _: row.address),
            Column("KEY", lambda row, style: _key(row, style) or "-"),
            Column("HOLDERS", lambda row, _: ", ".join(row.holders) or "-"),
            Column("IN USE", lambda row, _: "yes" if row.active else "no"),
            Column("EXPIRES IN", lambda row, _: _kept(row)),
            Column("NETWORK", _network),
            Column("SINCE", lambda row, _: since(row.since), wide=True),
            Column("EXPIRES", lambda row, _: "-" if (end := _end(row)) is None else moment(end), wide=True),
            Column("MAC", lambda row, _: row.mac or "-", wide=True),
            Column("SPACE", lambda row, _: row.space, wide=True),
        ),
        lambda row, _: row.address,
        _filters(),
    )


def _end(row: LeaseRow) -> float | None:
    """Until when its key keeps it without a container; None when it does not wait."""
    return row.until if not row.holders else None


def _kept(row: LeaseRow) -> str:
    import time

    from mooring.core.times import span

    end = _end(row)
    return "-" if end is None else span(end - time.time())


def _filters() -> Mapping[str, Callable[[LeaseRow, str], bool]]:
    return {
        "address": _at,
        "container": lambda row, value: value in (row.name, *row.holders) or _begins(row.container, value),
        "fixed": lambda row, value: (row.state == "fixed") is truth(value),
        "key": lambda row, value: value in (row.key, row.key.partition(":")[2]),
        "mac": lambda row, value: row.mac.lower() == value.lower(),
        "network": lambda row, value: row.network_name == value or _begins(row.network, value),
        "pool": lambda row, value: row.subnet == value or _begins(row.pool, value),
        "space": lambda row, value: row.space == value,
        "state": lambda row, value: row.state == one_of(STATES, value),
        "used": lambda row, value: bool(row.active) is truth(value),
    }


def _begins(ident: str, value: str) -> bool:
    return bool(value) and ident.startswith(value)


def _at(row: LeaseRow, value: str) -> bool:
    """Whether the address is that one, or in that subnet. Raises click.UsageError."""
    from ipaddress import ip_address, ip_network

    try:
        if "/" in value:
            address, subnet = ip_address(row.address), ip_network(value, strict=False)
            return address.version == subnet.version and address in subnet
        return ip_address(row.address) == ip_address(value)
    except ValueError as error:
        raise click.UsageError(f"--filter: {error}") from None


@lease.command("inspect")
@click.argument("address", shell_complete=addresses)
@format_option
@pass_connection
def inspect_lease(connection: Connection, address: str, form: str) -> None:
    """Show the lease of ADDRESS, in every address space that has one.

    \b
    Example:
      mooring lease inspect 10.32.0.2
    """
    from mooring.cli.tables import print_facts, printed
    from mooring.core.addresses import parse_address
    from mooring.core.times import moment

    rows = connection.client.lease(str(parse_address(address)))
    if printed(rows, form):
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
            ("Container", row.container),
            ("Network", f"{row.network_name} ({row.network or 'removed'})" if row.network_name else row.network),
            ("Subnet", row.subnet or ""),
            ("Pool", row.pool),
            ("Space", row.space),
            ("Since", moment(row.since)),
            ("Until", moment(row.until) if row.until is not None else ""),
            ("Warning", row.warning),
        ])  # fmt: skip


def _key(row: LeaseRow, style: Style) -> str:
    """The key for a table: of a container's id its beginning, as Docker shows it."""
    kind, colon, rest = row.key.partition(":")
    return f"{kind}{colon}{style.short(rest)}" if kind == "container" else row.key
