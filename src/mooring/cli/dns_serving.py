"""`mooring dns status|install|uninstall`: whether names are answered, and who is told to ask."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from mooring.cli.options import Connection, dry_run_option, format_option, pass_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mooring.adapters.docker.engine_dns_file import Change, EngineDnsFile
    from mooring.adapters.host.host_resolver import HostResolver

_config_option = click.option("--config", metavar="FILE", help="Mooring's own.  [/etc/mooring/mooring.toml]")
_engine_option = click.option(
    "--config-file", type=click.Path(dir_okay=False), metavar="FILE",
    help="The engine's configuration.  [that of the dockerd that runs; /etc/docker/daemon.json]",
)  # fmt: skip


@click.command("status")
@format_option
@pass_connection
def dns_status(connection: Connection, form: str) -> None:
    """Say where names are answered, who wants that, and what stands in the way.

    \b
    Example:
      mooring dns status
    """
    from mooring.cli.tables import clean, printed

    told = connection.client.dns_server()
    if printed(told, form):
        return
    click.echo(f"answers at: {', '.join(told.serving) or 'nowhere'}")
    if told.domains:
        click.echo(f"also in routing domains: {', '.join(map(str, told.domains))}")
    click.echo(f"zone: {told.zone or '-'}")
    click.echo(clean(f"wanted by: {', '.join(told.reasons) or 'nobody'} (dns = {told.setting})"))
    if told.trouble:
        click.echo(clean(f"trouble: {told.trouble}; {told.remedy}"))


@click.command("install")
@_engine_option
@click.option("--host", is_flag=True, help="Instead let this host's own systemd-resolved ask, for the zone alone.")
@_config_option
@dry_run_option
@format_option
@pass_connection
def dns_install(
    connection: Connection, config_file: str | None, host: bool, config: str | None, dry_run: bool, form: str
) -> None:
    """Tell Docker to give all its containers the host's DNS server: "dns" in daemon.json, with what is there, or else
    the host's nameservers, behind it. dockerd reads that at its start, a container gets it at its own.

    \b
    Example:
      mooring dns install --dry-run
      mooring dns install
      systemctl restart docker
      mooring dns install --host
    """
    from mooring.adapters.dns.host_forwarding import host_nameservers

    if host:
        _install_host(connection, config, dry_run, form)
        return
    file = _file(config_file, config)
    _refuse_flag(file.path)
    _refuse_off(connection)
    change = file.installed([str(each) for each in host_nameservers()])
    remarks = [change.remark] if change.remark else []
    if not dry_run:
        change.carry_out()
        remarks += _server_remarks(connection)
    if change.changes:
        remarks += [*_out_of_reach(config), _restart(change.after or ""), *_flags_unseen()]
    _tell(change, remarks, dry_run, form)


@click.command("uninstall")
@_engine_option
@_config_option
@click.option("--host", is_flag=True, help="Instead let this host's own resolver ask no more.")
@click.option("--force", is_flag=True, help="Also where it was changed since: the server is taken out, the rest stays.")
@dry_run_option
@format_option
def dns_uninstall(
    config_file: str | None, config: str | None, host: bool, force: bool, dry_run: bool, form: str
) -> None:
    """Take back what `mooring dns install` did: "dns" in daemon.json is what it was before.

    The server stays until the next boot, for containers that run.

    \b
    Example:
      mooring dns uninstall
      systemctl restart docker
    """
    if host:
        _uninstall_host(dry_run, form)
        return
    change = _file(config_file, config).removed(force)
    if not dry_run:
        change.carry_out()
    _tell(change, [_restart(change.before or "")] if change.changes else [], dry_run, form)


def _install_host(connection: Connection, config: str | None, dry_run: bool, form: str) -> None:
    from mooring.adapters.host import host_resolver
    from mooring.adapters.host.machine_ids import machine_id
    from mooring.config import load

    resolver, zone = _resolver(), load({"config": config}, {}, machine_id()).dns_zone
    resolver.check()
    _refuse_off(connection)
    changes, remarks = resolver.changes(zone), _host_remarks()
    if changes and not dry_run:
        resolver.install(zone)
        remarks += _server_remarks(connection)
    if dry_run and form == "table":
        click.echo(host_resolver.unit(zone))
    _tell_host("written and started" if changes else "unchanged", remarks, dry_run, form)


def _uninstall_host(dry_run: bool, form: str) -> None:
    resolver = _resolver()
    there = resolver.installed
    if not dry_run:
        resolver.remove()
    _tell_host("removed" if there else "not there", [], dry_run, form)


def _resolver() -> HostResolver:
    from pathlib import Path

    from mooring.adapters.host.host_resolver import HostResolver
    from mooring.removal import systemctl

    return HostResolver(Path("/"), systemctl)


def _host_remarks() -> list[str]:
    """Whether the host's programs ask systemd-resolved at all."""
    from mooring.adapters.dns.host_forwarding import stub_asked

    if stub_asked():
        return []
    return [
        "programs of this host do not ask systemd-resolved: /etc/resolv.conf names other nameservers than 127.0.0.53"
        " (systemd-resolved.service(8) has the link to make of it)"
    ]


