"""`mooring network ls|inspect`; `create` and `rm` are in networks_everywhere.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.listings import Column, Listing, Style, listed_options, one_of, truth
from mooring.cli.networks_everywhere import create, list_everywhere, remove
from mooring.cli.options import Connection, format_option, pass_connection
from mooring.cli.suggestions import networks

if TYPE_CHECKING:
    from mooring.client import NetworkDetail, NetworkPart, NetworkRow, SegmentView


@click.group()
def network() -> None:
    """Show networks, and make and remove those that every host of a cluster is to have.

    A network of one host is made with `docker network create`.

    \b
    Example:
      mooring network ls
      mooring network create --everywhere app --subnet 10.40.0.0/24 -o mode=vxlan
    """


network.add_command(create)
network.add_command(remove)


# Modes of networks that have a bridge here.
BRIDGED = ("bridge", "vxlan")
FILTERS = ("bridge", "id", "internal", "mode", "name", "subnet", "tenant")


@network.command("ls")
@click.option("--everywhere", is_flag=True, help="Those that every host of the cluster is to have.")
@listed_options(FILTERS)
@pass_connection
def list_networks(connection: Connection, style: Style, everywhere: bool) -> None:
    """List the networks of this host, or with --everywhere those that every host is to have, and which hosts do.

    \b
    Example:
      mooring network ls
      mooring network ls --filter internal=true -q
    """
    if everywhere:
        list_everywhere(connection, style)
        return
    rows = connection.client.networks()
    _listing(any(row.tenant for row in rows)).show(rows, style)


def _listing(tenants: bool) -> Listing[NetworkRow]:
    """tenants: whether there are any."""
    from mooring.cli.tables import since

    return Listing(
        (
            Column("NETWORK ID", lambda row, style: style.short(row.id)),
            Column("NAME", lambda row, _: row.name or "-"),
            Column("SUBNETS", lambda row, _: ", ".join(row.subnets) or "-"),
            Column("ENDPOINTS", lambda row, _: str(row.endpoints)),
            Column("BRIDGE", lambda row, _: row.bridge if row.mode in BRIDGED else f"({row.mode})", wide=True),
            Column("INTERNAL", lambda row, _: "yes" if row.internal else "no", wide=True),
            Column("CREATED", lambda row, _: since(row.created), wide=True),
            Column("TENANT", lambda row, _: row.tenant or "-", wide=not tenants),
            Column("SCOPE", lambda row, _: row.scope, wide=True),
        ),
        lambda row, style: style.short(row.id),
        {
            "bridge": lambda row, value: row.bridge == value,
            "id": lambda row, value: row.id.startswith(value),
            "internal": lambda row, value: row.internal is truth(value),
            "mode": lambda row, value: row.mode == one_of((*BRIDGED, "handoff", "null"), value),
            "name": lambda row, value: value in row.name,  # as Docker's filter, any part of it
            "subnet": lambda row, value: value in row.subnets,
            "tenant": lambda row, value: row.tenant == value,
        },
    )


@network.command("inspect")
@click.argument("network", metavar="NETWORK", shell_complete=networks)
@format_option
@pass_connection
def inspect_network(connection: Connection, network: str, form: str) -> None:
    """Show everything about NETWORK: its name in Docker or compose, its ID or an ID prefix, its bridge,
    or its subnet.

    \b
    Example:
      mooring network inspect web
      mooring network inspect 1f6b2c --format '{{range .Endpoints}}{{.Name}} {{.IPv4}}{{println}}{{end}}'
    """
    from mooring.cli.tables import printed

    if not network.strip():
        raise click.BadParameter("must not be empty", param_hint="NETWORK")
    detail = connection.client.network(network.strip())
    if not printed(detail, form):
        _print(detail)


def _print(detail: NetworkDetail) -> None:
    from mooring.cli.tables import print_facts, print_table, since

    print_facts([
        ("Network", detail.id),
        ("Name", detail.name),
        ("Mode", mode_words(detail)),
        ("Bridge", f"{detail.bridge}, MAC {detail.mac}, MTU {detail.mtu}" if detail.mode in BRIDGED else ""),
        ("VNICs", f"of bridge {detail.bridge}, see `mooring vnic ls`" if detail.mode == "handoff" else ""),
        ("Internal", "yes" if detail.internal else "no"),
        ("Tenant", detail.tenant),
        ("Host reaches", host_reaches(detail.host_access)),
        *cluster_facts(detail.cluster),
        ("Created", since(detail.created)),
        ("Options", ", ".join(f"{key}={value}" for key, value in detail.options.items())),
    ])  # fmt: skip
    for segment in detail.segments:
        click.echo()
        print_facts([
            ("Subnet", segment.subnet + (f" from subnet pool {segment.source}" if segment.source else "")),
            ("  Name", segment.name),
            ("  Gateway", (segment.gateway or "none").partition("/")[0]),
            ("  Range", segment.range or ""),
            ("  Auxiliary", ", ".join(f"{name}={address}" for name, address in segment.auxiliary.items())),
            ("  Space", segment.space),
            ("  Usage", _usage(segment)),
        ])  # fmt: skip
    if detail.endpoints:
        click.echo()
        print_table(
            ("ENDPOINT", "STATE", "CONTAINER", "ADDRESSES", "PORTS"),
            [
                (
                    endpoint.id[:12],
                    endpoint.state,
                    endpoint.name or "-",
                    ", ".join(each.partition("/")[0] for each in (endpoint.ipv4, endpoint.ipv6) if each) or "-",
                    ", ".join(endpoint.published) or "-",
                )
                for endpoint in detail.endpoints
            ],
        )


def mode_words(detail: NetworkDetail) -> str:
    """How it is built, with the VNI of an overlay where that is known."""
    vni = detail.cluster.vni if detail.cluster is not None else 0
    return f"{detail.mode}, VNI {vni}" if vni else detail.mode


def cluster_facts(part: NetworkPart | None) -> list[tuple[str, str]]:
    """What is said of a host's part in a network of the cluster."""
    if part is None:
        return []
    facts = [("In the cluster", part.id or "not known yet"), ("This host", ", ".join(part.own))]
    if part.hosts is None:
        facts.append(("Hosts", f"unknown: {part.unreached}"))
    else:
        names = ((each.name or each.host) + (f" (as {each.network})" if each.network else "") for each in part.hosts)
        facts.append(("Hosts", ", ".join(names)))
    if part.prefixes:
        facts.append(("Behind it", ", ".join(part.prefixes)))
    return [*facts, *(("Leads to", line) for line in part.ingress)]


def host_reaches(access: str) -> str:
    """In words, "" for a network that is in the host's own routing."""
    return {"published": "published ports", "addresses": "containers at their addresses"}.get(access, "")


def _usage(segment: SegmentView) -> str:
    from mooring.cli.tables import percent
    from mooring.client import LARGEST

    if not segment.pool:
        return "addresses come from another IPAM driver"
    size = str(segment.size) if segment.size < LARGEST else f"2^{128 - int(segment.subnet.partition('/')[2])}"
    return f"{segment.used} used, {segment.cooling} cooling, of {size} ({percent(segment.used, segment.size)})"
