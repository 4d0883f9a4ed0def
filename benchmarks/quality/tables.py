"""Tables of the page."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

Cells = Sequence[dict[str, Any]]
"""The accounts of finished cells, as their files hold them."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def spread(values: Sequence[float], form: str = ".1f") -> str:
    """The mean, and one standard deviation where there are several."""
    shown = format(mean(values), form)
    return f"{shown} ± {format(stdev(values), form)}" if len(values) > 1 else shown


def what(cell: dict[str, Any]) -> str:
    """The pattern and the options of a cell."""
    return ", ".join([cell["pattern"], *(f"{k} {v}" for k, v in cell["options"].items())])
