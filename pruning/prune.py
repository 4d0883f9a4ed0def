"""From weights or a mask to a pruned mask set, step by step:

scored matrices ──▶ fine-grained mask ──▶ direction strength
                └─▶ method (vectors)  ──▶ mask set with its report
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.direction import direction_strength
from pruning.methods import METHODS, Pruned
from pruning.patterns.budget import check_budget, check_sparsity, kept_count
from pruning.patterns.fine_grained import fine_grained
from pruning.recipe import Recipe
from pruning.retention import top_sum
from pruning.scores import SCORES
from sparse_formats.errors import InputError, nearest
from sparse_formats.masks import MaskedMatrix, MaskSet
from sparse_formats.vectors import Orientation, VectorLayout

MASK_ONLY = "mask"
"""The score of a matrix of which only a mask is known: 1 for kept, 0 for dropped."""

Tell = Callable[[str], None]
"""Called with a few words when a step begins."""


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


@dataclass(frozen=True)
class MatrixReport:
    """What pruning did to one matrix.

    retention: importance kept ÷ kept by the best free choice of as many weights; None if none is.
    orientation, vectors, mean_length: None for a pattern without vectors.
    strength, verdict: D and in words, of the fine-grained mask of the same budget; where a mask is
        all there is to score, of that mask.
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
    """The masks, a report per matrix in the same order, and the total over all of them.

    notes: sentences for the user about what was done otherwise than asked.
    measured_on: in words, the masks whose direction the reports give.
    """

    masks: MaskSet
    reports: tuple[MatrixReport, ...]
    total: Total
    notes: tuple[str, ...] = ()
    measured_on: str = "the fine-grained mask of the same budget"


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

    Importance is what `scores_path` says, a file of floats named and shaped as the masks, read as
    weights are (see `mask_file.read_weights`): then dropped weights may come back. Else it is the
    score of the weights, or 1 where the file has none, within the mask.

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
    if score == "magnitude" and any(m.weight is None for m in taken):
        score = MASK_ONLY
    scored = [
        ScoredMatrix(m.name, m.kind, _score_within(m, score, seed), m.weight, m.keep) for m in taken
    ]
    return scored, masks, score


def _score_within(matrix: MaskedMatrix, score: str, seed: int) -> NDArray[np.float32]:
    """The score of a masked matrix, 0 where nothing is kept."""
    ones = matrix.keep.astype(np.float32)
    if score == MASK_ONLY:
        return ones
    weight = ones if matrix.weight is None else matrix.weight
    return ones * score_weight(matrix.name, weight, score, seed)


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
    from pruning.patterns.mixed_vectors import check_knobs, check_lengths

    if recipe.method not in METHODS:
        raise InputError(f"unknown method {recipe.method!r}{nearest(recipe.method, METHODS)}")
    if recipe.seed < 0:
        raise InputError(f"seed {recipe.seed}: give a whole number, 0 or more")
    check_sparsity(recipe.sparsity)
    check_budget(recipe.budget)
    check_knobs(recipe.algorithm, recipe.vector_cost, recipe.epsilon)
    return replace(recipe, menu=check_lengths(recipe.menu))


