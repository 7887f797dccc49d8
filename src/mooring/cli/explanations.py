"""`mooring explain`."""

from __future__ import annotations

import click

from mooring.cli.options import Connection, format_option, pass_connection
from mooring.cli.suggestions import anything


@click.command()
@click.argument("what", shell_complete=anything)
@format_option
@pass_connection
def explain(connection: Connection, what: str, form: str) -> None:
    """Show who holds an address, since when, why, and what would free it; or why it is free.

    WHAT is an IP address (any, also outside Mooring's networks), a container name or ID prefix, a compose service as
    PROJECT/SERVICE, a key, a port, a VNIC, an endpoint ID, a MAC, a DNS name, a network or a subnet. For a network or
    subnet it shows how full it is or, if it was removed, which addresses are still kept.

    \b
    Example:
      mooring explain 10.32.0.2
      mooring explain fd00::2
      mooring explain db
    """
    from mooring.cli.tables import clean, printed

    if not what.strip():
        raise click.BadParameter("must not be empty", param_hint="WHAT")
    reply = connection.client.explain(what.strip())
    if printed(reply, form):
        return
    for number, reason in enumerate(reply.reasons):
        if number:
            click.echo()
        for line in reason.text:
            click.echo(clean(line))
