"""`mooring status` and `mooring version`."""

from __future__ import annotations

import click

from mooring import __version__
from mooring.cli.options import Connection, format_option, pass_connection


@click.command()
@format_option
@pass_connection
def status(connection: Connection, form: str) -> None:
    """Show the daemon's state and how much it manages.

    \b
    Example:
      mooring status
      mooring status --format json | jq .leases
    """
    from mooring.cli.tables import print_facts, printed, since

    reply = connection.client.status()
    if printed(reply, form):
        return
    leases = ", ".join(f"{count} {state}" for state, count in reply.leases.items())
    repair = reply.repair
    print_facts(
        [
            ("Version", reply.version),
            ("Started", since(reply.since)),
            ("Networks", str(reply.networks)),
            ("Endpoints", f"{reply.endpoints} ({reply.attached} attached)"),
            ("Pools", str(reply.pools)),
            ("Leases", f"{sum(reply.leases.values())}" + (f" ({leases})" if leases else "")),
            ("Store", reply.store),
            ("Plugin socket", reply.plugin_socket),
            ("API socket", reply.api_socket),
            ("Last check", since(repair.at) if repair else "not yet"),
        ]
    )
    for label, lines in (("repaired", repair.repaired), ("finding", repair.findings)) if repair else ():
        print_facts((f"  {label}", line) for line in lines)
    print_facts(("Note", note) for note in reply.notes)


@click.command()
@format_option
@pass_connection
def version(connection: Connection, form: str) -> None:
    """Print the version of this command and of the daemon.

    A daemon that cannot be reached is not an error here.

    \b
    Example:
      mooring version
    """
    from mooring.cli.tables import print_facts, printed
    from mooring.core.faults import Fault

    try:
        daemon = connection.client.version().version
    except Fault:
        daemon = ""
    if not printed({"command": __version__, "daemon": daemon or None}, form):
        print_facts([("Command", __version__), ("Daemon", daemon or "cannot be reached")])
