"""`mooring uninstall`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.options import dry_run_option, format_option

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from mooring.removal import Place


@click.command()
@click.option("--config", metavar="FILE", help="The configuration file.  [/etc/mooring/mooring.toml]")
@click.option("--purge", is_flag=True, help="Also the store and the configuration file.")
@dry_run_option
@format_option
def uninstall(config: str | None, purge: bool, dry_run: bool, form: str) -> None:
    """Take Mooring off this host: its networks, rules, links, sockets, units, and the Docker contexts of all users.

    Refuses while any container, running or stopped, is connected to one of its networks. Docker is not restarted,
    and its next start does not depend on Mooring. Store and configuration stay unless --purge is given; the program
    itself stays, too.

    \b
    Example:
      mooring uninstall --dry-run
      mooring uninstall
    """
    from mooring.cli.tables import printed
    from mooring.installing import CONFIGURATION
    from mooring.removal import steps

    place = place_of(config)
    removed = []
    for step in steps(place, purge):
        if not dry_run:
            step.carry_out()
        removed.append(step.what)
        _say(step.what, dry_run, form)
    for what, outcome in removals(place, dry_run, kept=() if purge else (place.root / CONFIGURATION,)):
        if outcome.endswith("removed"):
            removed.append(what)
        if form == "table":
            click.echo(f"{what}: {outcome}")
    kept = [] if purge else [str(place.store.parent), "the configuration"]
    if not printed({"removed": removed, "kept": kept, "dry_run": dry_run}, form) and kept:
        click.echo(f"kept: {' and '.join(kept)}; `mooring uninstall --purge` removes them")


def removals(place: Place, dry_run: bool, kept: Collection[Path]) -> Iterator[tuple[str, str]]:
    """What `mooring setup` made besides, and the contexts of all users; what was done about each, in words.

    kept: files that stay.
    """
    import os

    from mooring import installing
    from mooring.cli import everybody
    from mooring.cli.contexts import remove_ours

    host = f"unix://{place.run_dir / 'docker.sock'}"
    own = remove_ours(host, dry_run)
    if own:
        yield f"Docker context {own}", tense("removed", dry_run)
    for user in everybody.people():
        if own and user.pw_uid == os.geteuid():
            continue
        if outcome := everybody.remove(user, host, dry_run):
            yield f"Docker context mooring of {user.pw_name}", tense(outcome, dry_run)
    made = installing.Made.read(place.store.parent)
    for step in installing.undo_steps(made, kept):
        if not dry_run:
            step.carry_out()
        yield step.what, tense(step.outcome, dry_run) or step.was
    if not dry_run:
        installing.forget(made)


def tense(outcome: str, dry_run: bool) -> str:
    """What is in brackets is said as it is."""
    return f"would be {outcome}" if outcome and dry_run and not outcome.startswith("(") else outcome


def _say(what: str, dry_run: bool, form: str) -> None:
    """A line as soon as it is done."""
    if form == "table":
        click.echo(f"{what}: {'would be removed' if dry_run else 'removed'}")


def place_of(config: str | None) -> Place:
    """Where the configuration says that Mooring is, and where it is by default as far as that is wrong."""
    import os
    from pathlib import Path

    from mooring.adapters.host.machine_ids import machine_id
    from mooring.config import ConfigurationInvalid, load
    from mooring.removal import Place

    store = Path("/var/lib/mooring/mooring.db")
    try:
        found = load({"config": config}, os.environ, machine_id())
        sound, store = found.sound, found.store
    except ConfigurationInvalid as fault:
        sound = fault.sound
    return Place(sound.driver_names, sound.docker_socket, sound.plugin_socket, sound.run_dir, store)
