"""Direction strength: does a mask live in horizontal or in vertical stripes, and on what scale?

The global strength D is a two-way analysis of variance of the mask: how much of its variance is
explained by row densities (horizontal stripes), how much by column densities (vertical ones), each
corrected for what a random mask of the same size would show. Whole-line densities miss structure
that lives inside attention heads; the scale-resolved κ(L) looks at aligned vectors of length L.

Source: the idea is TF-MVP's (Yoo et al., DAC 2023; Yoo & Lee 2023), whose formula is not public;
the definitions here are this project's own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.matrix import check_mask
from sparse_formats.masks.vectors import MENU, ORIENTATIONS, Orientation

Band = Literal["none", "weak", "medium", "strong"]

BANDS: tuple[tuple[float, Band], ...] = ((0.02, "none"), (0.1, "weak"), (0.3, "medium"))
"""Upper ends of the bands of |κ|; above the last it is "strong" (chosen, for density 0.2)."""

VERDICT_LENGTH = 16
"""The scale the verdict is read at, or the longest one below it that was measured (chosen)."""

BOTH_SHARE = 0.75
"""Both directions are named when the weaker κ is at least this share of the stronger (chosen)."""


@dataclass(frozen=True)
class Coherence:
    """κ of the aligned vectors of one orientation and one length.

    kappa: mean correlation of mask bits that share a vector, its random-mask expectation
        subtracted; 0 random, 1 fully coherent, negative when bits avoid each other; None where it
        is undefined (a constant mask, no line long enough).
    coverage: share of the matrix in full vectors, 1 where `length` divides the line.
    null_sd: standard deviation of `kappa` over random masks; None where `kappa` is.
    """

    length: int
    kappa: float | None
    coverage: float
    null_sd: float | None


@dataclass(frozen=True)
class DirectionStrength:
    """Everything measured about the direction of one mask; None where undefined, never NaN.

    eta_rows, eta_cols: variance of row (column) densities over the Bernoulli variance p(1−p).
    null_rows, null_cols: their exact expectations for a random mask with as many ones.
    row_strength, col_strength: S_r, S_c = (η − e)/(1 − e).
    strength: D = S_r − S_c; > 0 horizontal stripes, < 0 vertical; 0 where undefined.
    structure: T = S_r + S_c, all one-dimensional structure together.
    z: D's distance from a random mask in standard deviations; a gate, not a size.
    variance_difference: Var(row densities) − Var(column densities), the plain measure of
        Yoo & Lee 2023.
    horizontal, vertical: κ per length of the menu (lengths above 1, ascending).
    """

    rows: int
    cols: int
    density: float
    eta_rows: float | None
    eta_cols: float | None
    null_rows: float | None
    null_cols: float | None
    row_strength: float | None
    col_strength: float | None
    strength: float
    structure: float | None
    z: float | None
    variance_difference: float
    horizontal: tuple[Coherence, ...]
    vertical: tuple[Coherence, ...]

    def coherence(self, orientation: Orientation, length: int) -> Coherence:
        """κ of one orientation at one measured length; KeyError if it was not measured."""
        found = {c.length: c for c in self.of(orientation)}
        return found[length]

    def of(self, orientation: Orientation) -> tuple[Coherence, ...]:
        """κ per length in one orientation."""
        return self.horizontal if orientation == "horizontal" else self.vertical

    def strength_at(self, length: int) -> float | None:
        """D(L) = κ_h(L) − κ_v(L); None where either is undefined."""
        kappas = (self.coherence(o, length).kappa for o in ORIENTATIONS)
        h, v = kappas
        return None if h is None or v is None else h - v

    def correlation_length(self, orientation: Orientation) -> int:
        """The longest L with κ(L) ≥ 0.9·κ(shortest L); 1 where κ(shortest L) < 0.02."""
        known = [(c.length, c.kappa) for c in self.of(orientation) if c.kappa is not None]
        if not known or known[0][1] < BANDS[0][0]:
            return 1
        return max(length for length, kappa in known if kappa >= 0.9 * known[0][1])

    @property
    def better(self) -> Orientation:
        """The orientation of the larger κ at the verdict's scale; ties are horizontal."""
        return (
            "vertical"
            if _verdict_kappa(self.vertical) > _verdict_kappa(self.horizontal)
            else ("horizontal")
        )

    @property
    def verdict(self) -> str:
        """Direction and band in words: "none", "horizontal, strong", "both, weak"."""
        h, v = _verdict_kappa(self.horizontal), _verdict_kappa(self.vertical)
        size = band(max(h, v))
        if size == "none":
            return "none"
        return f"{'both' if min(h, v) >= BOTH_SHARE * max(h, v) else self.better}, {size}"


def band(kappa: float) -> Band:
    """The word for a coherence: none < 0.02 ≤ weak < 0.1 ≤ medium ≤ 0.3 < strong."""
    size = abs(kappa)
    for end, word in BANDS:
        if size < end or (word == "medium" and size == end):
            return word
    return "strong"


