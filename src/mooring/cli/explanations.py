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
    """Say who holds an address, since when, why, and what would free it; or why nobody does.

    WHAT is an address, any address, also one that is not of Mooring's networks. Or it is a container's name or the
    beginning of its id, a compose service as PROJECT/SERVICE, a key, an endpoint's id or a MAC: then everything that it
    holds is explained. Or it is a network or a subnet: then how full that is, or what of it waits when it is gone.

    \b
    Example:
      mooring explain 10.32.0.2
      mooring explain fd00::2
      mooring explain db
    """
    from mooring.cli.tables import clean, printed
    from mooring.wire.api import Explain, Explanation

    if not what.strip():
        raise click.BadParameter("must not be empty", param_hint="WHAT")
    reply = connection.ask(Explain(what.strip()), Explanation)
    if printed(reply, form):
        return
    for number, reason in enumerate(reply.reasons):
        if number:
            click.echo()
        for line in reason.text:
            click.echo(clean(line))
