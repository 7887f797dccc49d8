"""`mooring serve`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mooring.config import Config


@click.command()
@click.option("--config", metavar="FILE", help="The configuration file.  [/etc/mooring/mooring.toml]")
@click.option("--state-dir", metavar="DIR", help="Where the store is kept.  [/var/lib/mooring]")
@click.option("--run-dir", metavar="DIR", help="Where the API socket is created.  [/run/mooring]")
@click.option(
    "--plugin-socket", metavar="PATH", help="Where dockerd finds the driver.  [/run/docker/plugins/mooring.sock]"
)
@click.option("--plugin-names", metavar="NAMES", help="Further names of the driver, comma-separated.")
@click.option("--docker-socket", metavar="PATH", help="The engine's own socket.  [/var/run/docker.sock]")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.  [info]")
@click.option(
    "--log-format", metavar="FORMAT", help="human, json, or auto: human on a terminal and in the journal.  [auto]"
)
@click.option("--cooldown", metavar="TIME", help="Time before a released address is reused.  [60]")
@click.option(
    "--host-overlap", metavar="WORD", help="For a subnet that overlaps one of this host's: warn or refuse.  [refuse]"
)
@click.option("--deny", metavar="SUBNETS", help="Subnets that no network may overlap, comma-separated.")
@click.option("--repair-period", metavar="TIME", help="Time between two checks of the kernel.  [10]")
@click.option("--reclaim-after", metavar="TIME", help="Time before what Docker did not release is reclaimed.  [120]")
@click.option("--proxy", metavar="WORD", help="Serve the proxy in front of the engine's socket: on or off.  [on]")
@click.option("--hold-time", metavar="TIME", help="Time that a key keeps an address after its last container.  [86400]")
@click.option(
    "--claim-policy", metavar="WORD", help="Who may request an idle fixed address: explicit or holders.  [explicit]"
)
@click.option("--tenants", metavar="WORD", help="Where networks of tenants are: shared or separate.  [shared]")
@click.option("--dns", metavar="WORD", help="Answer names of containers: auto, on or off.  [auto]")
@click.option("--dns-zone", metavar="NAME", help="The zone of their names.  [mooring]")
@click.option("--dns-order", metavar="WORD", help="Their addresses: shuffled or local-first.  [shuffled]")
@click.option("--dns-keys", metavar="FILE", help="The file of TSIG keys that the site's nameservers know, too.")
@click.option("--dns-transfer", metavar="ADDRESSES", help="Where they get the zone by transfer, comma-separated.")
@click.option("--dns-notify", metavar="ADDRESSES", help="Nameservers that are told of changes, comma-separated.")
@click.option("--dns-update", metavar="ADDRESS", help="The site's nameserver that names are kept at by updates.")
@click.option("--dns-update-zones", metavar="ZONES", help="The zones that it has, comma-separated.")
@click.option("--dns-export", metavar="NETWORKS", help="Whose names they get, comma-separated.")
@click.option("--vxlan-port", metavar="PORT", help="UDP port of tunnels between hosts, the same on all.  [4790]")
@click.option("--api-socket-mode", metavar="MODE", help="The API socket's mode, in octal.  [0660]")
@click.option("--api-socket-group", metavar="GROUP", help="The API socket's group.")
@click.option("--check", is_flag=True, help="Check the configuration and nft, report every problem, and exit.")
@click.pass_context
def serve(context: click.Context, /, check: bool, **flags: str | None) -> None:
    """Run the daemon in the foreground.

    Every option is also a key of the configuration file and a variable MOORING_*: an option overrides the
    environment, the environment the file. Nothing has to be configured. A TIME is a number of seconds, or for example
    90s, 15m, 24h or 7d.

    \b
    Example:
      mooring serve
      mooring serve --log-level debug
      mooring serve --config ./mooring.toml --check
    """
    import os

    from mooring.config import load

    if flags["run_dir"] is None and context.parent is not None:
        source = context.parent.get_parameter_source("run_dir")
        if source is not None and source.name == "COMMANDLINE":
            flags["run_dir"] = context.parent.params["run_dir"]
    from mooring.adapters.host.machine_ids import machine_id

    def configuration() -> Config:
        return load(flags, environment, machine_id())

    environment = dict(os.environ)
    if check:
        from mooring.adapters.nft.nft_command import nft

        config = configuration()
        for warning in config.warnings:
            click.echo(f"mooring: warning: {warning}", err=True)
        nft()
        sources = [str(config.file or "no file"), *config.overrides]
        if sources == ["no file"]:
            sources.append("all defaults")
        click.echo(f"configuration OK ({', '.join(sources)})")
        return
    context.exit(_serve(configuration))


def _serve(configuration: Callable[[], Config]) -> int:
    """The daemon; and under a service manager, when it cannot serve, the one that says so (mooring.degraded)."""
    import os

    from mooring.adapters.host.systemd import manager as given
    from mooring.config import ConfigurationInvalid
    from mooring.daemon import NotServing, run

    manager = given(os.environ, os.getpid())
    try:
        config = configuration()
        return run(config, manager)
    except ConfigurationInvalid as fault:
        if not manager.supervises:
            raise
        reason, sound = f"the configuration cannot be used: {fault}", fault.sound
    except NotServing as end:
        if not manager.supervises:
            return end.code
        reason, sound = end.text, config.sound
    from mooring import degraded

    return degraded.run(reason, sound, configuration, manager)
