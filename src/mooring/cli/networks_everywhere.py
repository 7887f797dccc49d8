"""`mooring network create|rm --everywhere`: a network on every host of the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from mooring.cli.listings import Column, Listing, Style
from mooring.cli.options import Connection, Number, dry_run_option, format_option, pass_connection

if TYPE_CHECKING:
    from mooring.client import EverywhereView

_PAUSE = 0.5
wait_option = click.option(
    "--wait", type=Number(0, 3600), default=30, show_default=True, metavar="SECONDS",
    help="How long to wait for the hosts that are heard; 0: not at all.",
)  # fmt: skip


@click.command("create")
@click.argument("name")
@click.option("--everywhere", is_flag=True, required=True, expose_value=False, help="On every host of the cluster.")
@click.option("--subnet", "subnets", multiple=True, required=True, metavar="SUBNET", help="One a family.")
@click.option("--gateway", "gateways", multiple=True, metavar="ADDRESS", help="The same on each host.")
@click.option("--ip-range", "ranges", multiple=True, metavar="SUBNET", help="Where addresses are chosen.")
@click.option("--aux-address", "auxiliary", multiple=True, metavar="NAME=ADDRESS", help="Given to no container.")
@click.option("-o", "--opt", "options", multiple=True, metavar="KEY=VALUE", help="As of `docker network create`.")
@click.option("--ipam-opt", "ipam_options", multiple=True, metavar="KEY=VALUE", help="As of `docker network create`.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="As of `docker network create`.")
@click.option("--internal", is_flag=True, help="Without a way out.")
@wait_option
@dry_run_option
@format_option
@pass_connection
def create(
    connection: Connection, /, name: str, subnets: tuple[str, ...], internal: bool, wait: int, dry_run: bool, form: str,
    **more: tuple[str, ...],
) -> None:  # fmt: skip
    """Make the network NAME on every host of the cluster, as `docker network create -o scope=cluster` on each.

    Hosts that are not heard make it when they are back, and those that join later as well. A host that cannot says why,
    and tries again. The exit code is 1 where a host refuses, or a host that is heard has not answered in time.

    \b
    Example:
      mooring network create --everywhere app --subnet 10.40.0.0/24 -o mode=vxlan
    """
    client = connection.client
    view = client.create_everywhere(
        name, list(subnets), gateways=more["gateways"], ranges=more["ranges"],
        auxiliary=pairs(more["auxiliary"], "--aux-address"), options=pairs(more["options"], "--opt", bare=True),
        ipam_options=pairs(more["ipam_options"], "--ipam-opt"), labels=pairs(more["labels"], "--label", bare=True),
        internal=internal, dry_run=dry_run,
    )  # fmt: skip
    follow(view, lambda: client.network_everywhere(name), 0 if dry_run else wait, form)


@click.command("rm")
@click.argument("name")
@click.option("--everywhere", is_flag=True, required=True, expose_value=False, help="On every host of the cluster.")
@wait_option
@dry_run_option
@format_option
@pass_connection
def remove(connection: Connection, name: str, wait: int, dry_run: bool, form: str) -> None:
    """Remove the network NAME, which was made with --everywhere, from every host of the cluster.

    A host on which containers are in it keeps it, and says which they are: stop them, and remove it again. Hosts that
    are not heard remove it when they are back.

    \b
    Example:
      mooring network rm --everywhere app
    """
    client = connection.client
    view = client.remove_everywhere(name, dry_run=dry_run)
    follow(view, lambda: client.network_everywhere(name), 0 if dry_run else wait, form)


def list_everywhere(connection: Connection, style: Style) -> None:
    """`mooring network ls --everywhere`."""
    listing: Listing[EverywhereView] = Listing(
        (
            Column("NAME", lambda row, _: row.name),
            Column("SUBNETS", lambda row, _: ", ".join(row.subnets)),
            Column("WANTED", lambda row, _: "no" if row.ending else "yes"),
            Column("HOSTS", lambda row, _: ", ".join(f"{host.name} {host.state}" for host in row.hosts)),
        ),
        lambda row, _: row.name,
        {"name": lambda row, value: value in row.name, "subnet": lambda row, value: value in row.subnets},
    )
    listing.show(connection.client.networks_everywhere(), style)


def follow(view: EverywhereView, look: Callable[[], EverywhereView], wait: int, form: str) -> None:
    """Show what hosts answer as they do, for so many seconds; ends with exit code 1 where one refuses, or is heard and
    has not answered."""
    from mooring.cli.tables import clean, printed
    from mooring.client import NotFound

    told: set[str] = set()
    until = time.monotonic() + wait
    while True:
        for row in view.hosts if form == "table" else ():
            if row.state != "waiting" and row.id not in told:
                told.add(row.id)
                click.echo(clean(f"{row.name}: {row.state}{': ' + row.why if row.why else ''}"))
        waiting = [row for row in view.hosts if row.state == "waiting" and row.heard]
        if not waiting or time.monotonic() >= until:
            break
        time.sleep(_PAUSE)
        try:
            view = look()
        except NotFound:  # every host has removed it, and the last one has cleared up
            view = ended(view)
    if not printed(view, form):
        for row in view.hosts:
            if row.state == "waiting" and view.dry_run:
                later = "" if row.heard else " when it is back, as it is not heard"
                click.echo(clean(f"{row.name}: would {'remove' if view.ending else 'make'} it{later}"))
            elif row.state == "waiting":
                later = "" if row.heard else ", and is not heard: it follows when it is back"
                click.echo(clean(f"{row.name}: has not answered{later}"))
    refused = any(row.state == "refused" for row in view.hosts)
    if not view.dry_run and (refused or (waiting and wait)):
        raise click.exceptions.Exit(1)


def ended(view: EverywhereView) -> EverywhereView:
    """As it is when all hosts have removed it."""
    from msgspec.structs import replace

    return replace(view, hosts=[replace(row, state="removed", why="") for row in view.hosts])


def pairs(texts: tuple[str, ...], what: str, bare: bool = False) -> dict[str, str]:
    """`KEY=VALUE` each. bare: a key alone is one with an empty value. Raises click.BadParameter."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not (equals or bare):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint=what)
        found[key] = value
    return found
