"""How patterns are tuned before they are compared: the same small search for each.

The last tenth of WikiText-2's `valid` chooses the settings, the rest of it trains; `test` is read
once, by the final cell. At 100 steps one setting at a time leaves the beginning of the search; the
best value of each goes into the final cells. Longer trainings search the learning rate anew, at 300
steps, and take the rest from 100.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from benchmarks.quality.cells import (
    BEGINNING,
    LONGER,
    SETTINGS_OF,
    STEPS,
    Cell,
    Rates,
    is_done,
    read_cell,
    searched,
)
from benchmarks.quality.commands import CACHE
from sparse_formats.errors import InputError
from sparse_formats.files.atomic import write_text

SETTINGS = tuple(field.name for field in fields(Rates))

HELD_OUT = 0.1
"""Share of `valid` that tunes and chooses."""


@dataclass(frozen=True)
class Parts:
    """The text that trains and the text that chooses."""

    train: Path
    validation: Path


def parts(data: Path) -> Parts:
    """`valid` of WikiText-2 in two, at the end of a line; written once."""
    found = Parts(CACHE / "wikitext-train.txt", CACHE / "wikitext-validation.txt")
    if not (found.train.exists() and found.validation.exists()):
        text = (data / "wikitext-2" / "valid.txt").read_text("utf-8")
        cut = text.index("\n", round(len(text) * (1 - HELD_OUT))) + 1
        CACHE.mkdir(parents=True, exist_ok=True)
        write_text(found.train, text[:cut])
        write_text(found.validation, text[cut:])
    return found


def training(steps: int, rates: Rates) -> dict[str, Any]:
    """The table [training] of a recipe.

    The unit of its phases is a tenth of the steps: the learning rate rises that long, and the
    sparsity begins to rise after half of it.
    """
    return {
        "steps": steps,
        "batch": 8,
        "length": 128,
        "learning_rate": rates.learning_rate,
        "score_learning_rate": rates.score_rate,
        "every": 5,
        "initial_warmup": 0.5,
        "final_warmup": round(10 * (1 - rates.ramp_end), 6),
    }


def rates_of(cell: Cell) -> Rates:
    """The settings of a cell of the search: its own, and what it leaves open as chosen before."""
    options = dict(cell.options)
    steps = int(options["steps"])
    rates = BEGINNING if steps == STEPS else chosen(cell.pattern, cell.sparsity, STEPS)
    values = {key: float(options[key]) for key in SETTINGS if key in options}
    return replace(rates, **values)


def chosen(pattern: str, sparsity: float, steps: int) -> Rates:
    """The best settings on the validation text, of the cells that `searched` lists.

    Raises:
        InputError: one of them is missing.
    """
    pattern = SETTINGS_OF.get(pattern, pattern)
    length = STEPS if steps == STEPS else LONGER
    cells = searched(pattern, sparsity, length)
    missing = [cell.name for cell in cells if not is_done(cell)]
    if missing:
        raise InputError(f"the search is not finished: {', '.join(missing)}; run them first")
    # A cell speaks for the setting that it varies, and the beginning for all of them.
    varied = {name for cell in cells for name, _ in cell.options if name in SETTINGS}
    best: dict[str, tuple[float, float]] = {}
    for cell in cells:
        perplexity, tried = read_cell(cell)["perplexity"], vars(rates_of(cell))
        own = {name for name, _ in cell.options if name in SETTINGS}
        for name in own or varied:
            best[name] = min(best.get(name, (math.inf, 0.0)), (perplexity, tried[name]))
    rates = BEGINNING if length == STEPS else chosen(pattern, sparsity, STEPS)
    return replace(rates, **{name: value for name, (_, value) in best.items()})


def recipe(
    folder: Path,
    own: Mapping[str, Any],
    trained: Mapping[str, Any],
) -> Path:
    """A recipe of the settings in `own`, with the table [training]."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in own.items()]
    lines += ["[training]", *(f"{key} = {json.dumps(value)}" for key, value in trained.items())]
    path = folder / "recipe.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
