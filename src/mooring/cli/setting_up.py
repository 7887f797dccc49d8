"""`mooring setup`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mooring.cli.options import dry_run_option, format_option
from mooring.cli.uninstalling import tense

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mooring.config import Config
    from mooring.installing import Target


@click.command()
@click.option("--program", metavar="PATH", help="The command that the service runs.  [this one]")
@click.option("--undo", is_flag=True, help="Take Mooring off this host again, and what setup made.")
@dry_run_option
@format_option
@click.pass_context
def setup(invocation: click.Context, program: str | None, undo: bool, dry_run: bool, form: str) -> None:
    """Set Mooring up on this host: groups, configuration, systemd units, manual, completions, a Docker context for
    every user. Each step prints one line; what is already in place is left alone, so it is safe to run again.

    The proxy's socket belongs to the group docker, the API's to the group mooring. An existing configuration stays.
    --undo does what `mooring uninstall` does, and removes the configuration if nobody has changed it.

    \b
    Example:
      mooring setup --dry-run
      mooring setup
      mooring setup --undo
    """
    from mooring.cli.tables import printed

    said = []
    for what, outcome in _undo(dry_run) if undo else _set_up(invocation, program, dry_run):
        said.append({"what": what, "outcome": outcome})
        if form == "table":
            click.echo(f"{what}: {outcome}")
    if not printed({"steps": said, "dry_run": dry_run}, form) and not undo and not dry_run:
        click.echo("Mooring is set up. Next: members of the group docker run `docker context use mooring`")


def _set_up(invocation: click.Context, program: str | None, dry_run: bool) -> Iterator[tuple[str, str]]:
    """What was done, and then what came of it."""
    from pathlib import Path

    from mooring import installing
    from mooring.cli import everybody
    from mooring.cli.completions import script
    from mooring.config.templates import template

    config = _configuration()
    target = _target(config, Path(program).absolute() if program else _this_program())
    made = installing.Made.read(target.state)
    shells = {shell: script(invocation.find_root().command, shell).encode() + b"\n" for shell in installing.COMPLETIONS}
    files = {installing.CONFIGURATION: template().encode()}
    if target.proxied:
        files |= everybody.for_new_users(_host(config))
    for step in installing.steps(target, made, files, shells):
        if step.outcome and not dry_run:
            step.carry_out()
        yield step.what, tense(step.outcome, dry_run) or step.was
    if target.proxied:
        for user in everybody.people():
            outcome = everybody.install(user, _host(config), dry_run)
            yield f"Docker context mooring of {user.pw_name}", tense(outcome, dry_run) or "unchanged"
    if not dry_run:
        yield from _checks(config)


def _checks(config: Config) -> Iterator[tuple[str, str]]:
    """Raises Unavailable for a daemon that does not serve."""
    import grp
    import os

    from mooring.adapters.docker.docker_engine import engines_running
    from mooring.adapters.docker.engine_requests import EngineRequests
    from mooring.core.faults import Unavailable
    from mooring.installing import serving

    if (said := serving()) != "serving":
        raise Unavailable(f"mooring.service is running but not serving: {said}")
    yield "mooring.service", "serving"
    sockets = [config.api_socket, *(proxy.path for proxy in config.proxies if proxy.path is not None)]
    for path in sockets:
        found = os.stat(path)
        try:
            group = grp.getgrgid(found.st_gid).gr_name
        except KeyError:
            group = str(found.st_gid)
        yield str(path), f"accessible to the group {group}"
    if not engines_running():
        yield "Docker", "not running; it will find Mooring when it starts"
    elif config.proxies and config.proxies[0].path is not None:
        answer = EngineRequests(str(config.proxies[0].path)).get("/version")
        version = answer.get("Version") if isinstance(answer, dict) else None
        yield "Docker", f"{version}, reachable through the proxy"


def _undo(dry_run: bool) -> Iterator[tuple[str, str]]:
    from mooring import installing
    from mooring.cli.uninstalling import place_of, removals
    from mooring.removal import steps

    place = place_of(None)
    for step in steps(place, purge=False):
        if not dry_run:
            step.carry_out()
        yield step.what, tense("removed", dry_run)
    yield from removals(place, dry_run, kept=())
    path = place.root / installing.CONFIGURATION
    if path.exists() and not dry_run:
        yield str(path), "left unchanged"
    yield str(place.store.parent), "kept, with the store; `mooring uninstall --purge` removes it"


def _configuration() -> Config:
    """The configuration that the service will read. Raises ConfigurationInvalid."""
    from mooring.adapters.host.machine_ids import machine_id
    from mooring.config import load

    return load({}, {}, machine_id())


def _host(config: Config) -> str:
    """What the Docker context points at: the socket that systemd hands over."""
    return f"unix://{config.run_dir / 'docker.sock'}"


def _target(config: Config, program: Path) -> Target:
    from mooring.installing import Target

    unix = any(proxy.path is not None for proxy in config.proxies)
    return Target(program, config.state_dir, config.run_dir, proxied=unix)


def _this_program() -> Path:
    """The command's own path, as the service will call it."""
    import shutil
    import sys
    from pathlib import Path

    from mooring.core.faults import Unavailable
    from mooring.installing import PROGRAM

    beside = Path(sys.executable).with_name("mooring")
    found = beside if beside.exists() else Path(shutil.which("mooring") or "/nowhere")
    if not found.exists():
        raise Unavailable("the command is not in PATH", hint="name it with --program")
    return PROGRAM if PROGRAM.exists() and PROGRAM.resolve() == found.resolve() else found.absolute()
