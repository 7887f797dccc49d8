"""Options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mooring.client import Client

F = TypeVar("F", bound=Callable[..., Any])

# Where the daemon has its API socket unless told otherwise.
RUN_DIR = "/run/mooring"


class Connection:
    """Where the daemon is. Nothing is dialled before the first question."""

    def __init__(self, socket: str) -> None:
        self.socket = socket

    @property
    def client(self) -> Client:
        """What asks. Its methods raise the fault that the daemon told, or Unavailable when it cannot be reached."""
        from mooring.client import Client

        return Client(self.socket)


class Number(click.IntRange):
    """A whole number within bounds, called so when it is none."""

    name = "number"


def socket_of(socket: str | None, run_dir: str | None) -> str:
    """The path of the API socket, by the root command's options."""
    import os

    return socket or os.path.join(run_dir or RUN_DIR, "api.sock")


def _form(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value not in ("table", "json") and "{{" not in value:
        raise click.BadParameter(f"{value!r} is not one of 'table', 'json' and a template as '{{{{.ID}}}}'")
    return value


def _forms(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    return [each for each in ("table", "json") if each.startswith(begun)]


def format_option(command: F) -> F:
    """`--format table|json|TEMPLATE`, as the argument `form`."""
    option = click.option(
        "--format",
        "form",
        envvar="MOORING_FORMAT",
        callback=_form,
        shell_complete=_forms,
        default="table",
        show_default=True,
        metavar="table|json|TEMPLATE",
        help="table, json, or a template as in Docker's commands: '{{.ID}}', 'table {{.ID}}'.",
    )
    return option(command)


def dry_run_option(command: F) -> F:
    """`--dry-run`, as the argument `dry_run`."""
    return click.option("--dry-run", is_flag=True, help="Only show what would be done.")(command)


def space_option(command: F) -> F:
    """`--space NAME`, as the argument `space`."""
    from mooring.cli.suggestions import spaces

    option = click.option(
        "--space",
        default="",
        metavar="NAME",
        shell_complete=spaces,
        help="The address space, if several have the address.",
    )
    return option(command)


pass_connection = click.make_pass_decorator(Connection)
