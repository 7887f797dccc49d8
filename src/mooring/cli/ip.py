"""`mooring ip allocate|claim|lookup|release|ls`: addresses by id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.listings import Column, Listing, Style, listed_options
from mooring.cli.options import Connection, format_option, pass_connection, space_option
from mooring.cli.suggestions import addresses, containers, networks

if TYPE_CHECKING:
    from mooring.client import AddressOwner

network_option = click.option(
    "--network", default="", metavar="NETWORK", shell_complete=networks, help="Of this network, if there are several."
)
alive_option = click.option(
    "--check-alive", is_flag=True, help="ID is a running container's; when that is removed, its addresses are free."
)


@click.group()
def ip() -> None:
    """Addresses by ID: of containers, and of anything else that has an ID, such as a namespace of a lab.

    \b
    Example:
      mooring ip allocate lab-1 --network web
    """


@ip.command()
@click.argument("ident", metavar="ID", shell_complete=containers)
@click.argument("subnet", default="", metavar="[SUBNET]")
@network_option
@alive_option
@click.option("--wait", default="", metavar="DURATION", help="How long to wait for an address if there is none.")
@space_option
@format_option
@pass_connection
def allocate(
    connection: Connection, ident: str, subnet: str, network: str, check_alive: bool, wait: str, space: str, form: str
) -> None:
    """Allocate an address for ID and print it: the one that it has already, or a free one. No one else gets it.

    SUBNET is a network's, or a part of one. Asking again prints the same address.

    \b
    Example:
      mooring ip allocate lab-1
      mooring ip allocate db 10.32.0.0/24 --check-alive
      mooring ip allocate lab-2 --network web --wait 30s
    """
    from mooring.core.times import seconds_of

    client, seconds = connection.client, seconds_of(wait) if wait else 0.0
    client.timeout += seconds
    if not subnet:
        got = client.allocate_ip(ident, network=network, space=space, check_alive=check_alive, wait=seconds)
    else:
        address, length = _parts(subnet, "10.32.0.0/24")
        got = client.allocate_ip_in(
            ident, address, length, network=network, space=space, check_alive=check_alive, wait=seconds
        )
    _show(ident, [got], form)


@ip.command()
@click.argument("ident", metavar="ID", shell_complete=containers)
@click.argument("address", metavar="ADDRESS/LENGTH")
@alive_option
@click.option("--no-error-on-unknown", is_flag=True, help="An address that is in no network of Mooring's is no error.")
@space_option
@format_option
@pass_connection
def claim(
    connection: Connection,
    ident: str,
    address: str,
    check_alive: bool,
    no_error_on_unknown: bool,
    space: str,
    form: str,
) -> None:
    """Claim ADDRESS for ID. It is refused while somebody else has it.

    \b
    Example:
      mooring ip claim lab-1 10.32.0.9/24
    """
    place, length = _parts(address, "10.32.0.9/24")
    connection.client.claim_ip(
        ident, place, length, space=space, check_alive=check_alive, no_error_on_unknown=no_error_on_unknown
    )
    _show(ident, [address], form)


@ip.command()
@click.argument("ident", metavar="ID", shell_complete=containers)
@click.argument("subnet", default="", metavar="[SUBNET]")
@network_option
@space_option
@format_option
@pass_connection
def lookup(connection: Connection, ident: str, subnet: str, network: str, space: str, form: str) -> None:
    """Print the addresses of ID; of a container also those that it got from Docker.

    \b
    Example:
      mooring ip lookup lab-1
      mooring ip lookup db 10.32.0.0/24
    """
    client = connection.client
    if subnet:
        address, length = _parts(subnet, "10.32.0.0/24")
        found = client.look_up_ip_in(ident, address, length, network=network, space=space)
    else:
        found = client.look_up_ip(ident, network=network, space=space)
    _show(ident, found.split(), form)


@ip.command("release")
@click.argument("ident", metavar="ID", shell_complete=containers)
@click.argument("address", default="", metavar="[ADDRESS]", shell_complete=addresses)
@space_option
@format_option
@pass_connection
def release_ip(connection: Connection, ident: str, address: str, space: str, form: str) -> None:
    """Release all addresses of ID, or ADDRESS. A container that uses one keeps it until it stops.

    \b
    Example:
      mooring ip release lab-1
      mooring ip release lab-1 10.32.0.9
    """
    client = connection.client
    if address:
        client.release_ip(ident, address, space=space)
    else:
        client.release_ips(ident, space=space)
    _show(ident, [], form)


@ip.command("ls")
@listed_options(("address", "id", "name"))
@pass_connection
def list_ips(connection: Connection, style: Style) -> None:
    """List the IDs that have addresses.

    \b
    Example:
      mooring ip ls
    """
    _listing().show(connection.client.ips().owned, style)


def _listing() -> Listing[AddressOwner]:
    return Listing(
        (
            Column("ID", lambda row, style: style.short(row.containerid) if row.name else row.containerid),
            Column("NAME", lambda row, _: row.name or "-"),
            Column("ADDRESSES", lambda row, _: " ".join(row.addrs)),
        ),
        lambda row, _: row.containerid,
        {
            "address": lambda row, value: any(value in (each, each.partition("/")[0]) for each in row.addrs),
            "id": lambda row, value: bool(value) and row.containerid.startswith(value),
            "name": lambda row, value: row.name == value,
        },
    )


def _parts(text: str, example: str) -> tuple[str, str]:
    """Address and prefix length. example: what it should look like. Raises click.BadParameter."""
    address, slash, length = text.partition("/")
    if not (address and slash and length):
        raise click.BadParameter(f"{text[:60]!r} has no prefix length; write it as {example}")
    return address, length


def _show(ident: str, found: list[str], form: str) -> None:
    from mooring.cli.tables import printed
    from mooring.client import AddressOwner

    if not printed(AddressOwner(ident, found), form) and found:
        click.echo(" ".join(found))
