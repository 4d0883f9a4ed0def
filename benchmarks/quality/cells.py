"""The cells of the table: what is pruned how, as plain data."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparse_formats.files.atomic import json_text, write_text

CELLS = Path(__file__).parent / "cells"

SEEDS = (0, 1, 2)
STEPS = 100
"""Optimiser steps of the search and of most decoder cells, pruning and recovery together."""

LONGER = 300
"""Steps at which longer trainings search their learning rate."""

EDITIONS = {
    "search": 1, "decoder": 3, "tuned": 1, "encoder": 3, "llm": 2, "direction": 2, "kprune": 1,
    "once": 1,
}  # fmt: skip
"""By group; raised when what its cells do changes: those of an earlier edition count as missing."""


@dataclass(frozen=True)
class Rates:
    """What is tuned for each pattern.

    ramp_end: share of the steps after which the sparsity is reached. score_rate: learning rate of
    the scores.
    """

    learning_rate: float
    ramp_end: float
    score_rate: float


BEGINNING = Rates(0.006, 0.15, 0.01)
OLD_RATES = Rates(0.001, 0.6, 0.01)
TRIED_RATES: Mapping[str, tuple[float, ...]] = {
    "learning_rate": (0.003, 0.01, 0.015),
    "ramp_end": (0.3, 0.6),
    "score_rate": (0.001, 0.1),
}
"""The other values of each; one at a time leaves the beginning."""

TRIED_LONGER = (0.003, 0.006, 0.01)
TRIED_DENSE = (0.0015, 0.003, 0.006, 0.01)
"""Learning rates at 300 steps, and of the model that is not pruned, which has nothing else."""


@dataclass(frozen=True)
class Cell:
    """group: a key of `groups.GROUPS`. pattern: or the method. options: of the group's commands.

    sparsity: what is removed, of weights or (kprune) of FLOPs.
    """

    group: str
    pattern: str
    sparsity: float
    options: tuple[tuple[str, str], ...] = ()
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the cell's file."""
        return f"{self.question}_seed{self.seed}"

    @property
    def question(self) -> str:
        """What cells of different seeds have in common."""
        parts = [self.group, self.pattern.replace(":", "-"), f"{self.sparsity:g}"]
        parts += [value.replace(":", "-").replace(",", "_") for _, value in self.options]
        return "_".join(parts)


Options = tuple[tuple[str, str], ...]

BY_KIND: Options = (("orientation", "kind"),)
TUNED: Mapping[str, Options] = {
    "fine": (),
    "vector:8": BY_KIND,
    "vector:16": BY_KIND,
    "mvp": (),
    "block:8": (),
    "block:32": (),
    "1:4": (),
    "2:4": (),
}
"""Patterns of the decoder that are tuned, and the options that they are tuned with.

An order of the neurons, or another orientation, takes the settings of its pattern.
"""

SETTINGS_OF = {
    "vector:4": "vector:8",
    "vector:32": "vector:16",
    "lane_select:16:4": "vector:16",
    "two_level:16": "vector:16",
}
"""Patterns that are not tuned, for time, but take the settings of the nearest one that is."""

LONG = ("fine", "vector:8", "vector:16", "mvp")
"""Patterns that search the learning rate of longer trainings, too."""

PERMUTED: Options = (*BY_KIND, ("order", "permuted"))
RANDOM: Options = (("mask", "random"),)
OLD: Options = (("settings", "old"),)
"""One untuned learning rate and a late ramp: what an earlier edition of the page compared with."""

FROM_ZERO: Options = (("first_scores", "zero"),)
"""As movement was published, for thousands of steps."""

