"""Options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mooring.wire.api import Call

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Connection:
    """Where the daemon is. Nothing is dialled before the first question."""

    def __init__(self, socket: str) -> None:
        self.socket = socket

    def ask(self, call: Call, reply: type[T]) -> T:
        """The daemon's answer. Raises the fault that it told, or Unavailable when it cannot be reached."""
        from mooring.cli.clients import ask

        return ask(self.socket, call, reply)


def format_option(command: F) -> F:
    """`--format table|json`, as the argument `form`."""
    option = click.option(
        "--format",
        "form",
        envvar="MOORING_FORMAT",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="A table to read, or the API's JSON.",
    )
    return option(command)


def dry_run_option(command: F) -> F:
    """`--dry-run`, as the argument `dry_run`."""
    return click.option("--dry-run", is_flag=True, help="Only say what would be done.")(command)


def space_option(command: F) -> F:
    """`--space NAME`, as the argument `space`."""
    option = click.option("--space", default="", metavar="NAME", help="The address space, where several have it.")
    return option(command)


pass_connection = click.make_pass_decorator(Connection)
