"""`mooring network ls|inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.options import Connection, format_option, pass_connection

if TYPE_CHECKING:
    from mooring.wire.api import NetworkDetail, SegmentView


@click.group()
def network() -> None:
    """Look at networks.

    \b
    Example:
      mooring network ls
    """


@network.command("ls")
@format_option
@pass_connection
def list_networks(connection: Connection, form: str) -> None:
    """List the networks of this host.

    \b
    Example:
      mooring network ls
    """
    from mooring.cli.tables import print_json, print_table, since
    from mooring.wire.api import ListNetworks, NetworkRow

    rows = connection.ask(ListNetworks(), list[NetworkRow])
    if form == "json":
        print_json(rows)
        return
    print_table(
        ("NETWORK ID", "BRIDGE", "SUBNETS", "ENDPOINTS", "INTERNAL", "CREATED"),
        [
            (
                row.id[:12],
                row.bridge if row.mode == "bridge" else f"({row.mode})",
                ", ".join(row.subnets),
                str(row.endpoints),
                "yes" if row.internal else "no",
                since(row.created),
            )
            for row in rows
        ],
    )


@network.command("inspect")
@click.argument("id")
@format_option
@pass_connection
def inspect_network(connection: Connection, id: str, form: str) -> None:  # noqa: A002  click names the argument so
    """Show everything about the network whose ID begins so.

    \b
    Example:
      mooring network inspect 1f6b2c
      mooring network inspect "$(docker network inspect -f '{{.Id}}' web)"
    """
    from mooring.cli.tables import print_json
    from mooring.wire.api import GetNetwork, NetworkDetail

    detail = connection.ask(GetNetwork(id), NetworkDetail)
    if form == "json":
        print_json(detail)
    else:
        _print(detail)


def _print(detail: NetworkDetail) -> None:
    from mooring.cli.tables import print_facts, print_table, since

    print_facts([
        ("Network", detail.id),
        ("Mode", detail.mode),
        ("Bridge", f"{detail.bridge}, MAC {detail.mac}, MTU {detail.mtu}" if detail.mode == "bridge" else ""),
        ("Internal", "yes" if detail.internal else "no"),
        ("Created", since(detail.created)),
        ("Options", ", ".join(f"{key}={value}" for key, value in detail.options.items())),
    ])  # fmt: skip
    for segment in detail.segments:
        click.echo()
        print_facts([
            ("Subnet", segment.subnet + (f" from subnet pool {segment.source}" if segment.source else "")),
            ("  Gateway", (segment.gateway or "none").partition("/")[0]),
            ("  Range", segment.range or ""),
            ("  Auxiliary", ", ".join(f"{name}={address}" for name, address in segment.auxiliary.items())),
            ("  Space", segment.space),
            ("  Usage", _usage(segment)),
        ])  # fmt: skip
    if detail.endpoints:
        click.echo()
        print_table(
            ("ENDPOINT", "STATE", "NAME", "IPV4", "IPV6", "MAC", "PORTS"),
            [
                (
                    endpoint.id[:12],
                    endpoint.state,
                    endpoint.name or "-",
                    (endpoint.ipv4 or "-").partition("/")[0],
                    (endpoint.ipv6 or "-").partition("/")[0],
                    endpoint.mac,
                    ", ".join(endpoint.published) or "-",
                )
                for endpoint in detail.endpoints
            ],
        )


def _usage(segment: SegmentView) -> str:
    from mooring.wire.api import LARGEST

    if not segment.pool:
        return "addresses come from another IPAM driver"
    size = str(segment.size) if segment.size < LARGEST else f"2^{128 - int(segment.subnet.partition('/')[2])}"
    return f"{segment.used} held, {segment.cooling} cooling, of {size}"