def direction_strength(keep: NDArray[np.bool_], menu: Sequence[int] = MENU) -> DirectionStrength:
    """Measure the direction of a mask.

    keep: bool (out, in). menu: vector lengths to measure κ at; 1 is skipped, since a vector of one
    bit has no pair.

    Raises:
        InputError: `keep` is not a 2-D boolean array.
    """
    check_mask(keep, "keep")
    rows, cols = keep.shape
    bits = keep.view(np.uint8)
    size = rows * cols
    row_density = bits.sum(axis=1, dtype=np.int64) / max(cols, 1)
    col_density = bits.sum(axis=0, dtype=np.int64) / max(rows, 1)
    density = int(np.count_nonzero(keep)) / size if size else 0.0
    bernoulli = density * (1 - density)

    eta_rows = _over(_mean_square(row_density - density), bernoulli)
    eta_cols = _over(_mean_square(col_density - density), bernoulli)
    null_rows, null_cols = _over(rows - 1, size - 1), _over(cols - 1, size - 1)
    row_strength = _corrected(eta_rows, null_rows)
    col_strength = _corrected(eta_cols, null_cols)
    structure = _difference_and_sum(row_strength, col_strength)
    lengths = sorted(length for length in set(menu) if length > 1)
    return DirectionStrength(
        rows=rows,
        cols=cols,
        density=density,
        eta_rows=eta_rows,
        eta_cols=eta_cols,
        null_rows=null_rows,
        null_cols=null_cols,
        row_strength=row_strength,
        col_strength=col_strength,
        strength=0.0 if structure is None else structure[0],
        structure=None if structure is None else structure[1],
        z=_z(rows, cols, eta_rows, eta_cols),
        variance_difference=_mean_square(row_density - density)
        - _mean_square(col_density - density),
        horizontal=_coherences(bits.T, density, lengths),
        vertical=_coherences(bits, density, lengths),
    )


def _coherences(
    bits: NDArray[np.uint8], density: float, lengths: Sequence[int]
) -> tuple[Coherence, ...]:
    """κ of the vectors that run down axis 0 of `bits`, one per length (ascending)."""
    axis, lines = bits.shape
    size = axis * lines
    bernoulli = density * (1 - density)
    counts, counted = bits, 1
    found = []
    for length in lengths:
        full = axis // length
        coverage = full * length / axis if axis else 0.0
        if not full or not lines or not bernoulli:
            found.append(Coherence(length, None, coverage, None))
            continue
        if length % counted:
            counts, counted = bits, 1
        counts, counted = _merge(counts, length // counted, full), length
        variance = _mean_square(counts / length - density) / bernoulli
        kappa = (length * variance - 1) / (length - 1) + 1 / (size - 1)
        sd = math.sqrt(2 / ((length - 1) * full * length * lines))
        found.append(Coherence(length, kappa, coverage, sd))
    return tuple(found)


def _merge(counts: NDArray[np.integer], factor: int, full: int) -> NDArray[np.uint32]:
    """Sums of `factor` neighbours along axis 0, for the first `full` groups."""
    # A few whole-slice additions beat a reduction over a short axis many times over.
    total = counts[0 : full * factor : factor].astype(np.uint32)
    for offset in range(1, factor):
        total += counts[offset : full * factor : factor]
    return total


def _mean_square(deviation: NDArray[np.floating]) -> float:
    flat = deviation.ravel(order="K")
    return float(np.dot(flat, flat)) / flat.size if flat.size else 0.0


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _corrected(eta: float | None, null: float | None) -> float | None:
    """(η − e)/(1 − e); None where the null leaves no room (a single line)."""
    if eta is None or null is None or null >= 1:
        return None
    return (eta - null) / (1 - null)


def _difference_and_sum(a: float | None, b: float | None) -> tuple[float, float] | None:
    return None if a is None or b is None else (a - b, a + b)


def _z(rows: int, cols: int, eta_rows: float | None, eta_cols: float | None) -> float | None:
    """((η_r − η_c) − (e_r − e_c)) / sd, with Var η_r ≈ 2(R−1)(1−R/N)/(N−1)², columns likewise."""
    size = rows * cols
    if eta_rows is None or eta_cols is None:
        return None
    variance = (
        2 * ((rows - 1) * (1 - rows / size) + (cols - 1) * (1 - cols / size)) / (size - 1) ** 2
    )
    difference = (eta_rows - eta_cols) - (rows - cols) / (size - 1)
    return difference / math.sqrt(variance) if variance > 0 else None


def _verdict_kappa(coherences: Sequence[Coherence]) -> float:
    """κ at the verdict's scale, 0 where undefined or within three null deviations of it."""
    known = [c for c in coherences if c.kappa is not None and c.null_sd is not None]
    below = [c for c in known if c.length <= VERDICT_LENGTH] or known[:1]
    if not below:
        return 0.0
    chosen = below[-1]
    assert chosen.kappa is not None and chosen.null_sd is not None
    return chosen.kappa if chosen.kappa > 3 * chosen.null_sd else 0.0
