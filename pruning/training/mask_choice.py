"""Masks of a recipe's pattern on scores that change from step to step."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pruning.budgets import Share, kept_weights, masks_of, shares
from pruning.models.opening import OpenModel
from pruning.patterns.pattern import Pattern, Pruned, Target
from pruning.recipe import Recipe, pattern_of
from pruning.selection.weights import best_weights


def pattern_at(
    opened: OpenModel,
    scores: Mapping[str, NDArray[np.float32]],
    recipe: Recipe,
    text: str,
    sparsity: float,
    is_settled: bool,
    layers: Mapping[int, float],
) -> Pattern:
    """The pattern `text` with the recipe's knobs, for the matrices of the model.

    is_settled: what it can decide once, as the orientation of vectors, it decides on these scores,
    as for a mask that leaves 1 − sparsity. layers: as in `choose`.

    Raises:
        InputError: the pattern does not fit the matrices or the budget.
    """
    shapes = {name: (s.shape[0], s.shape[1]) for name, s in scores.items()}
    made = pattern_of(replace(recipe, pattern=text), shapes, opened.heads)
    if not is_settled and not made.settles_first:
        return made
    targets = _targets(opened, scores)
    return made.settle(
        [
            ([targets[i] for i in share.members], share.kept)
            for share in _shares(targets, made, recipe, sparsity, layers)
        ]
    )


def choose(
    opened: OpenModel,
    scores: Mapping[str, NDArray[np.float32]],
    recipe: Recipe,
    pattern: Pattern,
    sparsity: float,
    layers: Mapping[int, float],
) -> dict[str, Pruned]:
    """The masks of `pattern` that leave 1 − sparsity, by matrix; whole where it has no say.

    scores: importance ≥ 0, float32 (out, in), comparable between matrices. The budget is the
    recipe's. All scores equal is the beginning of a training: then all stays. A pattern that
    cannot keep all, as 2:4 cannot, is come to from above: on the way to the recipe's sparsity the
    best of what it would drop stay too. layers: the sparsities that layers have at the end, where
    they are not the recipe's; on the way there they have the same part of theirs.

    Raises:
        InputError: the pattern does not fit.
    """
    assert recipe.sparsity is not None
    targets = _targets(opened, scores)
    found = {t.name: Pruned(np.ones(t.scores.shape, np.bool_)) for t in targets}
    if sparsity <= 0:
        return found
    for share in _shares(targets, pattern, recipe, sparsity, layers):
        members: Sequence[Target] = [targets[i] for i in share.members]
        if sparsity < min(1 - pattern.densest, recipe.sparsity):
            pruned = _above(pattern, members, share.kept)
        else:
            pruned = masks_of(pattern, members, share, recipe.budget, recipe.count)
        found.update(zip((t.name for t in members), pruned, strict=True))
    return found


def _targets(opened: OpenModel, scores: Mapping[str, NDArray[np.float32]]) -> list[Target]:
    return [Target(m.name, m.kind, scores[m.name]) for m in opened.matrices]


def _shares(
    targets: Sequence[Target],
    pattern: Pattern,
    recipe: Recipe,
    sparsity: float,
    layers: Mapping[int, float],
) -> list[Share]:
    sizes, whole = [t.scores.size for t in targets], recipe.sparsity or 1.0
    now = {layer: own * sparsity / whole for layer, own in layers.items()}
    return shares(targets, pattern, sparsity, recipe.budget, sizes, is_blind=False, layers=now)


def _above(made: Pattern, members: Sequence[Target], kept: int) -> list[Pruned]:
    """The pattern's densest masks, and the best of the rest, `kept` weights in all."""
    fitting = made.masks(members, made.kept(members, 1 - made.densest))
    rest = kept - kept_weights(fitting)
    scores = [
        np.where(pruned.keep, np.float32(-1), target.scores)
        for pruned, target in zip(fitting, members, strict=True)
    ]
    return [
        Pruned(pruned.keep | more)
        for pruned, more in zip(fitting, best_weights(scores, rest), strict=True)
    ]
