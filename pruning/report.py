"""What pruning did: the masks, and a report of each matrix and of all together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import truediv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.budgets import bytes_of
from pruning.direction.retention import kept_sum, top_sum
from pruning.direction.strength import direction_strength
from pruning.patterns.pattern import Pattern, Pruned
from pruning.recipe import Recipe, as_json
from pruning.scoring import ScoredMatrix
from pruning.structure.heads import Heads
from sparse_formats.files.mask_file import write_masks
from sparse_formats.masks.execution import Execution
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from sparse_formats.masks.vectors import Orientation


@dataclass(frozen=True)
class MatrixReport:
    """What pruning did to one matrix.

    importance_kept: share of the matrix's importance that the kept weights hold; None if there is
        none.
    retention: importance kept ÷ kept by the best free choice of as many weights; None if none is.
    orientation, vectors, mean_length: None for a pattern without vectors; slots count as vectors,
        and their mean length is how many weights one keeps.
    strength, verdict: D and in words, of the fine-grained mask of the same budget; where a mask is
        all there is to score, of that mask.
    flops: multiplications and additions a token, two a kept weight.
    bytes: of the matrix in its pattern's format with 16-bit values; None if it cannot hold it.
    output_error: ‖WX − ŴX‖²/‖WX‖² over the calibration tokens; None without an update.
    """

    name: str
    kind: str
    rows: int
    cols: int
    density: float
    importance_kept: float | None
    retention: float | None
    orientation: Orientation | None
    vectors: int | None
    mean_length: float | None
    strength: float
    verdict: str
    flops: int
    bytes: int | None
    output_error: float | None


@dataclass(frozen=True)
class Total:
    """All matrices together; their importance counts in units of each matrix's mean score."""

    matrices: int
    weights: int
    kept: int
    density: float
    importance_kept: float | None
    retention: float | None
    vectors: int | None
    mean_length: float | None
    flops: int
    bytes: int | None


