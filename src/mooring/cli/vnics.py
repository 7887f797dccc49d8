"""`mooring vnic create|ls|inspect|rm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mooring.cli.listings import Column, Listing, Style, listed_options, truth
from mooring.cli.options import Connection, Number, dry_run_option, format_option, pass_connection
from mooring.cli.suggestions import tenants, vnics

if TYPE_CHECKING:
    from mooring.client import VnicNetwork, VnicReply, VnicRow


@click.group()
def vnic() -> None:
    """Make interfaces before containers, for networks of mode handoff, as a launcher does.

    \b
    Example:
      mooring vnic create --tenant red --subnet 10.9.0.0/24 --address 10.9.0.5
      docker network create ...   as the answer says
      docker run --network mb-0123456789ab --ip 10.9.0.5 --mac-address 02:...   as the answer says
    """


FILTERS = ("address", "adopted", "bridge", "instance", "subnet", "tenant")


_whose = click.option(
    "--tenant", default="", metavar="NAME", shell_complete=tenants, help="Whose, if several have the address."
)


@vnic.command("create")
@click.option("--subnet", required=True, metavar="SUBNET", help="The subnet of the Docker network.")
@click.option("--address", required=True, metavar="ADDRESS", help="The container's address.")
@click.option(
    "--tenant", default="", metavar="NAME", shell_complete=tenants,
    help="Whose it is: subnets of two tenants may be equal.",
)  # fmt: skip
@click.option(
    "--mac", default="", metavar="MAC", help="The container's MAC; one that follows from the rest if not given."
)
@click.option("--mtu", type=Number(68, 65535), metavar="BYTES", help="The interface's MTU; 1500 if not given.")
@click.option(
    "--gateway",
    default="",
    metavar="ADDRESS",
    help="The container's next hop, or `none`; the subnet's first if not given.",
)
@click.option(
    "--route", "routes", multiple=True, metavar="ROUTE", help="A static route, `SUBNET via ADDRESS`; can be repeated."
)
@click.option("--instance", default="", metavar="NAME", help="Whose it is, in the launcher's words.")
@click.option("--adopt", default="", metavar="LINK", help="Use this interface of the host, and leave it in the end.")
@click.option(
    "--wait", default="10s", show_default=True, metavar="TIME",
    help="How long, at most 20s, for the Docker network of another tenant with an equal subnet.",
)  # fmt: skip
@format_option
@pass_connection
def create_vnic(connection: Connection, /, subnet: str, address: str, wait: str, form: str, **more: Any) -> None:
    """Make an interface for the container that will get ADDRESS. The same again changes nothing.

    \b
    Example:
      mooring vnic create --tenant red --subnet 10.9.0.0/24 --address 10.9.0.5 --mtu 1400
      mooring vnic create --subnet 10.9.0.0/24 --address 10.9.0.6 --adopt ens5f0v3
    """
    from mooring.core.times import seconds_of

    seconds = float(wait) if wait.isdecimal() else seconds_of(wait)
    reply = connection.client.create_vnic(subnet, address, wait=seconds, **more)
    _tell(reply, "" if reply.changed else " is there already", form)


@vnic.command("ls")
@listed_options(FILTERS)
@pass_connection
def list_vnics(connection: Connection, style: Style) -> None:
    """List the VNICs, and which container has which.

    \b
    Example:
      mooring vnic ls
      mooring vnic ls --filter tenant=red -q
    """
    _listing().show(connection.client.vnics(), style)


def _listing() -> Listing[VnicRow]:
    from mooring.cli.tables import since

    return Listing(
        (
            Column("VNIC ID", lambda row, _: row.id),
            Column("TENANT", lambda row, _: row.tenant or "-"),
            Column("SUBNET", lambda row, _: row.subnet),
            Column("ADDRESS", lambda row, _: row.address),
            Column("MAC", lambda row, _: row.mac),
            Column("MTU", lambda row, _: str(row.mtu)),
            Column("NETWORK", lambda row, _: row.network_name or row.network[:12] or "-"),
            Column("CONTAINER", lambda row, _: row.container or "-"),
            Column("INSTANCE", lambda row, _: row.instance or "-"),
            Column("INTERFACE", lambda row, _: row.link + (" (adopted)" if row.adopted else ""), wide=True),
            Column("BRIDGE", lambda row, _: row.bridge or "-", wide=True),
            Column("GATEWAY", lambda row, _: row.gateway or "none", wide=True),
            Column("ROUTES", lambda row, _: ", ".join(row.routes) or "-", wide=True),
            Column("CREATED", lambda row, _: since(row.created), wide=True),
        ),
        lambda row, _: row.id,
        {
            "address": lambda row, value: row.address == value,
            "adopted": lambda row, value: row.adopted is truth(value),
            "bridge": lambda row, value: row.bridge == value,
            "instance": lambda row, value: row.instance == value,
            "subnet": lambda row, value: row.subnet == value,
            "tenant": lambda row, value: row.tenant == value,
        },
    )


@vnic.command("inspect")
@click.argument("vnic", metavar="VNIC", shell_complete=vnics)
@_whose
@format_option
@pass_connection
def inspect_vnic(connection: Connection, vnic: str, tenant: str, form: str) -> None:
    """Show everything about VNIC, which is an ID, an address or the name of its interface.

    \b
    Example:
      mooring vnic inspect 10.9.0.5
      docker run $(mooring vnic inspect 10.9.0.5 --format '{{.Run}}') busybox ip addr
    """
    from mooring.cli.tables import print_facts, printed, since

    if not vnic.strip():
        raise click.BadParameter("must not be empty", param_hint="VNIC")
    detail = connection.client.vnic(vnic.strip(), tenant=tenant)
    if printed(detail, form):
        return
    row = detail.vnic
    print_facts([
        ("VNIC", row.id),
        ("Tenant", row.tenant),
        ("Subnet", row.subnet),
        ("Address", row.address),
        ("MAC", row.mac),
        ("MTU", str(row.mtu)),
        ("Gateway", row.gateway or "none"),
        ("Routes", ", ".join(row.routes)),
        ("Instance", row.instance),
        ("Interface", f"{row.link}, adopted" if row.adopted else f"{row.link}, {row.host_end} in bridge {row.bridge}"),
        ("Container", row.container),
        ("Network", _network(detail.network)),
        ("Created", since(row.created)),
        ("Run with", detail.run),
    ])  # fmt: skip


@vnic.command("rm")
@click.argument("vnic", metavar="VNIC", shell_complete=vnics)
@_whose
@click.option("--force", is_flag=True, help="Also while a container has it, which then loses its interface.")
@dry_run_option
@format_option
@pass_connection
def remove_vnic(connection: Connection, vnic: str, tenant: str, force: bool, dry_run: bool, form: str) -> None:
    """Remove VNIC (an ID, an address, or the name of its interface). One that is not there is no error.

    An adopted interface stays on the host.

    \b
    Example:
      mooring vnic rm 10.9.0.5 --tenant red
    """
    reply = connection.client.remove_vnic(vnic.strip(), tenant=tenant, force=force, dry_run=dry_run)
    _tell(reply, " would be removed" if dry_run else " is removed", form)


def _tell(reply: VnicReply, what: str, form: str) -> None:
    from mooring.cli.tables import clean, printed

    if printed(reply, form):
        return
    row = reply.vnic
    if row is None:
        click.echo("there is no such VNIC")
        return
    whose = f" of tenant {row.tenant}" if row.tenant else ""
    click.echo(f"VNIC {row.id} ({row.address}{whose}, MAC {row.mac}, MTU {row.mtu}){what}")
    click.echo(f"network: {clean(_network(reply.network))}")
    if reply.run:
        click.echo(f"docker run {clean(reply.run)} ...")


def _network(network: VnicNetwork) -> str:
    if network.state == "there":
        return network.name
    words = {"create": "to be created", "remove": "has no VNIC any more", "none": "none"}[network.state]
    return f"{words}: {network.command}" if network.command else words
