"""What every `ls` has: columns, some of them for `-o wide` only, `-q`, `--filter` and `--no-trunc`.

Rules: as Docker has them: filters of one key are alternatives, of several keys all must hold; what is not known as a
key is refused with those that are, and a network or an address space that is not there is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

# Digits of an id that Docker shows.
SHORT = 12


@dataclass(frozen=True, slots=True)
class Style:
    """How a list is to be shown. whole: ids are not cut."""

    form: str = "table"
    wide: bool = False
    quiet: bool = False
    whole: bool = False
    filters: tuple[str, ...] = ()

    def short(self, ident: str) -> str:
        """The id, or its beginning."""
        return ident if self.whole else ident[:SHORT]


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """value: the cell of a row. wide: only with `-o wide`."""

    header: str
    value: Callable[[R, Style], str]
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """quiet: what `-q` prints of a row. filters: by key, whether a row matches a value.

    exists: by key, what asks the daemon for a value that no row has, and raises if there is no such thing at all.
    """

    columns: Sequence[Column[R]]
    quiet: Callable[[R, Style], str]
    filters: Mapping[str, Callable[[R, str], bool]]
    exists: Mapping[str, Callable[[str], object]] = field(default_factory=dict)

    def show(self, rows: Sequence[R], style: Style) -> None:
        """Print those that the filters leave. Raises click.UsageError for a filter that cannot be."""
        from mooring.cli.tables import clean, print_table, printed

        left = self.left(rows, style.filters)
        if style.quiet:
            for row in left:
                click.echo(clean(self.quiet(row, style)))
        elif not printed(left, style.form):
            columns = [column for column in self.columns if style.wide or not column.wide]
            print_table(
                [column.header for column in columns],
                [[column.value(row, style) for column in columns] for row in left],
            )

    def left(self, rows: Sequence[R], filters: Sequence[str]) -> list[R]:
        """The rows that match. Raises click.UsageError, and what `exists` raises."""
        wanted = wanted_of(filters, self.filters)
        for key, exists in self.exists.items():
            for value in filter(None, wanted.get(key, ())):
                if not any(self.filters[key](row, value) for row in rows):
                    exists(value)
        return [
            row for row in rows
            if all(any(self.filters[key](row, value) for value in values) for key, values in wanted.items())
        ]  # fmt: skip


def wanted_of(filters: Sequence[str], known: Mapping[str, object]) -> dict[str, list[str]]:
    """Key -> values of `--filter KEY=VALUE`. Raises click.UsageError."""
    wanted: dict[str, list[str]] = {}
    for text in filters:
        key, sign, value = text.partition("=")
        key = key.strip().lower()
        if not sign or key not in known:
            raise click.UsageError(f"--filter {text!r}: write KEY=VALUE, where KEY is one of {', '.join(known)}")
        wanted.setdefault(key, []).append(value.strip())
    return wanted


def one_of(known: Sequence[str], value: str) -> str:
    """The value as it is known, however it is written. Raises click.UsageError for any other."""
    found = next((each for each in known if each.lower() == value.lower()), None)
    if found is None:
        raise click.UsageError(f"--filter: {value!r} is not one of {', '.join(known)}")
    return found


def truth(value: str) -> bool:
    """What Docker's filters take for yes and no. Raises click.UsageError."""
    if value.lower() in ("1", "true", "yes"):
        return True
    if value.lower() in ("0", "false", "no"):
        return False
    raise click.UsageError(f"--filter: {value!r} is neither true nor false")


def listed_options(keys: Sequence[str]) -> Callable[[F], F]:
    """`--format`, `-o wide`, `-q`, `--no-trunc` and `--filter`, put together as the argument `style`. keys: of filters,
    for help and completion."""
    from functools import wraps

    from mooring.cli.options import format_option

    def complete(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
        return [f"{key}=" for key in keys if key.startswith(begun)]

    def decorate(command: F) -> F:
        @wraps(command)
        def with_style(
            *arguments: object, form: str, output: str | None, quiet: bool, whole: bool, filters: tuple[str, ...],
            **options: object,
        ) -> object:  # fmt: skip
            form = "json" if output == "json" else form
            return command(*arguments, style=Style(form, output == "wide", quiet, whole, filters), **options)

        decorated: Any = with_style
        for option in (
            click.option("--no-trunc", "whole", is_flag=True, help="Do not truncate IDs."),
            click.option("-q", "--quiet", is_flag=True, help="Only print IDs or addresses."),
            click.option(
                "-o", "--output", type=click.Choice(["wide", "json"]), help="More columns, or as with --format json."
            ),
            click.option(
                "-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", shell_complete=complete,
                help=f"Filter by KEY=VALUE; keys: {', '.join(keys)}.",
            ),
            format_option,
        ):  # fmt: skip
            decorated = option(decorated)
        made: F = decorated
        return made

    return decorate
