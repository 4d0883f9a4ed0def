"""Settings of a training run: flags of `train`, and the table [training] of its recipe."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pruning.knobs import with_knobs
from pruning.models.precision import PRECISIONS
from pruning.recipe import Recipe
from pruning.training.methods import METHODS
from pruning.training.schedule import Schedule
from sparse_formats.terminal.setting_values import checked as with_values
from sparse_formats.terminal.setting_values import read
from sparse_formats.terminal.settings import (
    Count,
    NotNegative,
    Positive,
    Share,
    Whole,
    group,
    option,
    settings_of,
)

QUANTIZE = ("none", "int8")

RATES = (2e-5, 6e-3)
"""The smallest and the largest learning rate that follow from the size of a model (chosen)."""

LEARNING_RATE_SCHEDULES = ("linear", "rewind")


@dataclass(frozen=True)
class BareTraining:
    """What a training has whatever its method; `Training` adds the knobs of all methods."""

    method: str = option(
        "Method that decides which weights are kept. recovery trains what a given mask keeps.",
        default="movement",
        choices=METHODS,
    )
    steps: Count = option("Steps of the optimiser.", default=200)
    batch: Count = option("Examples that a process computes at once.", default=8)
    accumulate: Count = option(
        "Batches of a process whose gradients are added up to one step.", default=1
    )
    length: Whole = option(
        "Tokens of an example. With 0 it is the model's own length, at most 512.", default=0
    )
    learning_rate: NotNegative = option(
        "Learning rate of the weights (AdamW). With 0 it follows from the size of the model: "
        f"{RATES[1]:g} divided by the millions of parameters, from {RATES[0]:f} to {RATES[1]:g}.",
        default=0.0,
    )
    learning_rate_schedule: str = option(
        "Course of the learning rate: linear goes up and down once, rewind starts over with each "
        "new mask.",
        default="linear",
        choices=LEARNING_RATE_SCHEDULES,
    )
    weight_decay: NotNegative = option("Weight decay of AdamW.", default=0.01)
    score_learning_rate: Positive = option(
        "Learning rate of scores and gates (Adam).", default=1e-2
    )
    warmup: Whole = option(
        "Steps of warm-up, the unit of the following phases. With 0 it is a tenth of all steps.",
        default=0,
    )
    initial_warmup: NotNegative | None = option(
        "Warm-ups before the sparsity begins to rise.",
        default=None,
        otherwise="those of 5 % of the steps with method movement, 1 with others",
    )
    final_warmup: NotNegative | None = option(
        "Warm-ups that remain after the sparsity has risen.",
        default=None,
        otherwise="those after 15 % of the steps with method movement, 2 with others",
    )
    first_sparsity: Share = option("Sparsity that the rise begins at.", default=0.0)
    settle: NotNegative = option(
        "Warm-ups after the rise in which the mask may still change.", default=0.0
    )
    every: Count = option("Steps from one new mask to the next.", default=1)
    lock: bool = option(
        "Keep the mask fixed once it has settled, with dropped weights at 0.",
        default=True,
    )
    fix_vectors: bool = option(
        "Decide the orientation of vectors once, by the scores at the start, and not with each new "
        "mask. Where a matrix has one length of vectors, it is decided then too.",
        default=True,
    )
    stages: tuple[str, ...] = option(
        "Patterns to use before that of the recipe, each for an equal part of the rise of the "
        "sparsity, e.g. fine and then vector:4.",
        default=(),
    )
    distill: Share = option(
        "Share of the loss that is the distance to the teacher, which is the dense model itself "
        "unless another is given.",
        default=0.0,
    )
    temperature: Positive = option("Temperature of the answers that are distilled.", default=2.0)
    clip: Positive = option("Largest norm of the gradient of the weights.", default=1.0)
    precision: str = option(
        "Numbers that the model computes in. Weights and what the optimiser knows of them are fp32 "
        "in any case.",
        default="fp32",
        choices=PRECISIONS,
    )
    gradient_checkpointing: bool = option(
        "Compute activations again for the gradients instead of keeping them, which takes less "
        "memory and more time.",
        default=False,
    )
    quantize: str = option(
        "Numbers whose rounding the model learns with.", default="none", choices=QUANTIZE
    )

    def schedule(self, sparsity: float) -> Schedule:
        """The schedule up to `sparsity`.

        Raises:
            InputError: the phases do not fit into the steps, or not each other.
        """
        settled = self.with_phases()
        assert settled.initial_warmup is not None and settled.final_warmup is not None
        rewinds = self.learning_rate_schedule == "rewind"
        return Schedule(
            self.steps,
            self.warmup or self.steps // 10,
            settled.initial_warmup,
            settled.final_warmup,
            self.first_sparsity,
            sparsity,
            self.settle,
            self.every if rewinds else 0,
        )

    def with_phases(self) -> Self:
        """The settings with the phases of the method, where none are stated."""
        initial, final = 1.0, 2.0
        if (ramp := METHODS[self.method].ramp) is not None:
            # Fewer than ten steps have no warm-up; all of them are the ramp then.
            unit = (self.warmup or self.steps // 10) / self.steps
            initial, final = (ramp[0] / unit, (1 - ramp[1]) / unit) if unit else (0.0, 0.0)
        if self.initial_warmup is not None:
            initial = self.initial_warmup
        if self.final_warmup is not None:
            final = self.final_warmup
        return replace(self, initial_warmup=round(initial, 6), final_warmup=round(final, 6))


def resolved(training: "Training", parameters: int) -> "Training":
    """The settings with what they leave to the method and to a model of so many parameters.

    The learning rate is 0.006 divided by the millions of parameters, within `RATES`. Source: this
    project's own; of a few that were tried, the best were 0.006 to 0.01 at 0.85 million
    parameters, and 0.0001 to 0.0003 at 23 million (docs/quality.md).
    """
    by_size = min(max(RATES[0], RATES[1] * 1e6 / parameters), RATES[1])
    by_size = float(f"{by_size:.2g}")
    return replace(training.with_phases(), learning_rate=training.learning_rate or by_size)


if TYPE_CHECKING:

    @dataclass(frozen=True)
    class Training(BareTraining):
        def __init__(self, *bare: Any, **settings: Any) -> None: ...

else:
    Training = with_knobs("Training", BareTraining, (method.Knobs for method in METHODS.values()))


@dataclass(frozen=True)
class _File:
    recipe: Recipe = group(Recipe)
    training: Training = group(Training, is_table=True)


def read_training(path: Path) -> Training:
    """The table [training] of a recipe.

    Raises:
        InputError: an unreadable file; a key unknown, mistyped or out of range, by its name.
    """
    return read(_File, {}, path).settings.training


def checked(training: Training) -> Training:
    """`training`; InputError naming the first setting that cannot be used."""
    return with_values(training, vars(training))


def as_json(training: Training) -> dict[str, Any]:
    """The settings as JSON-able data."""
    values = {s.name: s.of(training) for s in settings_of(type(training))}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
