"""Pruning methods: a pattern with its knobs taken from the recipe; listed here.

A method takes the scores of all matrices and the recipe, and returns one mask a matrix, with its
cut into vectors where the pattern has one.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.budget import check_budget
from pruning.patterns.fine_grained import fine_grained
from pruning.patterns.mixed_vectors import mixed_vectors
from pruning.recipe import Recipe
from sparse_formats.vectors import VectorLayout

Pruned = tuple[NDArray[np.bool_], VectorLayout | None]
Method = Callable[[Sequence[NDArray[np.float32]], Recipe], list[Pruned]]


def _mvp(scores: Sequence[NDArray[np.float32]], recipe: Recipe) -> list[Pruned]:
    layouts = mixed_vectors(
        scores,
        recipe.sparsity,
        recipe.menu,
        recipe.vector_cost,
        recipe.algorithm,
        recipe.budget,
        recipe.epsilon,
    )
    return [
        (layout.keep((s.shape[0], s.shape[1])), layout)
        for s, layout in zip(scores, layouts, strict=True)
    ]


def _fine(scores: Sequence[NDArray[np.float32]], recipe: Recipe) -> list[Pruned]:
    masks = fine_grained(scores, recipe.sparsity, check_budget(recipe.budget))
    return [(keep, None) for keep in masks]


METHODS: Mapping[str, Method] = {"mvp": _mvp, "fine": _fine}
