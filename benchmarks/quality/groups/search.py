"""The settings of each pattern: glassllm, measured on the last tenth of `valid`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.quality.cells import Cell
from benchmarks.quality.commands import evaluated
from benchmarks.quality.groups.decoder import trained
from benchmarks.quality.protocol import SETTINGS, parts, rates_of
from benchmarks.quality.tables import Cells, table


def measure(cell: Cell, data: Path, folder: Path) -> dict[str, Any]:
    """Train with the settings of the cell, and read the validation text."""
    rates, text = rates_of(cell), parts(data)
    account = trained(cell, rates, text.train, folder)
    figures = evaluated("--model", folder / "saved", "--text", text.validation, "--no-floors")
    return {
        "rates": asdict(rates),
        "perplexity": figures["dense"]["per_token"],
        "last_loss": account["losses"][-1],
    }


def section(cells: Cells) -> list[str]:
    """The perplexities of the search, one row for each pattern and length."""
    rows: dict[tuple[str, float, int], dict[str, float]] = {}
    for cell in cells:
        steps = int(cell["options"]["steps"])
        key = (cell["pattern"], cell["sparsity"], steps)
        rest = {k: v for k, v in cell["options"].items() if k in SETTINGS}
        title = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in rest.items()) or "the beginning"
        rows.setdefault(key, {})[title] = cell["perplexity"]
    titles = sorted({title for row in rows.values() for title in row})
    lines = [
        [
            "dense" if sparsity == 0 else pattern,
            f"{steps}",
            *(f"{row[title]:.2f}" if title in row else "" for title in titles),
        ]
        for (pattern, sparsity, steps), row in sorted(rows.items(), key=lambda item: item[0])
    ]
    minutes = sum(cell["seconds"] for cell in cells) / 60
    return [
        "## The search: glassllm's settings on the validation text\n",
        "Perplexity per token on the last tenth of `valid`, one seed. The search begins at a "
        "learning rate of 0.006, a ramp that ends after 15 % of the steps and a learning rate of "
        "scores of 0.01; one of them leaves it at a time, and the best value of each goes into the "
        "cells below. Trainings of 300 and 600 steps take the learning rate that is best at 300, "
        f"and the rest from 100. The search took {minutes:.0f} minutes.\n",
        table(["pattern", "steps", *titles], lines),
    ]