DECODER: tuple[tuple[str, Options, Mapping[int, int]], ...] = (
    ("fine", (), {100: 3, 300: 3, 600: 3}),
    ("fine", RANDOM, {100: 3}),
    ("vector:4", BY_KIND, {100: 1}),
    ("vector:8", BY_KIND, {100: 3, 600: 1}),
    ("vector:16", BY_KIND, {100: 3, 300: 1, 600: 3}),
    ("vector:16", (), {100: 1}),
    ("vector:16", (*BY_KIND, *RANDOM), {100: 3}),
    ("vector:32", BY_KIND, {100: 1}),
    ("vector:8", PERMUTED, {100: 3, 300: 1, 600: 3}),
    ("vector:16", PERMUTED, {100: 3, 300: 1, 600: 3}),
    ("fine", OLD, {100: 1}),
    ("vector:16", (*BY_KIND, *OLD), {100: 1}),
    ("vector:16", (*BY_KIND, *RANDOM, *OLD), {100: 1}),
    ("mvp", (), {100: 3, 300: 1, 600: 3}),
    ("mvp", BY_KIND, {100: 1}),
    ("mvp", PERMUTED, {100: 3, 300: 1, 600: 3}),
    ("mvp", (("order", "permuted"),), {100: 1}),
    ("fine", (("distill", "0.5"),), {100: 1}),
    ("fine", FROM_ZERO, {100: 1}),
    ("mvp", FROM_ZERO, {100: 1}),
    ("lane_select:16:4", PERMUTED, {100: 3, 300: 1, 600: 3}),
    ("two_level:16", PERMUTED, {100: 1, 600: 1}),
    ("block:8", (), {100: 3}),
    ("block:32", (), {100: 3}),
    ("1:4", (), {100: 3}),
    ("2:4", (), {100: 3}),
)
"""Pattern, options, and how many seeds at how many steps."""


def sparsity_of(pattern: str) -> float:
    """What the pattern says itself; 0.8 elsewhere."""
    return {"1:4": 0.75, "2:4": 0.5}.get(pattern, 0.8)


def searched(pattern: str, sparsity: float, steps: int) -> list["Cell"]:
    """The cells that choose the settings of a pattern for so many steps (100 or 300)."""
    tried: list[Options] = []
    if steps != STEPS or sparsity == 0:
        rates = TRIED_DENSE if sparsity == 0 else TRIED_LONGER
        tried += [(("learning_rate", f"{rate:g}"),) for rate in rates]
    else:
        tried.append(())
        tried += [((name, f"{v:g}"),) for name, values in TRIED_RATES.items() for v in values]
    always: Options = (("steps", str(steps)), *TUNED[pattern])
    return [Cell("search", pattern, sparsity, (*always, *options)) for options in tried]


def _decoder() -> list["Cell"]:
    """The search, then what it is for."""
    cells = [c for steps in (STEPS, LONGER) for c in searched("fine", 0.0, steps)]
    for pattern in TUNED:
        cells += searched(pattern, sparsity_of(pattern), STEPS)
    for pattern in LONG:
        cells += searched(pattern, 0.8, LONGER)

    cells += [Cell("decoder", "fine", 0.0, (("steps", f"{n}"),)) for n in (STEPS, 300, 600)]
    for pattern, options, seeds in DECODER:
        cells += [
            Cell("decoder", pattern, sparsity_of(pattern), (("steps", f"{n}"), *options), seed)
            for n, count in seeds.items()
            for seed in SEEDS[:count]
        ]
    return cells


TUNED_ENCODER = ("fine", "mvp")
TUNED_RATES = (1e-4, 3e-4)


def tuned_search(pattern: str) -> list["Cell"]:
    """The cells that choose the learning rate of a pattern on SST-2."""
    return [
        Cell("tuned", pattern, 0.8, (*TUNED[pattern], ("learning_rate", f"{rate:g}")))
        for rate in TUNED_RATES
    ]


def _tuned() -> list["Cell"]:
    cells = [Cell("tuned", "fine", 0.0)]
    for pattern in TUNED_ENCODER:
        cells += tuned_search(pattern)
    for seed in SEEDS:
        cells += [Cell("tuned", pattern, 0.8, TUNED[pattern], seed) for pattern in TUNED_ENCODER]
    cells.append(Cell("tuned", "fine", 0.8, RANDOM))
    return cells


