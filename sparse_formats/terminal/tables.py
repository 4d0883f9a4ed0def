"""Tables for terminals of any width: numbers are never cut, columns leave by rank.

Rich draws them; this file decides what fits.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparse_formats.untrusted import printable, printable_lines

LONGEST_NAME = 44
"""A longer first cell is cut in the middle, where layer names differ least."""

_GAP = 2


@dataclass(frozen=True)
class Column:
    """header: may have line breaks. rank: 0 is always shown, the highest leaves first."""

    header: str
    align: Literal["left", "right"] = "left"
    rank: int = 0


class SafeConsole(Console):
    """A console whose text cannot steer the terminal."""

    def render_str(self, text: str, **style: Any) -> Text:
        return super().render_str(printable_lines(text), **style)


def new_console(is_stderr: bool = False) -> Console:
    """A console that prints text as it is, but for what cannot be seen.

    It does not break lines for a file or a pipe.
    """
    console = SafeConsole(stderr=is_stderr, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        console.width = sys.maxsize >> 32
    return console


def say(text: str) -> None:
    """Print `text` on standard output as a line that is not broken."""
    new_console().print(text, soft_wrap=True)


def print_table(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    total: Sequence[str] | None = None,
    footnotes: Sequence[str] = (),
) -> None:
    """Print `rows` under `columns`, then `total` in bold, then which columns found no room."""
    cells = [[elided(printable(name)), *map(printable, rest)] for name, *rest in rows]
    last = None if total is None else [printable(cell) for cell in total]
    every = cells if last is None else [*cells, last]
    shown = _fitting(columns, every, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_edge=False)
    for i in shown:
        # Rich must not narrow what stays: wider than the terminal, lines wrap whole.
        widest = _widest(columns, every, i)
        table.add_column(columns[i].header, justify=columns[i].align, width=widest, no_wrap=True)
    for row in cells:
        table.add_row(*(Text(row[i]) for i in shown))
    if last is not None:
        table.add_row(*(Text(last[i]) for i in shown), style="bold")
    if title:
        console.print(printable(title), soft_wrap=True)
    width = console.width
    console.width = max(width, _width(columns, every, shown))
    console.print(table)
    console.width = width
    for line in footnotes:
        console.print(printable(line), soft_wrap=True)
    if len(shown) < len(columns):
        hidden = [
            columns[i].header.replace("-\n", "").replace("\n", " ")
            for i in range(len(columns))
            if i not in shown
        ]
        needed = _width(columns, every, range(len(columns)))
        console.print(
            f"not shown at this width: {', '.join(hidden)} (needs {needed} columns, or --json)",
            soft_wrap=True,
        )


def elided(text: str) -> str:
    """`text` with its middle left out where it is longer than `LONGEST_NAME`."""
    if len(text) <= LONGEST_NAME:
        return text
    half = (LONGEST_NAME - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def _fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Indices of the columns that fit into `width`, leaving out the highest ranks first."""
    shown = list(range(len(columns)))
    for i in sorted(shown, key=lambda i: (-columns[i].rank, -i)):
        if _width(columns, rows, shown) <= width or columns[i].rank == 0:
            break
        shown.remove(i)
    return shown


def _width(columns: Sequence[Column], rows: Sequence[Sequence[str]], shown: Sequence[int]) -> int:
    return sum(_widest(columns, rows, i) + _GAP for i in shown)


def _widest(columns: Sequence[Column], rows: Sequence[Sequence[str]], i: int) -> int:
    lines = [*columns[i].header.split("\n"), *(row[i] for row in rows)]
    return max(Text(line).cell_len for line in lines)
