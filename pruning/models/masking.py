"""Putting masks on an opened model."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from sparse_formats.errors import InputError, nearest
from sparse_formats.masks import MaskedMatrix, MaskSet


def matched(opened: OpenModel, masks: MaskSet) -> list[tuple[Matrix, MaskedMatrix]]:
    """The masks with the matrix each belongs to, in the masks' order.

    Masks of embeddings and heads are left aside where they keep everything. Names may differ by
    the prefix of the model's base ("bert.", "model.") and by a closing ".weight".

    Raises:
        InputError: a mask without its matrix, or of another shape.
    """
    prefix = f"{opened.model.base_model_prefix}."
    by_plain: dict[str, Matrix] = {}
    for matrix in opened.matrices:
        for name in (matrix.name, f"{matrix.module_name}.weight"):
            by_plain.setdefault(_plain(name, prefix), matrix)
    pairs: list[tuple[Matrix, MaskedMatrix]] = []
    for mask in masks.matrices:
        matrix = by_plain.get(_plain(mask.name, prefix))
        if matrix is None:
            if mask.keep.all():
                continue
            raise InputError(
                f"mask {mask.name} fits no matrix of model {opened.name}"
                f"{nearest(mask.name, (m.name for m in opened.matrices))}"
            )
        if matrix.shape != mask.shape:
            raise InputError(
                f"mask {mask.name} is {mask.shape[0]}×{mask.shape[1]}, the matrix of model "
                f"{opened.name} {matrix.shape[0]}×{matrix.shape[1]}; the mask is of another model"
            )
        pairs.append((matrix, mask))
    if not pairs:
        raise InputError(f"no mask fits a matrix of model {opened.name}; prune this model")
    return pairs


def apply_masks(opened: OpenModel, masks: MaskSet) -> int:
    """Zero what the masks drop; where the file has weights of its own, take those.

    Returns how many matrices took weights from the file that differ from the model's own (an
    update of the survivors, or recovery training).

    Raises:
        InputError: as `matched`.
    """
    import torch

    changed = 0
    for matrix, mask in matched(opened, masks):
        keep = matrix.from_file(mask.keep)
        weight = matrix.view * keep
        if mask.weight is not None:
            theirs = matrix.from_file(mask.weight.astype(np.float32)).to(weight.dtype)
            # A mask file may store weights in half precision: those are not an update.
            same = torch.allclose(theirs, weight, rtol=2e-3, atol=1e-7)
            changed += not same
            weight = weight if same else theirs
        matrix.view.copy_(weight)
    return changed


def apply_keep(opened: OpenModel, keep: Mapping[str, NDArray[np.bool_]]) -> None:
    """Zero in place, of the matrices named, what `keep` (rows in the file's order) drops."""
    for name, mask in keep.items():
        matrix = opened.by_name[name]
        matrix.view.mul_(matrix.from_file(mask))


def _plain(name: str, prefix: str) -> str:
    return name.removesuffix(".weight").removeprefix(prefix)
