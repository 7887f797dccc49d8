"""The group of all commands, and how the outcome of any of them becomes one line and an exit code.

Rules: errors are one line on stderr, `mooring: ...`, never a traceback; the exit code follows from the fault's kind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from mooring import __version__
from mooring.cli.attachments import attach, detach, expose, hide
from mooring.cli.backups import backup
from mooring.cli.clusters import cluster
from mooring.cli.completions import completion
from mooring.cli.contexts import context
from mooring.cli.denials import deny
from mooring.cli.dns import dns
from mooring.cli.dns_serving import dns_install, dns_status, dns_uninstall
from mooring.cli.doctors import doctor
from mooring.cli.explanations import explain
from mooring.cli.ip import ip
from mooring.cli.leases import lease
from mooring.cli.network_ports import port
from mooring.cli.networks import network
from mooring.cli.options import RUN_DIR, Connection, socket_of
from mooring.cli.pools import pool
from mooring.cli.reservations import fix, hold, move, release, reserve
from mooring.cli.serving import serve
from mooring.cli.setting_up import setup
from mooring.cli.states import status, version
from mooring.cli.subnet_pools import subnet_pool
from mooring.cli.tenants import tenant
from mooring.cli.uninstalling import uninstall
from mooring.cli.vnics import vnic
from mooring.core.faults import EXIT_CODE, Fault

EPILOG = """\b
Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 conflict, 5 exhausted,
6 the daemon, or something that it needs, cannot be reached,
10 `mooring doctor` found problems.

\b
Example:
  docker network create -d mooring --ipam-driver mooring web
  docker run -d --network web --name db postgres
  mooring explain 10.32.0.2
"""


@click.group(
    name="mooring", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="mooring %(version)s")
@click.option(
    "--socket", envvar="MOORING_SOCKET", metavar="PATH", help="The daemon's API socket, if not api.sock in --run-dir."
)
@click.option(
    "--run-dir",
    envvar="MOORING_RUN_DIR",
    metavar="DIR",
    default=RUN_DIR,
    show_default=True,
    help="Where the daemon has its API socket.",
)
@click.pass_context
def cli(invocation: click.Context, socket: str | None, run_dir: str) -> None:
    """Addresses that stay put, for Docker: the daemon, and questions to it."""
    invocation.obj = Connection(socket_of(socket, run_dir))


for command in (
    serve, setup, status, network, pool, subnet_pool, lease, port, ip, attach, detach, expose, hide, deny, dns, tenant,
    cluster, vnic, explain, fix, doctor, context, backup, uninstall, version, completion,
):  # fmt: skip
    cli.add_command(command)
for command in (reserve, release, hold, move):
    lease.add_command(command)
for command in (dns_status, dns_install, dns_uninstall):
    dns.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit code."""
    try:
        outcome = cli.main(list(arguments), prog_name="mooring", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else str(error), err=True)
        return 2
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "mooring"
        _say(f"{error.format_message().rstrip('.')}; see `{path} --help`")
        return 2
    except click.ClickException as error:
        _say(error.format_message())
        return 1
    except Fault as fault:
        for line in getattr(fault, "problems", (str(fault),)):
            _say(line)
        return EXIT_CODE[fault.kind]
    except (click.Abort, KeyboardInterrupt):
        return 130
    except UnicodeEncodeError as error:
        if not "\udc80" <= error.object[error.start] <= "\udcff":  # a terminal that knows no such letter
            raise
        _say(f"{error.object[:60]!a} is not text in UTF-8")
        return 2
    except OSError as error:
        # What is still buffered has nowhere to go, and Python would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader of our output is gone, such as `head`
            return 0
        _say(f"input or output failed: {error.strerror or error}")
        return 1
    return outcome if isinstance(outcome, int) else 0


def _say(line: str) -> None:
    click.echo("mooring: " + " ".join(line.split()), err=True)