TRIED_METHODS: tuple[Options, ...] = (
    (("method", "regrowth"), ("settle", "4.5")),
    (("method", "group_lasso"),),
    (("method", "gradual_magnitude"),),
    (("distill", "0.5"),),
)
"""What might help vectors of 16 while they train; gradual magnitude is what the first two add to.

Vectors come back until 60 % of the steps.
"""

SOLVED: Options = (("score", "obs"), ("update", "least_squares"))
OBS: Options = (("score", "obs"), ("update", "obs"))
SPARSEGPT: Options = (("update", "sparsegpt"),)
MOVED: Options = (("orientation", "kind"), ("order", "permuted"))
"""Ways to prune at once: OBS chooses each weight alone or tile by tile; then units may be moved."""

ENCODER = ("fine", "vector:16", "mvp", "block:8", "block:32", "head")
"""By magnitude, at 0.6 and 0.8."""

ENCODER_CALIBRATED: tuple[tuple[str, float, Options], ...] = (
    ("fine", 0.8, SOLVED),
    ("vector:16", 0.8, SOLVED),
    ("vector:16", 0.8, OBS),
    ("vector:16", 0.8, (*OBS, *MOVED)),
    ("vector:8", 0.8, OBS),
    ("vector:8", 0.8, (*OBS, *MOVED)),
    ("vector:4", 0.8, SOLVED),
    ("vector:4", 0.8, OBS),
    ("vector:4", 0.8, (*OBS, *MOVED)),
    ("lane_select:16:4", 0.8, SOLVED),
    ("mvp", 0.8, SOLVED),
    ("mvp", 0.8, (*SOLVED, *MOVED)),
    ("fine", 0.8, OBS),
    ("fine", 0.6, SOLVED),
    ("vector:16", 0.6, OBS),
    ("mvp", 0.6, SOLVED),
)

LLM: tuple[tuple[str, float, Options], ...] = (
    *(
        row
        for sparsity in (0.8, 0.6)
        for row in (
            ("fine", sparsity, SOLVED),
            ("vector:16", sparsity, OBS),
            ("mvp", sparsity, SOLVED),
            ("vector:8", sparsity, OBS),
            ("vector:16", sparsity, (*OBS, *MOVED)),
            ("mvp", sparsity, (*SOLVED, *MOVED)),
            ("vector:8", sparsity, (*OBS, *MOVED)),
            ("fine", sparsity, SPARSEGPT),
            ("vector:16", sparsity, SOLVED),
            ("vector:16", sparsity, SPARSEGPT),
        )
    ),
    ("fine", 0.5, (("score", "magnitude"),)),
    ("fine", 0.5, (("score", "wanda"),)),
    ("fine", 0.5, SPARSEGPT),
    ("2:4", 0.5, (("score", "magnitude"),)),
    ("2:4", 0.5, (("score", "wanda"),)),
    ("2:4", 0.5, SPARSEGPT),
    ("vector:16", 0.5, (("score", "magnitude"),)),
    ("vector:16", 0.5, (("score", "wanda"),)),
    ("vector:16", 0.5, SPARSEGPT),
    ("vector:16", 0.5, (("score", "wanda"), ("update", "least_squares"))),
    ("vector:16", 0.5, OBS),
)

ON_GPU = ("fine", "vector:16", "vector:8", "mvp")
ON_GPU_STEPS = 300
"""What `benchmarks.quality.gpu` trains on SmolLM2 at 0.8, not run with the others."""

FLOPS_REMOVED = (0.2, 0.4, 0.6, 0.8)
KPRUNE = ("kprune", "kwon", "magnitude", "random")
PARTS = ("tuning", "predictive", "representational", "one_by_one", "gauss_newton")
"""Taken away from K-prune one at a time, at 0.8, where most is lost."""

ONCE = (("fine", 0.85), ("fine", 0.9), ("mvp", 0.85), ("mvp", 0.9))
"""Students of Prune Once for All."""

