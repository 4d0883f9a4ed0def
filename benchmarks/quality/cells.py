"""The cells of the table: what is pruned how, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

SEEDS = (0, 1, 2)
STEPS = 100
"""Optimiser steps of every decoder cell, pruning and recovery together (chosen)."""

EDITIONS = {"decoder": 2, "encoder": 3, "llm": 2, "direction": 2, "kprune": 1, "once": 1}
"""By group; raised when what its cells do changes: those of an earlier edition count as missing."""


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


DECODER = {
    "fine": (0.6, 0.7, 0.8),
    "head": (0.25, 0.5),
    "block:32": (0.6, 0.7, 0.8),
    "block:8": (0.8,),
    "vector:16": (0.6, 0.7, 0.8),
    "mvp": (0.6, 0.7, 0.8),
}
"""Pattern → sparsities; heads are counted within the attention matrices, which are a quarter."""

TRIED = (
    ("mvp", (("stages", "fine,vector:4"),)),
    ("mvp_tiled", ()),
    ("mvp", (("method", "gradual_magnitude"),)),
    ("fine", (("method", "gradual_magnitude"),)),
    ("mvp", (("first_scores", "zero"),)),
    ("fine", (("first_scores", "zero"),)),
    ("fine", (("steps", "300"),)),
    ("mvp", (("steps", "300"),)),
    ("block:32", (("steps", "300"),)),
    ("fine", (("steps", "300"), ("distill", "0.5"))),
    ("mvp", (("steps", "300"), ("distill", "0.5"))),
    ("mvp", (("vector_cost", "0.25"),)),
    ("mvp", (("vector_cost", "4"),)),
    ("mvp_tiled", (("vector_cost", "4"),)),
    ("fine", (("route", "oneshot"), ("update", "none"))),
    ("mvp", (("route", "oneshot"), ("update", "none"))),
    ("mvp", (("route", "oneshot"), ("update", "least_squares"))),
)
"""What might make mixed-length vectors lose less, at 0.8, and the same of others as a control."""

ENCODER = ("fine", "vector:16", "mvp", "block:8", "block:32", "head")
LLM = (
    ("fine", 0.5, (("score", "magnitude"),)),
    ("fine", 0.5, (("score", "wanda"),)),
    ("fine", 0.5, (("update", "sparsegpt"),)),
    ("2:4", 0.5, (("score", "magnitude"),)),
    ("2:4", 0.5, (("score", "wanda"),)),
    ("2:4", 0.5, (("update", "sparsegpt"),)),
    ("vector:16", 0.5, (("score", "magnitude"),)),
    ("vector:16", 0.5, (("score", "wanda"),)),
    ("vector:16", 0.5, (("update", "sparsegpt"),)),
    ("vector:16", 0.5, (("score", "wanda"), ("update", "least_squares"))),
)
"""The last is OBS' update of all rows for the vectors that go; its greedy choice of them
(`--update obs`) costs out · in³ for horizontal vectors, an hour and more on this model."""

FLOPS_REMOVED = (0.2, 0.4, 0.6, 0.8)
KPRUNE = ("kprune", "kwon", "magnitude", "random")
PARTS = ("tuning", "predictive", "representational", "one_by_one", "gauss_newton")
"""Taken away from K-prune one at a time, at 0.8, where most is lost."""

ONCE = (("fine", 0.85), ("fine", 0.9), ("mvp", 0.85), ("mvp", 0.9))
"""Students of Prune Once for All."""

DIRECTIONS = ("glassllm", "minilm", "smollm2", "dlmc")


def every_cell() -> Mapping[str, Cell]:
    """All cells by name, the ones the table rests on first."""
    cells = [Cell("decoder", "fine", 0.0)]
    for seed in SEEDS:
        cells += [
            Cell("decoder", pattern, sparsity, (), seed)
            for pattern, sparsities in DECODER.items()
            for sparsity in sparsities
        ]
    cells += [Cell("decoder", pattern, 0.8, options) for pattern, options in TRIED]
    cells += [Cell("encoder", pattern, s) for s in (0.6, 0.8) for pattern in ENCODER]
    cells += [Cell("llm", pattern, sparsity, options) for pattern, sparsity, options in LLM]
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


def with_seed(seed: int) -> Mapping[str, Cell]:
    """Each question of `every_cell` once, asked with this seed."""
    cells = [replace(cell, seed=seed) for cell in every_cell().values()]
    return {cell.name: cell for cell in cells}
