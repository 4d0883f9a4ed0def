"""What a study asks: which model, which masks, which machines, and what goes through them."""

import dataclasses
from dataclasses import MISSING, dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from accel_sim.comparisons.variants import Variant
from pruning.evaluation.measure_settings import MeasureSettings
from pruning.recipe import Recipe
from pruning.training.settings import Training

if TYPE_CHECKING:
    from accel_sim.models.simulate import Request

VARIED = ("pattern", "sparsity", "seed", "tokens", "count")
"""Settings of a recipe that a study says otherwise; the sparsity counts weights."""


def _rules() -> Any:
    hints = get_type_hints(Recipe, include_extras=True)
    fields = [
        (f.name, hints[f.name], field(default=f.default, metadata=f.metadata))
        for f in dataclasses.fields(Recipe)
        if f.name not in VARIED and f.default is not MISSING
    ]
    made = make_dataclass("Rules", fields, frozen=True)
    made.__module__, made.__doc__ = __name__, "The settings of a recipe that all points share."
    return made


Rules: Any = _rules()


@dataclass(frozen=True)
class Recovery:
    """How pruned models are trained: the settings, steps among them, and one file of examples."""

    training: Training
    text: Path | None = None
    table: Path | None = None
    squad: Path | None = None

    @property
    def data(self) -> Path:
        """The file that is given."""
        return next(path for path in (self.text, self.table, self.squad) if path is not None)

    @property
    def task(self) -> str | None:
        """What the model is opened for to learn; None: what it was made for."""
        if self.text is not None:
            return None
        return "classify" if self.table is not None else "answer"


@dataclass(frozen=True)
class Load:
    """What goes through the model: so many tokens through each matrix, or a request through all."""

    tokens: int
    request: "Request | None" = None


@dataclass(frozen=True)
class Study:
    """A study. Either `model`, which is pruned and measured, or `shapes`, whose masks are drawn.

    rules: the settings of recipes that all points share. machines: by name.
    described: what says of which matrices a whole model consists: a folder with a config.json, or
        the name of a known model; "" where matrices run by themselves.
    device, threads: where PyTorch computes.
    fingerprint: of the content of the files that are named, so that a process that remembers a
    model does not take it for another one of its name.
    """

    patterns: tuple[str, ...]
    sparsities: tuple[float, ...]
    machines: tuple[tuple[str, Variant], ...]
    load: Load
    model: Path | None = None
    shapes: str | None = None
    described: str = ""
    seeds: tuple[int, ...] = (0,)
    rules: Any = field(default_factory=Rules)
    statistics: Path | None = None
    recovery: Recovery | None = None
    measure: MeasureSettings | None = None
    device: str = "cpu"
    threads: int = 1
    fingerprint: str = ""

    @property
    def variants(self) -> dict[str, Variant]:
        """The machines by name."""
        return dict(self.machines)

    def recipe(self, pattern: str, sparsity: float, seed: int, **others: Any) -> Recipe:
        """The recipe of one point."""
        recipe = Recipe(**vars(self.rules), tokens=self.load.tokens)
        return replace(recipe, pattern=pattern, sparsity=sparsity, seed=seed, **others)
