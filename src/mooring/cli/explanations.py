"""`mooring explain`."""

from __future__ import annotations

import click

from mooring.cli.options import Connection, format_option, pass_connection


@click.command()
@click.argument("address")
@format_option
@pass_connection
def explain(connection: Connection, address: str, form: str) -> None:
    """Say who holds ADDRESS, since when, why, and what would free it; or why nobody does.

    Any address may be asked for, also one that is not of Mooring's networks.

    \b
    Example:
      mooring explain 10.32.0.2
      mooring explain fd00::2
    """
    from mooring.cli.tables import clean, print_json
    from mooring.wire.api import Explain, Explanation, parse_address

    reply = connection.ask(Explain(parse_address(address)), Explanation)
    if form == "json":
        print_json(reply)
        return
    for number, reason in enumerate(reply.reasons):
        if number:
            click.echo()
        for line in reason.text:
            click.echo(clean(line))
