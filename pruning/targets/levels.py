"""Levels: what a matrix may become, a pattern at a density, or all of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pruning.patterns import make_pattern
from pruning.patterns.pattern import Pattern, Pruned, Target
from pruning.targets.settings import LEAST, LEVELS, Goal
from sparse_formats.errors import InputError, SettingError

DENSE = "dense"
"""What the level is called that keeps all of a matrix."""


@dataclass(frozen=True)
class Level:
    """A pattern as it is written, and the share of the weights that it is to keep."""

    name: str
    pattern: Pattern
    density: float

    def mask(self, target: Target) -> Pruned:
        """The mask of one matrix.

        Raises:
            InputError: the pattern cannot keep so much of this matrix.
        """
        if self.name == DENSE:
            return Pruned(np.ones(target.scores.shape, np.bool_))
        kept = self.pattern.kept([target], 1 - self.density)
        return self.pattern.masks([target], kept)[0]


def levels_of(names: Sequence[str], knobs: Mapping[str, Any], goal: Goal) -> list[Level]:
    """Every level that a matrix may have: first all of it, then each pattern from dense to sparse.

    names: patterns as they are written. knobs: values that patterns take, by name.

    Raises:
        InputError: a pattern that does not exist or that cannot prune a matrix by itself.
    """
    known = {**knobs, "couplings": (), "tokens": 0}
    patterns = {name: _alone(name, make_pattern(name, known)) for name in dict.fromkeys(names)}
    first = next(iter(patterns.values()))
    found = [Level(DENSE, first, 1.0)]
    for name, pattern in patterns.items():
        found += [Level(name, pattern, density) for density in _densities(pattern, goal)]
    if len(found) == 1:
        raise SettingError(
            "densities", "leaves nothing to choose from; give kept shares below 1 of the pattern"
        )
    return found


def _alone(name: str, pattern: Pattern) -> Pattern:
    """The pattern, if it prunes each matrix by itself."""
    if pattern.units or pattern.is_joint:
        raise SettingError(
            "pattern",
            f"is {name!r}, which prunes several matrices together; with a target give a pattern "
            "that prunes each matrix by itself, e.g. vector:8",
        )
    if pattern.settles_first:
        raise SettingError(
            "algorithm",
            "is D, which chooses lengths by cycles of its own; a target does so too, leave it out",
        )
    return pattern


def _densities(pattern: Pattern, goal: Goal) -> Iterator[float]:
    """The kept shares below 1 that the pattern can have."""
    if pattern.density is not None:
        yield pattern.density
        return
    wanted = goal.densities or tuple(LEAST ** (i / (LEVELS - 1)) for i in range(LEVELS))
    for density in sorted(set(wanted), reverse=True):
        if density <= pattern.densest and density < 1:
            yield density


def masks_at(levels: Sequence[Level], target: Target) -> Iterator[tuple[int, Pruned]]:
    """The mask of a matrix at each level that it can have, with the level's number."""
    for number, level in enumerate(levels):
        try:
            yield number, level.mask(target)
        except InputError:
            if level.name == DENSE:
                raise
