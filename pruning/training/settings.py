"""The table [training] of a recipe: every knob of a training run."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec

from pruning.training.schedule import Schedule
from sparse_formats.errors import InputError, nearest

METHODS = (
    "movement",
    "soft_movement",
    "l0",
    "gradual_magnitude",
    "head_gates",
    "recovery",
)

FIRST_SCORES = ("magnitude", "zero")

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Whole = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True)
class Training:
    """How a model is pruned while it learns.

    method: of `METHODS`; see `methods`. recovery trains what a given mask keeps.
    steps, batch, length: optimiser steps, examples of a step, tokens of an example (0: the
        model's own, at most 512).
    learning_rate, weight_decay: of AdamW on the weights; score_learning_rate: of Adam on scores.
    first_scores: hard movement starts from "magnitude", |W| in units of its matrix's mean, or, as
        published, from "zero", which takes thousands of steps to tell single weights apart.
    warmup, initial_warmup, final_warmup, first_sparsity: see `schedule.Schedule`; warmup 0 takes
        a tenth of the steps.
    every: steps from one new mask to the next.
    lock: after the ramp the mask stays and dropped weights are 0; else it goes on learning.
    stages: patterns of equal parts of the ramp before the recipe's own, e.g. ["fine", "vector:4"].
    distill: share of the loss that is the distance to the dense model; temperature: its T.
    clip: largest norm of the gradient of the weights.
    """

    method: str = "movement"
    steps: _Count = 200
    batch: _Count = 8
    length: _Whole = 0
    learning_rate: _Positive = 3e-4
    weight_decay: Annotated[float, msgspec.Meta(ge=0)] = 0.01
    score_learning_rate: _Positive = 1e-2
    first_scores: str = "magnitude"
    warmup: _Whole = 0
    initial_warmup: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    final_warmup: Annotated[float, msgspec.Meta(ge=0)] = 2.0
    first_sparsity: _Share = 0.0
    every: _Count = 1
    lock: bool = True
    stages: tuple[str, ...] = ()
    distill: _Share = 0.0
    temperature: _Positive = 2.0
    clip: _Positive = 1.0

    def schedule(self, sparsity: float) -> Schedule:
        """The schedule up to `sparsity`.

        Raises:
            InputError: the phases do not fit into the steps.
        """
        warmup = self.warmup or self.steps // 10
        return Schedule(
            self.steps,
            warmup,
            self.initial_warmup,
            self.final_warmup,
            self.first_sparsity,
            sparsity,
        )


def read_training(path: Path | None, flags: Mapping[str, Any]) -> Training:
    """The table [training] of the recipe `path`, with `flags` that are not None on top.

    Raises:
        InputError: an unreadable file; a key unknown, mistyped or out of range, by its name.
    """
    table: Mapping[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text("utf-8")).get("training", {})
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"recipe {path} cannot be read: {error}") from error
    given = {**table, **{key: value for key, value in flags.items() if value is not None}}
    hints = get_type_hints(Training, include_extras=True)
    values: dict[str, Any] = {}
    for key, value in given.items():
        where = f"recipe {path}: [training]" if key in table else "training"
        if key not in hints:
            raise InputError(f"{where}: unknown key '{key}'{nearest(key, hints)}")
        try:
            values[key] = msgspec.convert(value, hints[key], strict=not isinstance(value, int))
        except msgspec.ValidationError as error:
            raise InputError(f"{where}: '{key}' is {value!r}: {error}") from None
    training = Training(**values)
    if training.method not in METHODS:
        raise InputError(f"unknown method {training.method!r}{nearest(training.method, METHODS)}")
    if training.first_scores not in FIRST_SCORES:
        raise InputError(
            f"unknown first_scores {training.first_scores!r}"
            f"{nearest(training.first_scores, FIRST_SCORES)}"
        )
    return training


def as_json(training: Training) -> dict[str, Any]:
    """The settings as JSON-able data."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(training).items()
    }
