"""Masks of a recipe's pattern on scores that change from step to step."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pruning.budgets import kept_weights, masks_of, shares
from pruning.models.opening import OpenModel
from pruning.patterns.pattern import Pattern, Pruned, Target
from pruning.recipe import Recipe, pattern_of
from pruning.selection.weights import best_weights


def choose(
    opened: OpenModel,
    scores: Mapping[str, NDArray[np.float32]],
    recipe: Recipe,
    pattern: str,
    sparsity: float,
) -> dict[str, Pruned]:
    """The masks of `pattern` that leave 1 − sparsity, by matrix; whole where it has no say.

    scores: importance ≥ 0, float32 (out, in), comparable between matrices. Budget and knobs are
    the recipe's. All scores equal is the beginning of a training: then all stays. A pattern that
    says its own density, as 2:4 does, is come to from above: on the way to the recipe's sparsity
    the best of what it would drop stay too.

    Raises:
        InputError: the recipe's pattern does not fit.
    """
    assert recipe.sparsity is not None
    shapes = {name: (s.shape[0], s.shape[1]) for name, s in scores.items()}
    made = pattern_of(replace(recipe, pattern=pattern, sparsity=sparsity), shapes, opened.heads)
    targets = [Target(m.name, m.kind, scores[m.name]) for m in opened.matrices]
    found = {t.name: Pruned(np.ones(t.scores.shape, np.bool_)) for t in targets}
    if sparsity <= 0:
        return found
    sizes = [t.scores.size for t in targets]
    for share in shares(targets, made, sparsity, recipe.budget, sizes, is_blind=False):
        members: Sequence[Target] = [targets[i] for i in share.members]
        if made.density is not None and sparsity < min(1 - made.density, recipe.sparsity):
            pruned = _above(made, members, share.kept)
        else:
            pruned = masks_of(made, members, share, sparsity, recipe.budget, recipe.count)
        found.update(zip((t.name for t in members), pruned, strict=True))
    return found


def _above(made: Pattern, members: Sequence[Target], kept: int) -> list[Pruned]:
    """The pattern's masks at its own density, and the best of the rest, `kept` weights in all."""
    assert made.density is not None
    fitting = made.masks(members, made.kept(members, 1 - made.density))
    rest = kept - kept_weights(fitting)
    scores = [
        np.where(pruned.keep, np.float32(-1), target.scores)
        for pruned, target in zip(fitting, members, strict=True)
    ]
    return [
        Pruned(pruned.keep | more)
        for pruned, more in zip(fitting, best_weights(scores, rest), strict=True)
    ]
