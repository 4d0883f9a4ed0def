"""From weights or masks to matrices with their importance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.recipe import Recipe
from pruning.scores import check_score, importance
from pruning.statistics.matrix_statistics import StatisticsFile, read_statistics
from sparse_formats.errors import InputError, nearest
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet, check_finite, check_float
from sparse_formats.masks.matrix_names import kind_of, network_order
from sparse_formats.masks.selection import select
from sparse_formats.memory import check_dense

Weights = Mapping[str, NDArray[np.floating[Any]]]
"""Weight matrices (out, in) by name."""

MASK_ONLY = "mask"
"""The score of a matrix of which only a mask is known: 1 for kept, 0 for dropped."""


SPARSE_FROM = 0.05
"""Share of zeros from which a model counts as sparse already; trained weights are hardly ever 0."""

CHOOSES_WEIGHTS = ("fine", "mvp", "mvp_tiled")
"""Patterns that can leave out any zero: no unit of theirs has to stay or go whole."""


@dataclass(frozen=True, eq=False)
class ScoredMatrix:
    """A matrix to prune: its importance (float32, ≥ 0, (out, in)) and its weights, if known.

    within: a mask whose dropped weights have no claim to come back; no more weights are kept than
        it keeps.
    """

    name: str
    kind: str
    scores: NDArray[np.float32]
    weight: NDArray[np.floating[Any]] | None
    within: NDArray[np.bool_] | None = None


def weights_of(arrays: Mapping[Any, Any]) -> dict[str, NDArray[np.floating[Any]]]:
    """Weights given in Python as numpy has them, in network order.

    arrays: 2-D, (out, in), by name: what numpy takes for floats, such as lists and torch's tensors.

    Raises:
        InputError: a name that is no text; an array that is not 2-D, or holds anything else than
            finite numbers.
    """
    if not arrays:
        raise InputError("the model has no matrix; give at least one 2-D array by name")
    found = {}
    for name, given in arrays.items():
        if not isinstance(name, str):
            raise InputError(f"matrix {name!r}: a name is a text, found {type(name).__name__}")
        try:
            # A parameter of torch's is only an array without its gradient.
            array = np.asarray(given.detach() if hasattr(given, "detach") else given)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"matrix {name} is not an array of numbers: {error}") from None
        if array.ndim != 2 or array.dtype.kind not in "biuf":
            raise InputError(
                f"matrix {name} is {array.ndim}-D {array.dtype}; give a 2-D array (out, in) of "
                "real numbers"
            )
        array = array if array.dtype.kind == "f" else array.astype(np.float32)
        check_float(f"matrix {name}", array.dtype)
        check_finite(f"matrix {name}", array)
        found[name] = array
    return {name: found[name] for name in network_order(found)}


def score_weights(
    weights: Weights, recipe: Recipe, statistics: StatisticsFile = None
) -> list[ScoredMatrix]:
    """The weights that the recipe takes, with its score.

    Of a model that is sparse already, zeros score 0, and a pattern that chooses single weights
    keeps none of them.

    statistics: file of what the score needs to know besides weights, see `matrix_statistics`.

    Raises:
        InputError: unreadable statistics, unknown score, bad pattern, a statistic missing, weights
            beyond float32.
    """
    check_score(recipe.score)
    taken = {name: weights[name] for name in select(weights, recipe.include, recipe.exclude)}
    size = sum(weight.size for weight in taken.values())
    zeros = size - sum(int(np.count_nonzero(weight)) for weight in taken.values())
    is_sparse = zeros > SPARSE_FROM * size
    is_free = is_sparse and recipe.pattern in CHOOSES_WEIGHTS
    scored = []
    for name, known in read_statistics(statistics, taken, recipe.seed):
        scores, weight = importance(name, known, recipe.score), taken[name]
        there = weight != 0
        within = there if is_free else None
        scores = scores * there if is_sparse else scores
        scored.append(ScoredMatrix(name, kind_of(name), scores, weight, within))
    return scored


def score_masks(
    masks: MaskSet,
    recipe: Recipe,
    given: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    statistics: StatisticsFile = None,
) -> tuple[list[ScoredMatrix], str]:
    """The matrices of a mask set that the recipe takes, scored; also the name of the score.

    given: importance by the masks' names and of their shapes: then dropped weights may come back.
    Without it, importance is the score of the weights, or 1 where the set has none, within the
    mask.

    Raises:
        InputError: as `score_weights`; scores missing, of another shape, negative, NaN.
    """
    by_name = {m.name: m for m in masks.matrices}
    taken = [by_name[name] for name in select(by_name, recipe.include, recipe.exclude)]
    check_dense(taken, 24, "pruning")
    if given is not None:
        found = _given_scores(given, taken)
        return [ScoredMatrix(m.name, m.kind, found[m.name], m.float_weight) for m in taken], "given"
    score = recipe.score
    if score == "magnitude" and any(not m.is_weighted for m in taken):
        score = MASK_ONLY
    if score == MASK_ONLY:
        scores = [m.keep.astype(np.float32) for m in taken]
    else:
        # A score that looks at no weights (random) works on a bare mask, too.
        weights = {
            m.name: m.keep * np.float32(1) if (w := m.float_weight) is None else w for m in taken
        }
        scores = [
            importance(name, known, score) * by_name[name].keep
            for name, known in read_statistics(statistics, weights, recipe.seed)
        ]
    scored = [
        ScoredMatrix(m.name, m.kind, s, m.float_weight, m.keep)
        for m, s in zip(taken, scores, strict=True)
    ]
    return scored, score


def _given_scores(
    given: Mapping[str, NDArray[np.floating[Any]]], wanted: Sequence[MaskedMatrix]
) -> dict[str, NDArray[np.float32]]:
    scores: dict[str, NDArray[np.float32]] = {}
    for matrix in wanted:
        if matrix.name not in given:
            raise InputError(
                f"scores: no floating-point array for matrix {matrix.name}"
                f"{nearest(matrix.name, given)}"
            )
        array = given[matrix.name]
        if array.shape != matrix.shape:
            raise InputError(
                f"scores: array {matrix.name} is {array.shape}, but its mask is "
                f"{matrix.shape}; scores must have the shape (out, in) of their mask"
            )
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        if not np.isfinite(single).all() or (single < 0).any():
            raise InputError(
                f"scores: array {matrix.name} holds negative values or infinite ones; "
                "an importance is a finite number, 0 or more"
            )
        scores[matrix.name] = single
    return scores
