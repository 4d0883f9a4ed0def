"""From weights or a mask to a pruned mask set, step by step:

scored matrices ──▶ fine-grained mask ──▶ direction strength
                └─▶ method (vectors)  ──▶ mask set with its report
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.direction import direction_strength
from pruning.methods import METHODS
from pruning.patterns.budget import check_budget, check_sparsity
from pruning.patterns.fine_grained import fine_grained
from pruning.recipe import Recipe
from pruning.retention import top_sum
from pruning.scores import SCORES
from sparse_formats.errors import InputError, nearest
from sparse_formats.masks import MaskedMatrix, MaskSet
from sparse_formats.vectors import Orientation, VectorLayout, check_menu

Tell = Callable[[str], None]
"""Called with a few words when a step begins."""


@dataclass(frozen=True, eq=False)
class ScoredMatrix:
    """A matrix to prune: its importance (float32, ≥ 0, (out, in)) and its weights, if known."""

    name: str
    kind: str
    scores: NDArray[np.float32]
    weight: NDArray[np.floating[Any]] | None


@dataclass(frozen=True)
class MatrixReport:
    """What pruning did to one matrix.

    retention: importance kept ÷ kept by the best free choice of as many weights; None if none is.
    orientation, vectors, mean_length: None for a pattern without vectors.
    strength, verdict: direction of the fine-grained mask of the same budget, D and in words.
    """

    name: str
    kind: str
    rows: int
    cols: int
    density: float
    retention: float | None
    orientation: Orientation | None
    vectors: int | None
    mean_length: float | None
    strength: float
    verdict: str


@dataclass(frozen=True)
class Total:
    """All matrices together; their importance counts in units of each matrix's mean score."""

    matrices: int
    weights: int
    kept: int
    density: float
    retention: float | None
    vectors: int | None
    mean_length: float | None


@dataclass(frozen=True, eq=False)
class Pruning:
    """The masks, a report per matrix in the same order, and the total over all of them."""

    masks: MaskSet
    reports: tuple[MatrixReport, ...]
    total: Total


