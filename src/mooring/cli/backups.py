"""`mooring backup`."""

from __future__ import annotations

import click

from mooring.cli.options import Connection, format_option, pass_connection


def _named(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not value:
        raise click.BadParameter("must not be empty")
    return value


@click.command()
@click.argument("file", type=click.Path(dir_okay=False), callback=_named)
@format_option
@pass_connection
def backup(connection: Connection, file: str, form: str) -> None:
    """Have the daemon write a consistent copy of its store to FILE, without interrupting it.

    The daemon writes it, so FILE is on its host; an existing file is not overwritten. To restore, stop the daemon and
    put the copy in place of mooring.db in the state directory.

    \b
    Example:
      mooring backup /root/mooring-before-upgrade.db
    """
    import os

    from mooring.cli.tables import printed

    reply = connection.client.backup(os.path.abspath(file))
    if not printed(reply, form):
        click.echo(reply.path)
