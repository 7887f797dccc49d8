"""What commands print: columns for people, JSON and templates for programs.

Rules: columns look as Docker's do; on a terminal long cells are folded to its width between words, so that no address
is ever cut, and elsewhere a line is a row, so that grep and awk work; text from outside cannot move the cursor.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

import click
import msgspec

from mooring.core.times import ago

GAP = 3


def printed(value: object, form: str) -> bool:
    """Print the value in a form for programs: as the API has it, or by a template, a line for each of a list.

    False for the form `table`, which is the command's own. Raises click.UsageError for a template that cannot be.
    """
    if form == "table":
        return False
    if form == "json":
        print_json(value)
        return True
    from mooring.cli.templates import TemplateInvalid, headers_of, rendered, unescaped

    template = unescaped(form)
    items = value if isinstance(value, list) else [value]
    rows = [msgspec.json.decode(msgspec.json.encode(item)) for item in items]
    table = template.startswith("table ")
    template = template.removeprefix("table ").lstrip() if table else template
    try:
        lines = [rendered(template, row) for row in rows]
    except TemplateInvalid as error:
        raise click.UsageError(f"--format: {error}") from None
    if table:
        print_table(headers_of(template).split("\t"), [_cells(line, template.count("\t") + 1) for line in lines])
    else:
        for line in lines:
            click.echo("\n".join("\t".join(map(clean, part.split("\t"))) for part in line.split("\n")))
    return True


def _cells(line: str, count: int) -> list[str]:
    cells = line.split("\t")
    return [*cells[: count - 1], " ".join(cells[count - 1 :]), *[""] * (count - len(cells))][:count]


def print_json(value: object) -> None:
    """The value as the API has it, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned columns under the headers."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_folded(headers, cells)
    else:
        _print_lines(headers, cells)


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


def percent(part: int, whole: int) -> str:
    """How much of the whole the part is; what is little and not nothing is said so."""
    share = 100 * part / whole if whole else 0.0
    return "<1 %" if 0 < share < 1 else f"{share:.0f} %"


def _print_lines(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[column]) for line in (headers, *rows)) for column in range(len(headers))]
    for line in (headers, *rows):
        click.echo((" " * GAP).join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_folded(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # rich costs 60 ms of import, so it is not even imported where the lines fit.
    from shutil import get_terminal_size

    columns = list(zip(headers, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    room = get_terminal_size().columns - GAP * (len(widths) - 1)
    if sum(widths) <= room:
        _print_lines(headers, rows)
        return
    # A word is never folded: it may be an address, and who reads on copies half of it.
    least = [max((len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    while sum(widths) > room and widths != least:
        widest = max(range(len(widths)), key=lambda number: (widths[number] > least[number], widths[number]))
        widths[widest] -= 1
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="")
    for header, width in zip(headers, widths, strict=True):
        table.add_column(header, width=width, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False, width=sum(widths) + GAP * len(widths))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())
