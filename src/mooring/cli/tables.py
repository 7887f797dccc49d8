"""What commands print: columns for people, JSON for programs.

Rules: columns look as Docker's do; on a terminal long cells are folded to its width, elsewhere a line is a row, so that
grep and awk work; text from outside cannot move the cursor.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

import click
import msgspec

from mooring.core.moments import ago

GAP = 3


def print_json(value: object) -> None:
    """The value as the API has it, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned columns under the headers."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_folded(headers, cells)
        return
    widths = [max(len(line[column]) for line in (headers, *cells)) for column in range(len(headers))]
    for line in (headers, *cells):
        click.echo((" " * GAP).join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Names and values below each other; a fact without a value is left out."""
    shown = [(name, clean(value)) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0) + 1
    for name, value in shown:
        click.echo(f"{name + ':':<{width}}  {value}")


def clean(text: str) -> str:
    """The text without control characters."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def since(moment: float) -> str:
    """How long ago that was."""
    return ago(time.time() - moment)


def _print_folded(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # rich costs 60 ms of import, so it is not even imported where the lines fit.
    from shutil import get_terminal_size

    widths = [max(len(line[column]) for line in (headers, *rows)) for column in range(len(headers))]
    if sum(widths) + GAP * (len(widths) - 1) <= get_terminal_size().columns:
        for line in (headers, *rows):
            click.echo((" " * GAP).join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*headers, box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False, emoji=False).print(table)
