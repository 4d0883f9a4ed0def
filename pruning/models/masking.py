"""Putting masks on an opened model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pruning.models import order
from pruning.models.matrices import Matrix
from pruning.models.opening import OpenModel
from sparse_formats.errors import InputError, nearest
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

if TYPE_CHECKING:
    from torch import Tensor

_EXPERT = re.compile(r"\bexperts\.\d+\.")


def matched(opened: OpenModel, masks: MaskSet) -> list[tuple[Matrix, MaskedMatrix]]:
    """The masks with the matrix each belongs to, in the masks' order.

    Masks of embeddings and heads are left aside where they keep everything, and an embedding's
    where it drops but what is 0 in the model too, as the padding token's row often is. Names may
    differ by the prefix of the model's base ("bert.", "model.") and by a closing ".weight".

    Masks that were made on a permuted model bring its order along: the model is put into it first,
    in place, which changes none of its outputs.

    Raises:
        InputError: a mask without its matrix, or of another shape; masks of another order.
    """
    _take_order(opened, masks)
    prefix = f"{opened.model.base_model_prefix}."
    by_plain: dict[str, Matrix] = {}
    for matrix in opened.matrices:
        for name in (matrix.name, f"{matrix.module_name}.weight"):
            by_plain.setdefault(_plain(name, prefix), matrix)
    pairs: list[tuple[Matrix, MaskedMatrix]] = []
    for mask in masks.matrices:
        matrix = by_plain.get(_plain(mask.name, prefix))
        if matrix is None:
            if mask.keep.all() or _is_in_the_embedding(opened, mask, prefix):
                continue
            if _EXPERT.search(mask.name):
                raise InputError(
                    f"mask {mask.name} belongs to one of several experts, which transformers keeps "
                    "in a single parameter, so they cannot be masked one by one; leave them "
                    'out when pruning, with exclude "experts"'
                )
            raise InputError(
                f"mask {mask.name} fits no matrix of model {opened.name}"
                f"{nearest(mask.name, (m.name for m in opened.matrices))}"
            )
        if matrix.shape != mask.shape:
            raise InputError(
                f"mask {mask.name} is {mask.shape[0]}×{mask.shape[1]}, but the matrix of model "
                f"{opened.name} is {matrix.shape[0]}×{matrix.shape[1]}; give masks of this model"
            )
        pairs.append((matrix, mask))
    if not pairs:
        raise InputError(f"no mask fits a matrix of model {opened.name}; prune this model")
    return pairs


def _take_order(opened: OpenModel, masks: MaskSet) -> None:
    """Put the model into the order of the model that the masks were made on."""
    if (data := masks.header.get(order.HEADER)) is None:
        return
    wanted, found = order.from_json(data, "masks"), order.order_of(opened.model)
    done = () if found is None else found.moves
    if wanted.moves[: len(done)] != done:
        raise InputError(
            f"the masks belong to a model in another order than {opened.name}; give the model that "
            "they were made on, or the one that was permuted"
        )
    if rest := wanted.moves[len(done) :]:
        order.apply(opened.model, replace(wanted, moves=rest))


def apply_masks(opened: OpenModel, masks: MaskSet) -> int:
    """Zero what the masks drop; where the file has weights of its own, take those.

    Returns how many matrices took weights from the file, see `with_other_weights`.

    Raises:
        InputError: as `matched`.
    """
    changed = 0
    for matrix, mask in matched(opened, masks):
        theirs = _other_weights(matrix, mask)
        changed += theirs is not None
        matrix.view.copy_(matrix.view * matrix.from_file(mask.keep) if theirs is None else theirs)
    return changed


def with_other_weights(opened: OpenModel, masks: MaskSet) -> list[str]:
    """The names of the masks whose kept weights differ from those of the model.

    An update of the kept weights, or a training, makes them so; a mask of another model too.

    Raises:
        InputError: as `matched`.
    """
    pairs = matched(opened, masks)
    return [mask.name for matrix, mask in pairs if _other_weights(matrix, mask) is not None]


def said_of_weights(names: Sequence[str], masks: MaskSet) -> str:
    """What to tell of the masks `with_other_weights`; "" if there are none."""
    if not names:
        return ""
    return (
        f"In {len(names)} of {len(masks.matrices)} matrices ({names[0]}"
        f"{', …' if len(names) > 1 else ''}) the kept weights of the mask file differ from those "
        "of the model, and take their place. If the weights were not trained or updated, the file "
        "belongs to another model."
    )


def _other_weights(matrix: Matrix, mask: MaskedMatrix) -> "Tensor | None":
    """The weights of the mask, in the module's order; None where it has none of its own."""
    import torch

    if (given := mask.float_weight) is None:
        return None
    weight = matrix.view * matrix.from_file(mask.keep)
    theirs = matrix.from_file(given.astype(np.float32)).to(weight.dtype)
    # A mask file may store weights in half precision: those are not an update.
    return None if torch.allclose(theirs, weight, rtol=2e-3, atol=1e-7) else theirs


def apply_keep(opened: OpenModel, keep: Mapping[str, NDArray[np.bool_]]) -> None:
    """Zero in place, of the matrices named, what `keep` (rows in the file's order) drops."""
    for name, mask in keep.items():
        matrix = opened.by_name[name]
        matrix.view.mul_(matrix.from_file(mask))


def densities_of(opened: OpenModel, masks: MaskSet) -> dict[str, float]:
    """What the masks keep: "linear", of their matrices; "model", of all parameters, tied ones once.

    Parameters without a mask count as kept: embeddings, heads, norms and biases.
    """
    kept = sum(mask.nnz for mask in masks.matrices)
    masked = sum(mask.size for mask in masks.matrices)
    every = sum(parameter.numel() for parameter in opened.model.parameters())
    return {"linear": kept / masked, "model": (every - masked + kept) / every}


def zeros_of(opened: OpenModel) -> MaskSet:
    """The masks that an opened model's own zeros make: what a pattern lock keeps.

    Raises:
        InputError: none of its matrices has a zero.
    """
    masks = tuple(MaskedMatrix(m.name, m.weight() != 0, kind=m.kind) for m in opened.matrices)
    if all(mask.keep.all() for mask in masks):
        raise InputError(
            f"none of the {len(masks)} matrices of model {opened.name} has a zero to lock; give "
            "a mask, or prune the model first"
        )
    return MaskSet(masks)


def _is_in_the_embedding(opened: OpenModel, mask: MaskedMatrix, prefix: str) -> bool:
    """Whether `mask` is of an embedding that is 0 already where it drops."""
    if mask.kind != "embedding":
        return False
    wanted = _plain(mask.name, prefix)
    return any(
        tuple(parameter.shape) == mask.shape
        and not parameter.detach().cpu().numpy()[~mask.keep].any()
        for name, parameter in opened.model.named_parameters()
        if _plain(name, prefix) == wanted
    )


def _plain(name: str, prefix: str) -> str:
    return name.removesuffix(".weight").removeprefix(prefix)