DIRECTIONS = ("glassllm", "minilm", "smollm2", "dlmc")


def every_cell() -> Mapping[str, Cell]:
    """All cells by name, the ones the table rests on first."""
    cells = _decoder() + _tuned()
    cells += [
        Cell("decoder", "vector:16", 0.8, (("steps", f"{STEPS}"), *BY_KIND, *tried), seed)
        for seed in SEEDS[:2]
        for tried in TRIED_METHODS
    ]
    cells += [Cell("encoder", pattern, s) for s in (0.6, 0.8) for pattern in ENCODER]
    cells += [Cell("encoder", *cell) for cell in ENCODER_CALIBRATED]
    cells += [Cell("llm", *cell) for cell in LLM]
    cells += [Cell("direction", "fine", 0.8, (("model", name),)) for name in DIRECTIONS]
    cells += [
        Cell("direction", "fine", 0.8, (("model", name), ("trained", "movement")))
        for name in ("minilm", "smollm2")
    ]
    cells.append(Cell("kprune", "kprune", 0.0))
    for seed in SEEDS:
        cells += [Cell("kprune", method, s, (), seed) for s in FLOPS_REMOVED for method in KPRUNE]
    for seed in SEEDS:
        cells += [Cell("kprune", "kprune", 0.8, (("without", part),), seed) for part in PARTS]
    cells += [
        Cell("once", pattern, s, (("task", "language"),)) for pattern, s in (("fine", 0.0), *ONCE)
    ]
    cells.append(Cell("once", "fine", 0.9, (("task", "language"), ("route", "longer"))))
    for task in ("sst2", "brown"):
        cells.append(Cell("once", "fine", 0.0, (("task", task), ("route", "dense"))))
        cells += [
            Cell("once", pattern, s, (("task", task), ("route", route)))
            for route in ("once", "alone")
            for pattern, s in ONCE
        ]
        cells += [
            Cell("once", "fine", 0.9, (("task", task), ("route", route)))
            for route in ("alone_longer", "once_longer", "alone_brief", "once_brief")
        ]
    return {cell.name: cell for cell in cells}


def on_gpu() -> Mapping[str, Cell]:
    """The cells that need a GPU, by name."""
    always = (("steps", str(ON_GPU_STEPS)),)
    cells = [Cell("llm", p, 0.8, (*always, *TUNED.get(p, ()))) for p in ON_GPU]
    return {cell.name: cell for cell in cells}


def with_seed(seed: int) -> Mapping[str, Cell]:
    """Each question of `every_cell` once, asked with this seed; the search stays as it is."""
    every = every_cell().values()
    cells = [cell if _chooses(cell) else replace(cell, seed=seed) for cell in every]
    return {cell.name: cell for cell in cells}


def _chooses(cell: Cell) -> bool:
    return cell.group == "search" or "learning_rate" in dict(cell.options)


def is_done(cell: Cell, folder: Path = CELLS) -> bool:
    """Whether the cell's file is there, of its group's edition."""
    file = folder / f"{cell.name}.json"
    return file.is_file() and read_cell(cell, folder).get("edition") == EDITIONS[cell.group]


def read_cell(cell: Cell, folder: Path = CELLS) -> dict[str, Any]:
    """The account of a finished cell."""
    return json.loads((folder / f"{cell.name}.json").read_text("utf-8"))


def write_cell(cell: Cell, seconds: float, found: Mapping[str, Any], folder: Path = CELLS) -> None:
    """Write what was found of the cell, and what the cell is."""
    account = {
        "cell": cell.name,
        "edition": EDITIONS[cell.group],
        "group": cell.group,
        "pattern": cell.pattern,
        "sparsity": cell.sparsity,
        "options": dict(cell.options),
        "seed": cell.seed,
        "seconds": round(seconds, 1),
        "python": platform.python_version(),
        **found,
    }
    write_text(folder / f"{cell.name}.json", json_text(account))
