"""From a study to its points: the dense model, the floors, and every pattern at every sparsity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pruning.frontier.study import Study
from pruning.recipe import Recipe, checked, pattern_of

Kind = Literal["dense", "trained dense", "zeroed", "random mask", "pruned"]

FLOORS: tuple[Kind, ...] = ("zeroed", "random mask")
"""What needs no method of pruning; a pruned model that does no better is worth nothing."""

_NEAR = 1e-9


@dataclass(frozen=True)
class Point:
    """One model to measure. recipe: of its masks; None for the dense model as it is given."""

    kind: Kind
    recipe: Recipe | None = None

    @property
    def pattern(self) -> str:
        """Of a pruned point; "" of others."""
        return self.recipe.pattern if self.recipe is not None and self.kind == "pruned" else ""

    @property
    def sparsity(self) -> float:
        found = None if self.recipe is None else self.recipe.sparsity
        return {"dense": 0.0, "trained dense": 0.0, "zeroed": 1.0}.get(self.kind, found or 0.0)

    @property
    def seed(self) -> int:
        return 0 if self.recipe is None else self.recipe.seed

    @property
    def is_simulated(self) -> bool:
        """Floors are no candidates: nobody asks for their latency."""
        return self.kind in ("dense", "pruned")

    @property
    def name(self) -> str:
        """What its folder begins with."""
        words = self.pattern.replace(":", "-") or self.kind.replace(" ", "_")
        if self.kind in ("random mask", "pruned"):
            words += f"_{self.sparsity:g}"
        return words if self.recipe is None else f"{words}_seed{self.seed}"


@dataclass(frozen=True)
class Plan:
    """The points in the order in which they are computed, and what was left out, in sentences."""

    points: tuple[Point, ...]
    skipped: tuple[str, ...]


def plan(study: Study) -> Plan:
    """The points of `study`: those that differ in their seed only stand together.

    Without training a mask depends on its seed only where the score is random, so one seed is
    enough for it; the random floor takes all seeds.

    Raises:
        InputError: a pattern or another setting of the recipe that cannot be.
    """
    pruned: list[Point] = []
    skipped: list[str] = []
    is_drawn = study.recovery is not None or study.rules.score == "random"
    seeds = study.seeds if is_drawn else study.seeds[:1]
    for pattern in dict.fromkeys(study.patterns):
        found, said = _sparsities(pattern, study)
        skipped += [said] if said else []
        for sparsity in found:
            pruned += [Point("pruned", study.recipe(pattern, sparsity, seed)) for seed in seeds]
    if study.model is None:
        return Plan((Point("dense"), *pruned), tuple(skipped))
    points = [Point("dense")]
    if study.recovery is not None:
        points += [Point("trained dense", study.recipe("fine", 0.0, seed)) for seed in study.seeds]
    points += [Point("zeroed", _floor(study, 1.0, seed)) for seed in seeds]
    points += [
        Point("random mask", _floor(study, sparsity, seed))
        for seed in study.seeds
        for sparsity in sorted({point.sparsity for point in pruned})
    ]
    return Plan((*points, *pruned), tuple(skipped))


def _floor(study: Study, sparsity: float, seed: int) -> Recipe:
    """Single weights at random, each matrix at the same sparsity."""
    return study.recipe(
        "fine", sparsity, seed, score="random", budget="matrix", profile="uniform", update="none",
        count="weights",
    )  # fmt: skip


def _sparsities(pattern: str, study: Study) -> tuple[Sequence[float], str]:
    """Those at which a pattern is tried, and what to say of the others."""
    made = pattern_of(checked(study.recipe(pattern, None, 0)))  # type: ignore[arg-type]
    asked = list(dict.fromkeys(study.sparsities))
    if made.density is not None:
        own = 1 - made.density
        others = [sparsity for sparsity in asked if abs(sparsity - own) > _NEAR]
        said = (
            f"{pattern} has one sparsity of its own, {100 * own:.3g} %, and was left out at "
            f"{_listed(others)}."
        )
        return [own], said if others else ""
    most = 1 - made.densest
    found = [sparsity for sparsity in asked if sparsity >= most - _NEAR]
    left = [sparsity for sparsity in asked if sparsity < most - _NEAR]
    said = f"{pattern} removes {100 * most:.3g} % at least, and was left out at {_listed(left)}."
    return found, said if left else ""


def _listed(sparsities: Sequence[float]) -> str:
    words = [f"{100 * sparsity:.3g} %" for sparsity in sparsities]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
