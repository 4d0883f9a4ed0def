"""From a model or a mask file to matrices with their importance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.scores import check_score, importance
from pruning.statistics.evidence import read_evidence
from sparse_formats.errors import InputError, nearest
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

MASK_ONLY = "mask"
"""The score of a matrix of which only a mask is known: 1 for kept, 0 for dropped."""


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


def score_model(
    path: Path,
    score: str,
    seed: int,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    statistics: Path | None = None,
) -> list[ScoredMatrix]:
    """The weights of a model (see `mask_file.read_weights`) that `select` takes, scored.

    statistics: file of what the score needs to know besides weights, see `evidence`.

    Raises:
        InputError: unreadable model or statistics, unknown score, bad pattern, a statistic
            missing, weights beyond float32.
    """
    from sparse_formats.files.mask_file import read_weights
    from sparse_formats.masks.matrix_names import kind_of
    from sparse_formats.masks.selection import select

    check_score(score)
    weights = read_weights(path)
    taken = {name: weights[name] for name in select(weights, include, exclude)}
    return [
        ScoredMatrix(name, kind_of(name), importance(name, evidence, score), taken[name])
        for name, evidence in read_evidence(statistics, taken, seed)
    ]


def score_mask(
    path: Path,
    scores_path: Path | None,
    score: str,
    seed: int,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    statistics: Path | None = None,
) -> tuple[list[ScoredMatrix], MaskSet, str]:
    """The matrices of a mask file, scored; also the file's masks and the name of the score.

    Importance is what `scores_path` says, a file of floats named and shaped as the masks, read as
    weights are (see `mask_file.read_weights`): then dropped weights may come back. Else it is the
    score of the weights, or 1 where the file has none, within the mask.

    Raises:
        InputError: an unreadable file; scores missing, of another shape, negative, NaN.
    """
    from sparse_formats.files.mask_file import read_masks
    from sparse_formats.masks.selection import select

    masks = read_masks(path)
    by_name = {m.name: m for m in masks.matrices}
    taken = [by_name[name] for name in select(by_name, include, exclude)]
    if scores_path is not None:
        given = _read_scores(scores_path, taken)
        scored = [ScoredMatrix(m.name, m.kind, given[m.name], m.float_weight) for m in taken]
        return scored, masks, "given"
    if score == "magnitude" and any(m.weight is None for m in taken):
        score = MASK_ONLY
    if score == MASK_ONLY:
        scores = [m.keep.astype(np.float32) for m in taken]
    else:
        # A score that looks at no weights (random) works on a bare mask, too.
        weights = {
            m.name: m.keep * np.float32(1) if (w := m.float_weight) is None else w for m in taken
        }
        scores = [
            importance(name, evidence, score) * by_name[name].keep
            for name, evidence in read_evidence(statistics, weights, seed)
        ]
    scored = [
        ScoredMatrix(m.name, m.kind, s, m.float_weight, m.keep)
        for m, s in zip(taken, scores, strict=True)
    ]
    return scored, masks, score


def _read_scores(path: Path, wanted: Sequence[MaskedMatrix]) -> dict[str, NDArray[np.float32]]:
    from sparse_formats.files.mask_file import read_weights

    try:
        arrays = read_weights(path)
    except InputError as error:
        raise InputError(f"scores: {error}") from error
    scores: dict[str, NDArray[np.float32]] = {}
    for matrix in wanted:
        if matrix.name not in arrays:
            raise InputError(
                f"scores {path}: no floating-point array for matrix {matrix.name}"
                f"{nearest(matrix.name, arrays)}"
            )
        array = arrays[matrix.name]
        if array.shape != matrix.shape:
            raise InputError(
                f"scores {path}: array {matrix.name} is {array.shape}, but its mask is "
                f"{matrix.shape}; scores must have the shape (out, in) of their mask"
            )
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        if not np.isfinite(single).all() or (single < 0).any():
            raise InputError(
                f"scores {path}: array {matrix.name} holds negative values or infinite ones; "
                "an importance is a finite number, 0 or more"
            )
        scores[matrix.name] = single
    return scores
