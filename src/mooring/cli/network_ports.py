"""`mooring port create|ls|inspect|set|rm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mooring.cli.listings import Column, Listing, Style, listed_options, one_of
from mooring.cli.options import Connection, dry_run_option, format_option, pass_connection
from mooring.cli.suggestions import networks, ports, tenants

if TYPE_CHECKING:
    from mooring.client import PortDetail, PortReply, PortRow


@click.group()
def port() -> None:
    """Make ports: addresses and a MAC that are there before any container, and stay when it goes.

    A container uses one with --network name=NETWORK,driver-opt=mooring.port=NAME, with the label mooring.port=NAME
    through the proxy, or with the --mac-address, and --ip, that `mooring port inspect` shows. One at a time.

    \b
    Example:
      mooring port create --network web --name db
      docker run -d --label mooring.port=db --network web postgres
    """


FILTERS = ("address", "container", "mac", "name", "network", "note", "state", "tenant")


@port.command("create")
@click.option("--network", required=True, metavar="NETWORK", shell_complete=networks, help="The network that it is in.")
@click.option(
    "--subnet", "subnets", multiple=True, metavar="SUBNET",
    help="A subnet of the network that it has an address in; one of each family at most.",
)  # fmt: skip
@click.option(
    "--address", "addresses", multiple=True, metavar="ADDRESS",
    help="The address that it has; one of each family at most. Without --subnet and --address: one of each family.",
)  # fmt: skip
@click.option("--mac", default="", metavar="MAC", help="Its MAC, if not one of its own.")
@click.option("--name", default="", metavar="NAME", help="What it is called, once in a network; its ID otherwise.")
@click.option(
    "--tenant", default="", metavar="NAME", shell_complete=tenants, help="Whose the network has to be, to be sure."
)
@click.option("--note", default="", metavar="TEXT", help="What it is for.")
@dry_run_option
@format_option
@pass_connection
def create_port(connection: Connection, /, network: str, form: str, **more: Any) -> None:
    """Make a port. Nobody else is given its addresses, until `mooring port rm`.

    \b
    Example:
      mooring port create --network web --name db --address 10.32.0.9 --mac 02:00:00:00:00:09
      mooring port create --network web --subnet 10.32.0.0/24 --subnet fd00:32::/64
    """
    _tell(connection.client.create_port(network, **more), "made", form)


@port.command("ls")
@listed_options(FILTERS)
@pass_connection
def list_ports(connection: Connection, style: Style) -> None:
    """List the ports, and who has them.

    \b
    Example:
      mooring port ls
      mooring port ls --filter state=DOWN -o wide
    """
    from mooring.cli.tables import clean

    rows, listing = connection.client.ports(), _listing(connection)
    listing.show(rows, style)
    if style.form == "table" and not style.quiet:
        for row in listing.left(rows, style.filters):
            if row.warning:
                click.echo(f"{row.name}: {clean(row.warning)}")


def _listing(connection: Connection) -> Listing[PortRow]:
    from mooring.cli.tables import since

    return Listing(
        (
            Column("PORT ID", lambda row, style: row.id if style.whole else row.id[:12]),
            Column("NAME", lambda row, _: row.name),
            Column("STATE", lambda row, _: row.state),
            Column("NETWORK", lambda row, _: row.network_name or row.network[:12]),
            Column("ADDRESSES", lambda row, _: ", ".join(row.addresses)),
            Column("MAC", lambda row, _: row.mac),
            Column("CONTAINER", lambda row, _: row.container or row.endpoint[:12] or "-"),
            Column("TENANT", lambda row, _: row.tenant or "-", wide=True),
            Column("NOTE", lambda row, _: row.note or "-", wide=True),
            Column("CREATED", lambda row, _: since(row.created), wide=True),
        ),
        lambda row, style: row.id if style.whole else row.id[:12],
        {
            "address": lambda row, value: value in row.addresses,
            "container": lambda row, value: row.container == value,
            "mac": lambda row, value: row.mac == value.lower(),
            "name": lambda row, value: value in row.name,
            "network": lambda row, value: row.network_name == value or row.network.startswith(value),
            "note": lambda row, value: value in row.note,
            "state": lambda row, value: row.state == one_of(("ACTIVE", "BUILD", "DOWN"), value),
            "tenant": lambda row, value: (row.tenant or "default") == value,
        },
        {"network": connection.client.network},
    )


@port.command("inspect")
@click.argument("port", metavar="PORT", shell_complete=ports)
@format_option
@pass_connection
def inspect_port(connection: Connection, port: str, form: str) -> None:
    """Show PORT (an ID or a name): who has it, whose configuration names it, and how to ask for it.

    \b
    Example:
      mooring port inspect db
      docker run -d --network web $(mooring port inspect db --format '{{.Options}}') postgres
    """
    from mooring.cli.tables import printed

    if not port.strip():
        raise click.BadParameter("must not be empty", param_hint="PORT")
    detail = connection.client.port(port.strip())
    if not printed(detail, form):
        _print(detail)


def _print(detail: PortDetail) -> None:
    from mooring.cli.tables import print_facts, since

    row, endpoint = detail.port, detail.endpoint
    print_facts([
        ("Port", row.id),
        ("Name", row.name),
        ("State", row.state),
        ("Network", f"{row.network_name} ({row.network[:12]})" if row.network_name else row.network[:12]),
        ("Tenant", row.tenant),
        ("Addresses", ", ".join(row.addresses)),
        ("MAC", row.mac),
        ("Container", row.container),
        ("Endpoint", f"{endpoint.id[:12]} ({endpoint.state}), MAC {endpoint.mac}" if endpoint is not None else ""),
        ("Named by", ", ".join(detail.holders)),
        ("Ask with", detail.options),
        ("Created", since(row.created)),
        ("Note", row.note),
        ("Warning", row.warning),
    ])  # fmt: skip


@port.command("set")
@click.argument("port", metavar="PORT", shell_complete=ports)
@click.option("--note", required=True, metavar="TEXT", help='What it is for; "" for nothing.')
@dry_run_option
@format_option
@pass_connection
def set_port(connection: Connection, port: str, note: str, dry_run: bool, form: str) -> None:
    """Change the note of PORT. Addresses, MAC and name are what a port is: make another one for those.

    \b
    Example:
      mooring port set db --note "the licence is bound to it"
    """
    _tell(connection.client.set_port(port, note=note, dry_run=dry_run), "noted", form)


@port.command("rm")
@click.argument("port", metavar="PORT", shell_complete=ports)
@click.option("--force", is_flag=True, help="Although containers that do not run have it in their configuration.")
@dry_run_option
@format_option
@pass_connection
def remove_port(connection: Connection, port: str, force: bool, dry_run: bool, form: str) -> None:
    """Remove PORT. Refused while a container has it; its addresses cool.

    \b
    Example:
      mooring port rm db
    """
    _tell(connection.client.remove_port(port, force=force, dry_run=dry_run), "removed", form)


def _tell(reply: PortReply, what: str, form: str) -> None:
    from mooring.cli.tables import clean, printed

    if printed(reply, form):
        return
    row = reply.port
    done = f"{'would be' if reply.dry_run else 'is'} {what}"
    click.echo(clean(f"port {row.name} ({', '.join(row.addresses)}, MAC {row.mac}) {done}"))
