"""What `pruning analyze` says of each matrix of a mask file: direction, and what vectors keep."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

import numpy as np

from pruning.direction.retention import predicted_retention, top_sum, vector_sum
from pruning.direction.strength import DirectionStrength, direction_strength
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import MENU, ORIENTATIONS, Orientation
from sparse_formats.memory import check_dense

_STACKED = ("Q", "K", "V")


@dataclass(frozen=True)
class Retention:
    """Importance that vectors of one length keep, per orientation; None where undefined.

    predicted: from the mask's κ alone. measured: from the weights in the file, None without them.
    A file holds kept weights only, so dropped ones count as worth nothing: for a fine-grained mask
    that is less than vectors chosen with all weights in sight would keep, and less than predicted.
    """

    length: int
    predicted_horizontal: float | None
    predicted_vertical: float | None
    measured_horizontal: float | None
    measured_vertical: float | None

    def best_known(self, orientation: Orientation) -> float | None:
        """Measured if there is a measurement, else predicted."""
        horizontal = orientation == "horizontal"
        measured = self.measured_horizontal if horizontal else self.measured_vertical
        predicted = self.predicted_horizontal if horizontal else self.predicted_vertical
        return predicted if measured is None else measured


@dataclass(frozen=True, eq=False)
class Analysis:
    """One matrix (or Q, K and V of a layer stacked) with its direction and retentions."""

    matrix: MaskedMatrix
    direction: DirectionStrength
    retention: tuple[Retention, ...]

    @property
    def measured(self) -> bool:
        """True where retention was measured from weights."""
        return any(r.measured_horizontal is not None for r in self.retention)


def analyze(matrix: MaskedMatrix, menu: Sequence[int] = MENU, measure: bool = True) -> Analysis:
    """Direction strength and retention of one matrix at the lengths of `menu`.

    measure: measure retention too, where the matrix has weights.
    """
    check_dense([matrix], 8, "analyzing")
    direction = direction_strength(matrix.keep, menu)
    importance = (
        np.abs(matrix.weight.astype(np.float32))
        if (measure and matrix.weight is not None)
        else None
    )
    best = 0.0 if importance is None else top_sum(importance, matrix.nnz)
    retention = []
    for horizontal, vertical in zip(direction.horizontal, direction.vertical, strict=True):
        length = horizontal.length
        predicted = [
            predicted_retention(c.kappa, direction.density, length) for c in (horizontal, vertical)
        ]
        measured = [
            None
            if importance is None or best <= 0
            else vector_sum(importance, matrix.nnz, orientation, length) / best
            for orientation in ORIENTATIONS
        ]
        retention.append(Retention(length, *predicted, *measured))
    return Analysis(matrix, direction, tuple(retention))


def with_stacks(matrices: Sequence[MaskedMatrix]) -> Iterator[MaskedMatrix]:
    """`matrices` in order; behind each Q, K, V in a row also the three stacked, as "Q+K+V"."""
    for i, matrix in enumerate(matrices):
        yield matrix
        three = matrices[max(i - 2, 0) : i + 1]
        widths = {m.shape[1] for m in three}
        if tuple(m.kind for m in three) == _STACKED and len(widths) == 1:
            yield _stacked(three)


def as_json(analysis: Analysis) -> dict[str, Any]:
    """Everything of an analysis as JSON-able data; undefined values are None."""
    direction = analysis.direction
    return {
        "name": analysis.matrix.name,
        "kind": analysis.matrix.kind,
        **asdict(direction),
        "strength_at": {
            str(c.length): direction.strength_at(c.length) for c in direction.of("horizontal")
        },
        "correlation_length_horizontal": direction.correlation_length("horizontal"),
        "correlation_length_vertical": direction.correlation_length("vertical"),
        "better": direction.better,
        "verdict": direction.verdict,
        "retention_measured_on": "kept weights" if analysis.measured else None,
        "retention": [asdict(r) for r in analysis.retention],
    }


def _stacked(three: Sequence[MaskedMatrix]) -> MaskedMatrix:
    names = [m.name for m in three]
    start = _common_start(names)
    end = _common_start([n.removeprefix(start)[::-1] for n in names])[::-1]
    weights = [m.weight for m in three if m.weight is not None]
    return MaskedMatrix(
        name=f"{start}Q+K+V{end}",
        keep=np.vstack([m.keep for m in three]),
        weight=np.vstack(weights) if len(weights) == len(three) else None,
        kind="QKV",
    )


def _common_start(names: Sequence[str]) -> str:
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in alike)
