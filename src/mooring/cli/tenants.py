"""`mooring tenant ls|inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.listings import Column, Listing, Style, listed_options, truth
from mooring.cli.networks import host_reaches
from mooring.cli.options import Connection, format_option, pass_connection
from mooring.cli.suggestions import tenants

if TYPE_CHECKING:
    from mooring.client import TenantDetail, TenantRow


@click.group()
def tenant() -> None:
    """Show tenants: whose networks are on this host.

    A tenant is a word, given with --ipam-opt tenant=WORD. Its networks have an address space of their own, and where
    tenants are separate a routing domain: subnets and addresses of two tenants may then be the same.

    \b
    Example:
      mooring tenant ls
    """


FILTERS = ("name", "separate", "subnet")


@tenant.command("ls")
@listed_options(FILTERS)
@pass_connection
def list_tenants(connection: Connection, style: Style) -> None:
    """List the tenants that have networks on this host.

    \b
    Example:
      mooring tenant ls
      mooring tenant ls --filter subnet=10.77.0.0/24
    """
    _listing().show(connection.client.tenants(), style)


def _listing() -> Listing[TenantRow]:
    return Listing(
        (
            Column("TENANT", lambda row, _: row.name),
            Column("NETWORKS", lambda row, _: str(row.networks)),
            Column("ENDPOINTS", lambda row, _: str(row.endpoints)),
            Column("SEPARATE", lambda row, _: _separate(row)),
            Column("SUBNETS", lambda row, _: ", ".join(row.subnets) or "-"),
            Column("DOMAIN", lambda row, _: str(row.domain or "-"), wide=True),
        ),
        lambda row, _: row.name,
        {
            "name": lambda row, value: value in row.name,
            "separate": lambda row, value: (row.domain != 0) is truth(value),
            "subnet": lambda row, value: value in row.subnets,
        },
    )


def _separate(row: TenantRow) -> str:
    """Whether its networks are in a routing domain of its own."""
    if row.separate in (0, row.networks):
        return "yes" if row.separate else "no"
    return f"{row.separate} of {row.networks}"


@tenant.command("inspect")
@click.argument("tenant", metavar="TENANT", shell_complete=tenants)
@format_option
@pass_connection
def inspect_tenant(connection: Connection, tenant: str, form: str) -> None:
    """Show everything about TENANT: its networks, its published ports, and where its routing domain is.

    \b
    Example:
      mooring tenant inspect red
      nsenter --net=$(mooring tenant inspect red --format '{{.Namespace}}') ip route
    """
    from mooring.cli.tables import printed

    if not tenant.strip():
        raise click.BadParameter("must not be empty", param_hint="TENANT")
    detail = connection.client.tenant(tenant.strip())
    if not printed(detail, form):
        _print(detail)


def _print(detail: TenantDetail) -> None:
    from mooring.cli.tables import print_facts, print_table

    row = detail.tenant
    print_facts([
        ("Tenant", row.name),
        ("Separate", _separate(row)),
        ("Domain", f"{row.domain}, {detail.namespace}" if row.domain else ""),
        ("Line", f"{detail.link}, {', '.join(detail.addresses)}" if row.domain else ""),
        ("Endpoints", str(row.endpoints)),
        ("Published", ", ".join(detail.published)),
    ])  # fmt: skip
    click.echo()
    print_table(
        ("NETWORK ID", "NAME", "SUBNETS", "ENDPOINTS", "HOST REACHES"),
        [
            (
                each.id[:12],
                each.name or "-",
                ", ".join(each.subnets) or "-",
                str(each.endpoints),
                host_reaches(each.host_access) or "-",
            )
            for each in detail.networks
        ],
    )