def score_model(
    path: Path, score: str, seed: int, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[ScoredMatrix]:
    """The weights of a model (see `mask_file.read_weights`) that `select` takes, scored.

    Raises:
        InputError: unreadable model, unknown score, bad pattern, weights beyond float32.
    """
    from sparse_formats.mask_file import read_weights
    from sparse_formats.names import kind_of
    from sparse_formats.selection import select

    weights = read_weights(path)
    return [
        ScoredMatrix(n, kind_of(n), score_weight(n, weights[n], score, seed), weights[n])
        for n in select(weights, include, exclude)
    ]


def score_mask(
    path: Path,
    scores_path: Path | None,
    score: str,
    seed: int,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[list[ScoredMatrix], MaskSet, str]:
    """The matrices of a mask file, scored; also the file's masks and the name of the score.

    Importance is what `scores_path` (an .npz of 2-D arrays, named and shaped as the masks) says;
    else the score of the weights, where the mask file has them; else 1 for kept and 0 for dropped.

    Raises:
        InputError: an unreadable file; scores missing, of another shape, negative, NaN.
    """
    from sparse_formats.mask_file import read_masks
    from sparse_formats.selection import select

    masks = read_masks(path)
    by_name = {m.name: m for m in masks.matrices}
    taken = [by_name[name] for name in select(by_name, include, exclude)]
    if scores_path is not None:
        given = _read_scores(scores_path, taken)
        scored = [ScoredMatrix(m.name, m.kind, given[m.name], m.weight) for m in taken]
        return scored, masks, "given"
    if all(m.weight is not None for m in taken):
        scored = [
            ScoredMatrix(m.name, m.kind, score_weight(m.name, m.weight, score, seed), m.weight)
            for m in taken
            if m.weight is not None
        ]
        return scored, masks, score
    by_mask = "mask" if score == "magnitude" else score
    scored = [
        ScoredMatrix(
            m.name,
            m.kind,
            m.keep.astype(np.float32)
            if by_mask == "mask"
            else score_weight(m.name, m.keep.astype(np.float32), score, seed),
            m.weight,
        )
        for m in taken
    ]
    return scored, masks, by_mask


def score_weight(
    name: str, weight: NDArray[np.floating[Any]], score: str, seed: int
) -> NDArray[np.float32]:
    """One score of one weight matrix; random numbers depend on `seed` and `name` alone."""
    check_score(score)
    rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
    with np.errstate(over="ignore"):
        scores = SCORES[score](weight, rng)
    if not np.isfinite(scores).all():
        raise InputError(f"matrix {name}: weights beyond the range of float32; scale them down")
    return scores


def check_score(score: str) -> None:
    """InputError unless `score` is known."""
    if score not in SCORES:
        raise InputError(f"unknown score {score!r}{nearest(score, SCORES)}")


def check_recipe(recipe: Recipe) -> Recipe:
    """`recipe` with its menu sorted; InputError naming the first knob that cannot be used."""
    from dataclasses import replace

    from pruning.patterns.mixed_vectors import check_knobs

    if recipe.method not in METHODS:
        raise InputError(f"unknown method {recipe.method!r}{nearest(recipe.method, METHODS)}")
    if recipe.seed < 0:
        raise InputError(f"seed {recipe.seed}: give a whole number, 0 or more")
    check_sparsity(recipe.sparsity)
    check_budget(recipe.budget)
    check_knobs(recipe.algorithm, recipe.vector_cost, recipe.epsilon)
    return replace(recipe, menu=check_menu(recipe.menu))


def prune(
    matrices: Sequence[ScoredMatrix], recipe: Recipe, origin: str, tell: Tell = lambda step: None
) -> Pruning:
    """Prune scored matrices by `recipe`; `origin` names the model in the mask file's header.

    Raises:
        InputError: a knob of the recipe cannot be used.
    """
    recipe = check_recipe(recipe)
    scores = [m.scores for m in matrices]
    tell("fine-grained mask")
    fine = fine_grained(scores, recipe.sparsity, check_budget(recipe.budget))
    tell(f"{recipe.method} at sparsity {recipe.sparsity:g}")
    pruned = METHODS[recipe.method](scores, recipe)
    tell("report")
    reports = tuple(
        _report(matrix, keep, layout, free)
        for matrix, (keep, layout), free in zip(matrices, pruned, fine, strict=True)
    )
    masked = tuple(
        MaskedMatrix(m.name, keep, _masked(m.weight, keep), m.kind, layout)
        for m, (keep, layout) in zip(matrices, pruned, strict=True)
    )
    total = _total(matrices, [keep for keep, _ in pruned], fine, reports)
    header = {
        "model": origin,
        "method": recipe.method,
        "recipe": {**asdict(recipe), "menu": list(recipe.menu)},
        "seed": recipe.seed,
        "report": [asdict(report) for report in reports],
        "total": asdict(total),
    }
    return Pruning(MaskSet(masked, header), reports, total)


def _read_scores(path: Path, wanted: Sequence[MaskedMatrix]) -> dict[str, NDArray[np.float32]]:
    from sparse_formats.readers.npz import open_npz, read_arrays

    if path.suffix.lower() != ".npz" or not path.is_file():
        raise InputError(f"scores {path}: give an existing .npz file with one 2-D array a matrix")
    with open_npz(path) as archive:
        arrays = read_arrays(archive)
    scores: dict[str, NDArray[np.float32]] = {}
    for matrix in wanted:
        if matrix.name not in arrays:
            raise InputError(
                f"scores {path}: no array for matrix {matrix.name}{nearest(matrix.name, arrays)}"
            )
        array = arrays[matrix.name]
        if array.shape != matrix.shape:
            raise InputError(
                f"scores {path}: array {matrix.name} is {array.shape}, its mask {matrix.shape}; "
                "scores have the shape (out, in) of their mask"
            )
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        if not np.isfinite(single).all() or (single < 0).any():
            raise InputError(
                f"scores {path}: array {matrix.name} holds negative, infinite or NaN values; "
                "an importance is a finite number, 0 or more"
            )
        scores[matrix.name] = single
    return scores


def _masked(
    weight: NDArray[np.floating[Any]] | None, keep: NDArray[np.bool_]
) -> NDArray[np.floating[Any]] | None:
    return None if weight is None else np.where(keep, weight, weight.dtype.type(0))


def _report(
    matrix: ScoredMatrix,
    keep: NDArray[np.bool_],
    layout: VectorLayout | None,
    fine: NDArray[np.bool_],
) -> MatrixReport:
    kept = int(np.count_nonzero(keep))
    direction = direction_strength(fine)
    return MatrixReport(
        name=matrix.name,
        kind=matrix.kind,
        rows=keep.shape[0],
        cols=keep.shape[1],
        density=kept / keep.size if keep.size else 0.0,
        retention=_ratio(_kept_sum(matrix.scores, keep), top_sum(matrix.scores, kept)),
        orientation=None if layout is None else layout.orientation,
        vectors=None if layout is None else len(layout),
        mean_length=None if layout is None else _ratio(kept, len(layout)),
        strength=direction.strength,
        verdict=direction.verdict,
    )


def _total(
    matrices: Sequence[ScoredMatrix],
    keeps: Sequence[NDArray[np.bool_]],
    fines: Sequence[NDArray[np.bool_]],
    reports: Sequence[MatrixReport],
) -> Total:
    kept = sum(int(np.count_nonzero(k)) for k in keeps)
    weights = sum(k.size for k in keeps)
    means = [float(m.scores.sum(dtype=np.float64)) / max(m.scores.size, 1) or 1.0 for m in matrices]
    ours, best = (
        sum(
            _kept_sum(m.scores, mask) / mean
            for m, mask, mean in zip(matrices, masks, means, strict=True)
        )
        for masks in (keeps, fines)
    )
    counts = [r.vectors for r in reports if r.vectors is not None]
    vectors = sum(counts) if counts else None
    return Total(
        matrices=len(matrices),
        weights=weights,
        kept=kept,
        density=kept / weights if weights else 0.0,
        retention=_ratio(ours, best),
        vectors=vectors,
        mean_length=None if vectors is None else _ratio(kept, vectors),
    )


def _kept_sum(scores: NDArray[np.float32], keep: NDArray[np.bool_]) -> float:
    return float(scores[keep].sum(dtype=np.float64))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