@dataclass(frozen=True, eq=False)
class Pruning:
    """The masks, a report per matrix in the same order, and the total over all of them.

    recipe: as resolved.
    notes: sentences for the user about what was done otherwise than asked.
    measured_on: in words, the masks whose direction the reports give.
    read: what of the model was pruned and what was left out, see `what_was_read`; {} if unknown.
    target: what was pruned for and what it came to, see `pruning.targets`; {} without a target.
    """

    masks: MaskSet
    reports: tuple[MatrixReport, ...]
    total: Total
    recipe: Recipe
    notes: tuple[str, ...] = ()
    measured_on: str = "the fine-grained mask of the same budget"
    read: Mapping[str, Any] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write the masks, with the kept weights where they are known, as a mask file (.npz).

        Raises:
            InputError: the path cannot be written.
        """
        write_masks(Path(path), self.masks)


@dataclass(frozen=True, eq=False)
class Chosen:
    """What became of one matrix.

    pruned: its mask. weight: what is kept, 0 elsewhere; None if unknown. pattern: that the mask is
    of. fine: the best free choice of as many weights. directed: the mask whose direction is
    reported, `fine` unless given. error: of the outputs, after an update.
    """

    pruned: Pruned
    weight: NDArray[np.floating[Any]] | None
    pattern: Pattern
    fine: NDArray[np.bool_]
    error: float | None
    directed: NDArray[np.bool_] | None = None


def pruning_of(
    matrices: Sequence[ScoredMatrix],
    chosen: Sequence[Chosen],
    recipe: Recipe,
    origin: str,
    heads: Heads | None,
    execution: Execution | None,
) -> Pruning:
    """The masks with their reports and their header; `origin` names the model in it."""
    masked = tuple(
        MaskedMatrix(m.name, c.pruned.keep, c.weight, m.kind, c.pruned.layout, c.pruned.slots)
        for m, c in zip(matrices, chosen, strict=True)
    )
    reports = tuple(
        report_of(m, found, c.pattern, c.fine if c.directed is None else c.directed, c.error)
        for m, found, c in zip(matrices, masked, chosen, strict=True)
    )
    total = total_of(matrices, [m.keep for m in masked], [c.fine for c in chosen], reports)
    header = {
        "model": origin,
        "method": recipe.pattern,
        "recipe": as_json(recipe),
        "seed": recipe.seed,
        "heads": None if heads is None else asdict(heads),
        "execution": None if execution is None else execution.as_data(),
        "report": [asdict(report) for report in reports],
        "total": asdict(total),
    }
    return Pruning(MaskSet(masked, header), reports, total, recipe)


def report_of(
    matrix: ScoredMatrix,
    pruned: MaskedMatrix,
    pattern: Pattern,
    directed: NDArray[np.bool_],
    error: float | None,
) -> MatrixReport:
    """The report of one matrix.

    directed: the mask whose direction is measured. error: of the output, after an update.
    """
    kept, cut = pruned.nnz, pruned.vectors or pruned.slots
    units = None if cut is None else _units(pruned)
    direction = direction_strength(directed)
    importance = kept_sum(matrix.scores, pruned.keep)
    return MatrixReport(
        name=matrix.name,
        kind=matrix.kind,
        rows=pruned.shape[0],
        cols=pruned.shape[1],
        density=pruned.density,
        importance_kept=_ratio(importance, float(matrix.scores.sum(dtype=np.float64))),
        retention=_ratio(importance, top_sum(matrix.scores, kept)),
        orientation=None if cut is None else cut.orientation,
        vectors=units,
        mean_length=None if units is None else _ratio(kept, units),
        strength=direction.strength,
        verdict=direction.verdict,
        flops=2 * kept,
        bytes=bytes_of(pattern, pruned),
        output_error=error,
    )


def total_of(
    matrices: Sequence[ScoredMatrix],
    keeps: Sequence[NDArray[np.bool_]],
    fines: Sequence[NDArray[np.bool_]],
    reports: Sequence[MatrixReport],
) -> Total:
    """The sums over all matrices; fines: the best free choices of as many weights."""
    kept = sum(int(np.count_nonzero(k)) for k in keeps)
    weights = sum(k.size for k in keeps)
    scores = [m.scores for m in matrices]
    (ours, whole), (best, _) = (_importance(scores, masks) for masks in (keeps, fines))
    counts = [r.vectors for r in reports if r.vectors is not None]
    vectors = sum(counts) if counts else None
    stored = [r.bytes for r in reports if r.bytes is not None]
    return Total(
        matrices=len(matrices),
        weights=weights,
        kept=kept,
        density=kept / weights if weights else 0.0,
        importance_kept=_ratio(ours, whole),
        retention=_ratio(ours, best),
        vectors=vectors,
        mean_length=None if vectors is None else _ratio(kept, vectors),
        flops=2 * kept,
        bytes=sum(stored) if len(stored) == len(reports) else None,
    )


def importance_kept(
    scores: Sequence[NDArray[np.floating[Any]]], keeps: Sequence[NDArray[np.bool_]]
) -> float | None:
    """The share of all importance that masks keep, see `Total`; None where there is none."""
    return _ratio(*_importance(scores, keeps))


def _importance(
    scores: Sequence[NDArray[np.floating[Any]]], keeps: Sequence[NDArray[np.bool_]]
) -> tuple[float, float]:
    """What masks keep and all there is, in units of each matrix's mean score."""
    every = [float(each.sum(dtype=np.float64)) for each in scores]
    means = [whole / max(each.size, 1) or 1.0 for whole, each in zip(every, scores, strict=True)]
    kept = sum(
        kept_sum(each, keep) / mean for each, keep, mean in zip(scores, keeps, means, strict=True)
    )
    return kept, sum(map(truediv, every, means))


def _units(pruned: MaskedMatrix) -> int | None:
    """How many vectors or slots the mask is made of."""
    if pruned.vectors is not None:
        return len(pruned.vectors)
    return None if pruned.slots is None else pruned.slots.occupied(pruned.keep)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
