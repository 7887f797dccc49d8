"""`mooring doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.options import Connection, dry_run_option, format_option

if TYPE_CHECKING:
    from mooring.client import Diagnosis

FINDINGS = 10


@click.command()
@click.option("--fix", is_flag=True, help="Fix what can be fixed now.")
@dry_run_option
@format_option
@click.pass_context
def doctor(context: click.Context, fix: bool, dry_run: bool, form: str) -> None:
    """Compare records, Docker and kernel, and list every problem with evidence, age and remedy.

    An address that a container uses is never touched, whatever is found. Exit code 10 if problems remain, 0 if none
    do. Effects of another Docker version are listed as notes and do not count as problems.

    \b
    Example:
      mooring doctor
      mooring doctor --fix --dry-run
      mooring doctor --fix
    """
    from mooring.cli.tables import printed

    connection = context.find_object(Connection)
    assert connection is not None  # the root command made it
    client = connection.client
    reply = client.fix_findings(dry_run=dry_run) if fix or dry_run else client.diagnosis()
    if not printed(reply, form):
        _print(reply)
    context.exit(FINDINGS if reply.findings else 0)


def _print(reply: Diagnosis) -> None:
    from mooring.cli.tables import clean, print_table, since

    for line in reply.done:
        click.echo(clean(line))
    if reply.done and reply.findings:
        click.echo()
    if reply.findings:
        print_table(
            ("FINDING", "EVIDENCE", "SINCE", "ACTION"),
            [(each.text, each.proof, since(each.since), _remedy(each.remedy, each.fixable)) for each in reply.findings],
        )
    elif not reply.done:
        click.echo("no problems found")
    if reply.notes:
        click.echo()
        print_table(("NOTE", "WHY", "ACTION"), [(each.text, each.proof, each.remedy) for each in reply.notes])


def _remedy(remedy: str, fixable: bool) -> str:
    fix = "`mooring doctor --fix`" if fixable else ""
    return "; ".join(each for each in (remedy, fix) if each) or "-"