def _tell_host(outcome: str, remarks: list[str], dry_run: bool, form: str) -> None:
    from mooring.adapters.host.host_resolver import UNIT
    from mooring.cli.tables import clean, printed
    from mooring.cli.uninstalling import tense

    done = outcome in ("written and started", "removed")
    if printed({"unit": UNIT, "changed": done, "dry_run": dry_run, "remarks": remarks}, form):
        return
    click.echo(f"{UNIT}: {tense(outcome, dry_run and done)}")
    for remark in remarks:
        click.echo(clean(remark))


def _file(config_file: str | None, config: str | None) -> EngineDnsFile:
    """The one that is named, or was changed before, or that a dockerd was started with."""
    from pathlib import Path

    from mooring.adapters.docker.engine_dns_file import CONFIGURATION, EngineDnsFile, engine_flags, flag_values
    from mooring.cli.uninstalling import place_of
    from mooring.core.faults import Conflict

    state = place_of(config).store.parent
    if config_file is not None:
        return EngineDnsFile(Path(config_file).absolute(), state)
    found = {path for flags in engine_flags() for path in flag_values(flags, "config-file")[-1:]}
    if len(found) > 1:
        raise Conflict(
            f"several engines run here, with {' and '.join(sorted(found))}", hint="choose one with --config-file"
        )
    return EngineDnsFile.noted(state, Path(found.pop()) if found else CONFIGURATION)


def _refuse_flag(path: Path) -> None:
    """dockerd does not start with a setting that is both a flag and in its file. path: resolved. Raises Conflict."""
    from pathlib import Path

    from mooring.adapters.docker.engine_dns_file import CONFIGURATION, engine_flags, flag_values
    from mooring.core.faults import Conflict

    for flags in engine_flags():
        given = flag_values(flags, "dns")
        file = Path((flag_values(flags, "config-file") or [str(CONFIGURATION)])[-1])
        if given and file.resolve() == path:
            raise Conflict(
                f"dockerd was started with --dns {', '.join(given)}, and does not start with that in {path} as well",
                hint=f'write it into "dns" of {path} and take the flag from the service first',
            )


def _refuse_off(connection: Connection) -> None:
    """Raises Conflict where the daemon says that it will not serve."""
    from mooring.core.faults import Conflict, Unavailable

    with suppress(Unavailable):  # it is not running: what it will be set to then is not known
        if connection.client.dns_server().setting == "off":
            raise Conflict('the daemon is set to `dns = "off"`', hint='set it to "auto" and restart the daemon first')


def _server_remarks(connection: Connection) -> Iterator[str]:
    """Whether somebody answers by now."""
    from mooring.core.faults import Fault

    try:
        told = connection.client.dns_server()
    except Fault as fault:
        yield f"nobody answers there until the daemon runs ({fault.what})"
        return
    if told.trouble or not told.serving:
        yield f"nobody answers there yet: {told.trouble or 'the server is not wanted'}; {told.remedy}"


def _out_of_reach(config: str | None) -> Iterator[str]:
    """Networks whose containers reach nothing of the host, and would wait for each name."""
    from mooring.adapters.docker.engine_requests import EngineRequests
    from mooring.cli.uninstalling import place_of
    from mooring.core.faults import Fault

    try:
        rows = EngineRequests(str(place_of(config).docker_socket)).get("/networks")
    except Fault:
        return
    names = (
        [row["Name"] for row in rows if row.get("Driver") in ("macvlan", "ipvlan")] if isinstance(rows, list) else []
    )
    if names:
        yield (
            f"containers in {', '.join(sorted(names))} cannot reach the host, and wait seconds for each name: start"
            " them with a --dns of their own"
        )


def _flags_unseen() -> Iterator[str]:
    """What `_refuse_flag` could not know."""
    from mooring.adapters.docker.engine_dns_file import engine_flags

    if not engine_flags():
        yield "no dockerd runs here, so its flags were not seen: with --dns among them it does not start any more"


def _restart(text: str) -> str:
    from mooring.adapters.docker.engine_dns_file import engine_flags, flag_values
    from mooring.core.engine_dns import settings_in

    flagged = any("--live-restore" in flags or "true" in flag_values(flags, "live-restore") for flags in engine_flags())
    lives = flagged or settings_in(text).get("live-restore") is True
    what = "containers keep running (live-restore)" if lives else "which stops containers, since live-restore is off"
    return f"next: restart Docker (`systemctl restart docker`), {what}; each container follows at its own next start"


def _tell(change: Change, remarks: list[str], dry_run: bool, form: str) -> None:
    from mooring.cli.tables import clean, printed

    reply = {"file": str(change.path), "changed": change.changes, "dry_run": dry_run, "diff": change.diff()}
    if printed({**reply, "remarks": remarks}, form):
        return
    if dry_run:
        for line in change.diff():
            click.echo("\t".join(map(clean, line.split("\t"))))
    outcome = ("would be changed" if dry_run else "changed") if change.changes else "unchanged"
    click.echo(clean(f"{change.path}: {outcome}"))
    for remark in remarks:
        click.echo(clean(remark))
