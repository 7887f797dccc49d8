"""`mooring status` and `mooring version`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring import __version__
from mooring.cli.options import Connection, format_option, pass_connection

if TYPE_CHECKING:
    from mooring.client import Client

# Seconds between two questions whether the daemon is ready.
PAUSE = 0.2


@click.command()
@click.option(
    "--wait", metavar="TIME", is_flag=False, flag_value="60s", help="First wait until it is ready, as long.  [60s]"
)
@format_option
@pass_connection
def status(connection: Connection, wait: str | None, form: str) -> None:
    """Show the daemon's state, what it waits for, and how much it manages.

    With --wait a script goes on when the records are read and the kernel was compared with them; when that takes
    longer, it says what was waited for and ends with 6.

    \b
    Example:
      mooring status
      mooring status --wait 2m
      mooring status --format json | jq .leases
    """
    from mooring.cli.tables import print_facts, printed, since

    if wait is not None:
        _wait(connection.client, wait)
    reply = connection.client.status()
    if printed(reply, form):
        return
    leases = ", ".join(f"{count} {state}" for state, count in reply.leases.items())
    repair = reply.repair
    print_facts(
        [
            ("Version", reply.version),
            ("Started", since(reply.since)),
            ("Ready", "yes" if reply.ready else "no"),
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
    print_facts(("Waits", line) for line in reply.waits)
    for label, lines in (("repaired", repair.repaired), ("finding", repair.findings)) if repair else ():
        print_facts((f"  {label}", line) for line in lines)
    print_facts(("Note", note) for note in reply.notes)


def _wait(client: Client, text: str) -> None:
    """Until it is ready. Raises BadRequest for what is no length of time, Unavailable when it was too short."""
    import re
    import time

    from mooring.core.faults import Unavailable
    from mooring.core.times import seconds_of

    end = time.monotonic() + (float(text) if re.fullmatch(r"[0-9]{1,9}", text) else seconds_of(text))
    while True:
        try:
            client.ready()
            return
        except Unavailable:
            if time.monotonic() >= end:
                raise
        time.sleep(PAUSE)


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
