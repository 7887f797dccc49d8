"""`mooring uninstall`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.options import dry_run_option, format_option

if TYPE_CHECKING:
    from mooring.removal import Place


@click.command()
@click.option("--config", metavar="FILE", help="The configuration file.  [/etc/mooring/mooring.toml]")
@click.option("--purge", is_flag=True, help="Also the store and the configuration file.")
@dry_run_option
@format_option
def uninstall(config: str | None, purge: bool, dry_run: bool, form: str) -> None:
    """Take Mooring off this host: its networks, rules, links, sockets, units, and this user's Docker context.

    Refuses while containers, running or not, have a place in its networks. Docker is not restarted, and starts as
    before Mooring came. Store and configuration stay unless --purge is given; the program itself stays, too.

    \b
    Example:
      mooring uninstall --dry-run
      mooring uninstall
    """
    from mooring.cli.contexts import remove_ours
    from mooring.cli.tables import printed
    from mooring.removal import steps

    place = _place(config)
    removed = []
    for step in steps(place, purge):
        if not dry_run:
            step.carry_out()
        removed.append(step.what)
        _say(step.what, dry_run, form)
    if name := remove_ours(f"unix://{place.run_dir / 'docker.sock'}", dry_run):
        removed.append(f"Docker context {name}")
        _say(removed[-1], dry_run, form)
    kept = [] if purge else [str(place.store.parent), "the configuration"]
    if not printed({"removed": removed, "kept": kept, "dry_run": dry_run}, form) and kept:
        click.echo(f"kept: {' and '.join(kept)}; `mooring uninstall --purge` removes them")


def _say(what: str, dry_run: bool, form: str) -> None:
    """A line as soon as it is done."""
    if form == "table":
        click.echo(f"{what}: {'would be removed' if dry_run else 'removed'}")


def _place(config: str | None) -> Place:
    """Where the configuration says that Mooring is, and where it is by default as far as that is wrong."""
    import os
    from pathlib import Path

    from mooring.adapters.machine_ids import machine_id
    from mooring.config import ConfigurationInvalid, load
    from mooring.removal import Place

    store = Path("/var/lib/mooring/mooring.db")
    try:
        found = load({"config": config}, os.environ, machine_id())
        sound, store = found.sound, found.store
    except ConfigurationInvalid as fault:
        sound = fault.sound
    return Place(sound.plugin_socket.stem, sound.docker_socket, sound.plugin_socket, sound.run_dir, store)
