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
    "lora_prune",
    "recovery",
)

FIRST_SCORES = ("magnitude", "zero")

LEARNING_RATE_SCHEDULES = ("linear", "rewind")

QUANTIZE = ("none", "int8")

CHOICES = {
    "method": METHODS,
    "first_scores": FIRST_SCORES,
    "learning_rate_schedule": LEARNING_RATE_SCHEDULES,
    "quantize": QUANTIZE,
}
"""Settings that are words, and the words there are."""

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_NotNegative = Annotated[float, msgspec.Meta(ge=0)]
_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Whole = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True)
class Training:
    """How a model is pruned while it learns.

    method: of `METHODS`; see `methods`. recovery trains what a given mask keeps, or what of the
        model is not 0: a pattern lock.
    steps, batch, length: optimiser steps, examples of a step, tokens of an example (0: the
        model's own, at most 512).
    learning_rate, weight_decay: of AdamW on the weights; score_learning_rate: of Adam on scores.
    learning_rate_schedule: "linear" up and down once, or "rewind": it starts over with each mask.
    first_scores: hard movement starts from "magnitude", |W| in units of its matrix's mean, or, as
        published, from "zero", which takes thousands of steps to tell single weights apart.
    rank: of the factors of lora_prune, which learn at the rate of weights (8: as published).
    warmup, initial_warmup, final_warmup, first_sparsity, settle: see `schedule.Schedule`; warmup 0
        takes a tenth of the steps.
    every: steps from one new mask to the next.
    lock: once settled the mask stays and dropped weights are 0; else it goes on learning.
    stages: patterns of equal parts of the ramp before the recipe's own, e.g. ["fine", "vector:4"].
    distill: share of the loss that is the distance to the teacher, which is the dense model unless
        another is given; temperature: its T.
    clip: largest norm of the gradient of the weights.
    quantize: "int8": the model learns with the rounding of an 8-bit machine; see `quantization`.
    """

    method: str = "movement"
    steps: _Count = 200
    batch: _Count = 8
    length: _Whole = 0
    learning_rate: _Positive = 3e-4
    learning_rate_schedule: str = "linear"
    weight_decay: _NotNegative = 0.01
    score_learning_rate: _Positive = 1e-2
    first_scores: str = "magnitude"
    rank: _Count = 8
    warmup: _Whole = 0
    initial_warmup: _NotNegative = 1.0
    final_warmup: _NotNegative = 2.0
    first_sparsity: _Share = 0.0
    settle: _NotNegative = 0.0
    every: _Count = 1
    lock: bool = True
    stages: tuple[str, ...] = ()
    distill: _Share = 0.0
    temperature: _Positive = 2.0
    clip: _Positive = 1.0
    quantize: str = "none"

    def schedule(self, sparsity: float) -> Schedule:
        """The schedule up to `sparsity`.

        Raises:
            InputError: the phases do not fit into the steps, or not each other.
        """
        warmup = self.warmup or self.steps // 10
        rewinds = self.learning_rate_schedule == "rewind"
        return Schedule(
            self.steps,
            warmup,
            self.initial_warmup,
            self.final_warmup,
            self.first_sparsity,
            sparsity,
            self.settle,
            self.every if rewinds else 0,
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
        if values[key] == float("inf"):
            raise InputError(f"{where}: '{key}' is infinite; give a finite number")
    training = Training(**values)
    for key, choices in CHOICES.items():
        if (value := getattr(training, key)) not in choices:
            raise InputError(f"unknown {key} {value!r}{nearest(value, choices)}")
    return training


def as_json(training: Training) -> dict[str, Any]:
    """The settings as JSON-able data."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(training).items()
    }
