"""Values for completion in the shell: addresses, networks, pools, subnet pools and containers, as the daemon has them.

Rule: who completes waits for nothing: a daemon that does not answer soon, or at all, suggests nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from mooring.client import Client, LeaseRow

R = TypeVar("R")
Completer = Callable[[click.Context, click.Parameter, str], list[str]]

# Seconds: longer than that, nobody waits for a suggestion.
PATIENCE = 2.0


def addresses(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Addresses that are not free."""
    return _begin((row.address for row in _leases(context)), begun)


def networks(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of networks; ids of those without one, and when an id is begun."""
    return _begin(_networks(context, begun), begun)


def pools(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Subnets, ids when one is begun, and names of networks."""
    rows = _ask(context, lambda client: client.pools())
    ids = (row.id for row in rows if begun)
    return _begin((each for row in rows for each in (row.subnet, row.network_name)), begun) or _begin(ids, begun)


def subnet_pools(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of subnet pools."""
    return _begin((row.name for row in _ask(context, lambda client: client.subnet_pools())), begun)


def stored_subnet_pools(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of those that a command may change."""
    rows = _ask(context, lambda client: client.subnet_pools())
    return _begin((row.name for row in rows if row.origin == "stored"), begun)


def denied(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Subnets of the deny list that a command can end."""
    rows = _ask(context, lambda client: client.deny_entries())
    return _begin((row.subnet for row in rows if row.origin == "stored"), begun)


def dns_records(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of operators' DNS records."""
    return _begin(
        (name for row in _ask(context, lambda client: client.dns_names(origin="stored")) for name in row.names), begun
    )


def ports(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of network ports; ids when one is begun."""
    rows = _ask(context, lambda client: client.ports())
    ids = (row.id[:12] for row in rows if begun)
    return _begin((row.name for row in rows), begun) or _begin(ids, begun)


def cluster_hosts(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of hosts of the cluster."""
    return _begin((row.name for row in _ask(context, lambda client: client.cluster_hosts())), begun)


def tenants(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of tenants."""
    return _begin((row.name for row in _ask(context, lambda client: client.tenants())), begun)


def vnics(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Ids and addresses of VNICs."""
    rows = _ask(context, lambda client: client.vnics())
    return _begin((each for row in rows for each in (row.id, row.address)), begun)


def containers(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of containers that hold an address; of those that are gone, and whose address waits, none."""
    return _begin(_containers(_leases(context), gone=False), begun)


def anything(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """What `explain` takes: containers and networks (also those that are gone and waited for), addresses."""
    rows = _leases(context)
    gone = {row.network_name for row in rows if not row.pool}
    called = [*_containers(rows), *_networks(context, begun), *sorted(gone), *(row.address for row in rows)]
    return _begin(called, begun)


def spaces(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Address spaces."""
    return _begin((row.space for row in _ask(context, lambda client: client.pools())), begun)


def _networks(context: click.Context, begun: str) -> Iterator[str]:
    for row in _ask(context, lambda client: client.networks()):
        yield row.name or row.id[:12]
        if begun and row.id.startswith(begun):
            yield row.id[:12]


def _containers(rows: Iterable[LeaseRow], gone: bool = True) -> Iterator[str]:
    """gone: also the names of those that were the last to have an address."""
    for row in rows:
        if row.name and (gone or row.active):
            yield row.name
        yield from (each for each in row.holders if " " not in each)


def _leases(context: click.Context) -> list[LeaseRow]:
    return _ask(context, lambda client: client.leases())


def _begin(values: Iterable[str], begun: str) -> list[str]:
    return sorted({value for value in values if value and value.startswith(begun)})


def _ask(context: click.Context, question: Callable[[Client], list[R]]) -> list[R]:
    """The daemon's answer, nothing for any that is none."""
    from mooring.cli.options import socket_of
    from mooring.client import Client
    from mooring.core.faults import Fault

    root = context.find_root().params
    try:
        return question(Client(socket_of(root.get("socket"), root.get("run_dir")), PATIENCE))
    except Fault:
        return []
