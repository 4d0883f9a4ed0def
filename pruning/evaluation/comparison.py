"""A measure on the dense model, under a mask, and on the floors that tell what a figure is worth.

The floors: a random mask of the same density in every matrix, and the prunable matrices all zero
(what embeddings and heads achieve alone).
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pruning.evaluation.figures import figures_of
from pruning.models.masking import apply_keep, apply_masks, matched
from pruning.models.opening import OpenModel
from pruning.statistics.matrix_statistics import generator
from sparse_formats.masks.matrix import MaskSet
from sparse_formats.terminal.progress import Tell

Measure = Callable[[OpenModel], Any]
"""A model → a frozen dataclass of figures."""


def measured(
    opened: OpenModel,
    measure: Measure,
    masks: MaskSet | None = None,
    floors: bool = True,
    seed: int = 0,
    tell: Tell = lambda step: None,
) -> dict[str, dict[str, Any]]:
    """{"dense", "masked", "random mask", "zeroed": figures}; the second and third with masks only.

    The model is left as it was. Without masks the dense model and the zeroed one are measured.

    Raises:
        InputError: the masks are of another model, or the measure does not fit it.
    """
    variants: dict[str, Callable[[], object]] = {"dense": lambda: None}
    zeroed = list(opened.matrices)
    if masks is not None:
        pairs = matched(opened, masks)
        zeroed = [matrix for matrix, _ in pairs]
        variants["masked"] = lambda: apply_masks(opened, masks)
        random = {
            matrix.name: generator(matrix.name, seed).permuted(mask.keep.ravel())
            for matrix, mask in pairs
        }
        if floors:
            variants["random mask"] = lambda: apply_keep(
                opened, {m.name: random[m.name].reshape(m.shape) for m in zeroed}
            )
    if floors:
        nothing = {m.name: np.zeros(m.shape, np.bool_) for m in zeroed}
        variants["zeroed"] = lambda: apply_keep(opened, nothing)
    found: dict[str, dict[str, Any]] = {}
    for name, change in variants.items():
        tell(name)
        with unchanged(opened):
            change()
            found[name] = figures_of(measure(opened))
    return found


@contextlib.contextmanager
def unchanged(opened: OpenModel) -> Iterator[None]:
    """Give the matrices their values back at the end of the block."""
    before = [matrix.parameter.data.clone() for matrix in opened.matrices]
    try:
        yield
    finally:
        for matrix, values in zip(opened.matrices, before, strict=True):
            matrix.parameter.data.copy_(values)