def prune(
    matrices: Sequence[ScoredMatrix], recipe: Recipe, origin: str, tell: Tell = lambda step: None
) -> Pruning:
    """Prune scored matrices by `recipe`; `origin` names the model in the mask file's header.

    Raises:
        InputError: a knob of the recipe cannot be used.
    """
    recipe = check_recipe(recipe)
    fine: list[NDArray[np.bool_]] = []
    pruned: list[Pruned] = []
    groups = budgets(matrices, recipe)
    for group, own in groups:
        tell(f"{recipe.method} at sparsity {own.sparsity:g}: {group[0].name}")
        scores = [m.scores for m in group]
        fine += fine_grained(scores, own.sparsity, check_budget(own.budget))
        pruned += METHODS[own.method](scores, own)
    tell("report")
    reports = tuple(
        _report(m, keep, layout, _directed(m, free, recipe))
        for m, (keep, layout), free in zip(matrices, pruned, fine, strict=True)
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
    measured_on = "the given mask" if recipe.score == MASK_ONLY else Pruning.measured_on
    return Pruning(MaskSet(masked, header), reports, total, _notes(groups, recipe), measured_on)


def budgets(
    matrices: Sequence[ScoredMatrix], recipe: Recipe
) -> list[tuple[Sequence[ScoredMatrix], Recipe]]:
    """Which matrices share a budget, and the recipe with the sparsity each group really gets.

    That is the asked one, or that of the masks `within` which weights must stay, if it is higher.
    Masks alone cannot say which matrix matters more, so with a global budget each keeps the same
    share of its mask.
    """
    sizes = np.array([m.scores.size for m in matrices], np.int64)
    most = np.array(
        [m.scores.size if m.within is None else np.count_nonzero(m.within) for m in matrices],
        np.int64,
    )
    if recipe.budget == "matrix":
        asked = [kept_count(int(size), recipe.sparsity) for size in sizes]
        counts = np.minimum(asked, most)
    else:
        target = min(kept_count(int(sizes.sum()), recipe.sparsity), int(most.sum()))
        if recipe.score != MASK_ONLY:
            whole = replace(recipe, sparsity=_sparsity(target, int(sizes.sum()), recipe))
            return [(matrices, whole)] if len(matrices) else []
        # Rounding the running sum instead of each share makes the counts add up to the target.
        running = np.rint(np.cumsum(most) * (target / max(int(most.sum()), 1)))
        counts = np.diff(running, prepend=0)
    return [
        ([m], replace(recipe, sparsity=_sparsity(int(count), m.scores.size, recipe)))
        for m, count in zip(matrices, counts, strict=True)
    ]


def _sparsity(count: int, size: int, recipe: Recipe) -> float:
    """The sparsity that keeps `count` of `size`, which is the recipe's own where it does."""
    return recipe.sparsity if count == kept_count(size, recipe.sparsity) else 1 - count / size


def _notes(
    groups: Sequence[tuple[Sequence[ScoredMatrix], Recipe]], recipe: Recipe
) -> tuple[str, ...]:
    sizes = [sum(m.scores.size for m in group) for group, _ in groups]
    asked = sum(kept_count(size, recipe.sparsity) for size in sizes)
    given = sum(kept_count(n, own.sparsity) for n, (_, own) in zip(sizes, groups, strict=True))
    # Whole groups round apart from their parts, by half a weight each.
    if asked - given <= len(groups):
        return ()
    return (
        f"sparsity {recipe.sparsity:g} would keep {asked} of {sum(sizes)} weights, the given mask "
        f"has only {given} to keep: what it dropped does not come back unless --scores say so",
    )


def _directed(matrix: ScoredMatrix, fine: NDArray[np.bool_], recipe: Recipe) -> NDArray[np.bool_]:
    """The mask whose direction is reported: any top-k of a mask is a worse witness than it."""
    given = matrix.within if recipe.score == MASK_ONLY else None
    return fine if given is None else given


def _read_scores(path: Path, wanted: Sequence[MaskedMatrix]) -> dict[str, NDArray[np.float32]]:
    from sparse_formats.mask_file import read_weights

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
                f"scores {path}: array {matrix.name} is {array.shape}, its mask {matrix.shape}; "
                "scores have the shape (out, in) of their mask"
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


def _masked(
    weight: NDArray[np.floating[Any]] | None, keep: NDArray[np.bool_]
) -> NDArray[np.floating[Any]] | None:
    return None if weight is None else np.where(keep, weight, weight.dtype.type(0))


def _report(
    matrix: ScoredMatrix,
    keep: NDArray[np.bool_],
    layout: VectorLayout | None,
    directed: NDArray[np.bool_],
) -> MatrixReport:
    kept = int(np.count_nonzero(keep))
    direction = direction_strength(directed)
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
