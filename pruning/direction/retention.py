"""How much importance aligned vectors keep, against the best free choice of as many weights.

`measured_retention` needs scores; `predicted_retention` needs only a mask's κ. The prediction
models log-importance as √s·(line factor) + √(1−s)·noise, both standard normal: κ fixes s, and s
fixes what the best vectors keep. Its integrals are computed on grids, not sampled.

Source: this project's own definitions.
"""

import math
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.vectors import Orientation


def measured_retention(
    scores: NDArray[np.floating], density: float, orientation: Orientation, length: int
) -> float | None:
    """Importance kept by the best aligned vectors of one length ÷ kept by the best weights.

    scores: importance ≥ 0, (out, in). With k = round(density·N), the best ⌊k/length⌋ vectors
    compete with the best k weights; a line the length does not divide ends in a short vector, and
    vectors rank by mean importance. None where the best weights hold no importance.
    """
    budget = round(density * scores.size)
    best = top_sum(scores, budget)
    return vector_sum(scores, budget, orientation, length) / best if best > 0 else None


def vector_sum(
    scores: NDArray[np.floating], budget: int, orientation: Orientation, length: int
) -> float:
    """Importance of the best aligned vectors of one length that fit into `budget` weights."""
    lines = scores if orientation == "horizontal" else scores.T
    starts = np.arange(0, lines.shape[1], length)
    if orientation == "horizontal":
        sums = np.add.reduceat(scores, starts, axis=1, dtype=np.float64).ravel()
    else:
        sums = np.add.reduceat(scores, starts, axis=0, dtype=np.float64).T.ravel()
    if lines.shape[1] % length == 0:
        return top_sum(sums, budget // length)
    covered = np.minimum(length, lines.shape[1] - starts)
    sizes = np.broadcast_to(covered, (lines.shape[0], len(starts))).ravel()
    order = np.argsort(-sums / sizes, kind="stable")
    affordable = np.cumsum(sizes[order]) <= budget
    return float(sums[order][affordable].sum())


def top_sum(scores: NDArray[np.floating], count: int) -> float:
    """Sum of the `count` largest scores, in float64."""
    if count <= 0:
        return 0.0
    flat = scores.ravel()
    best = flat if count >= flat.size else np.partition(flat, flat.size - count)[-count:]
    return float(best.sum(dtype=np.float64))


def kept_sum(scores: NDArray[np.floating], keep: NDArray[np.bool_]) -> float:
    """Sum of the scores kept, in float64."""
    return float(scores[keep].sum(dtype=np.float64))


def kappa_of_share(share: float, density: float) -> float:
    """κ of a mask whose log-importance is a `share` s of line factor, thresholded at `density`.

    κ(s, p) = [Φ₂(−t, −t; s) − p²] / (p(1−p)) with t = Φ⁻¹(1−p).
    Source: Plackett's identity, ∂Φ₂/∂s = the bivariate normal density, integrated over s = sin θ.
    """
    from scipy.special import ndtri

    if share <= 0:
        return 0.0
    threshold = float(ndtri(1 - density))
    nodes, weights = _quadrature()
    top = math.asin(min(share, 1.0))
    angles = top * (nodes + 1) / 2
    integral = float(np.dot(weights, np.exp(-(threshold**2) / (1 + np.sin(angles))))) * top / 2
    return integral / (2 * math.pi) / (density * (1 - density))


def share_of_kappa(kappa: float, density: float) -> float:
    """The inverse of `kappa_of_share`: ŝ in [0, 1], from a measured κ of a mask."""
    from scipy.optimize import brentq

    if kappa <= 0:
        return 0.0
    if kappa >= kappa_of_share(1.0, density):
        return 1.0
    share = brentq(lambda s: kappa_of_share(s, density) - kappa, 0.0, 1.0, xtol=1e-10)
    return float(cast(float, share))


def predicted_retention(kappa: float | None, density: float, length: int) -> float | None:
    """Retention ρ(length) expected of a matrix whose mask has this κ and density.

    None where κ is undefined or the mask keeps nothing. Assumes log-normal importance with σ = 1
    (chosen; trained weights differ, so measure where the weights are at hand).
    """
    if length == 1:
        return 1.0 if density > 0 else None
    if density >= 1:
        return 1.0
    if kappa is None or density <= 0:
        return None
    return retention_of_share(share_of_kappa(kappa, density), density, length)


def retention_of_share(share: float, density: float, length: int) -> float:
    """ρ(length) of the copula model with line share `share` in [0, 1] and density in (0, 1)."""
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    spread = math.sqrt(max(share, 1e-6))  # of the line factor; a hair of it keeps S continuous
    mass, value = _sums_of_lognormals(math.sqrt(max(1 - share, 0.0)), length)
    logs = np.log(value)

    def kept_share(log_threshold: float) -> float:
        return float(np.dot(mass, ndtr((logs - log_threshold) / spread)))

    edge = 12 * spread
    root = brentq(lambda q: kept_share(q) - density, logs[0] - edge, logs[-1] + edge, xtol=1e-9)
    threshold = float(cast(float, root))
    kept = math.exp(spread**2 / 2) * float(
        np.dot(mass * value, ndtr(spread + (logs - threshold) / spread))
    )
    best = math.exp(0.5) * float(ndtr(1 - ndtri(1 - density)))
    return min(kept / length / best, 1.0)


@lru_cache(maxsize=1)
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of Gauss–Legendre integration on [−1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return nodes, weights


@lru_cache(maxsize=256)
def _sums_of_lognormals(
    sigma: float, count: int, cells: int = 768
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distribution of the sum of `count` independent exp(N(0, σ²)), as (mass, mean) of cells.

    The characteristic function of one term is taken by FFT and raised to the power `count`.
    """
    from scipy.special import ndtr

    if sigma < 1e-6:
        return np.ones(1), np.full(1, float(count))
    points = 1 << 14
    mean = math.exp(sigma**2 / 2)
    # Far enough that one term's tail beyond it holds less than 1e-5 of the importance.
    reach = count * mean + 12 * math.sqrt(count) * mean + math.exp(5.5 * sigma)
    step = reach / points
    edges = np.arange(points + 1) * step
    upper = np.log(np.maximum(edges, 1e-300)) / sigma
    mass = np.diff(ndtr(upper))
    # Each cell stands at its middle; the exact mean is restored below.
    summed = np.fft.irfft(np.fft.rfft(mass) ** count, points).clip(min=0)
    value = (np.arange(points) + count / 2) * step
    used = summed > 1e-13
    summed, value = summed[used], value[used]
    summed /= summed.sum()
    value *= count * mean / float(np.dot(summed, value))
    # Merge into cells of about equal width in log value: the sums to come are over few numbers.
    place = np.log(value)
    cell = ((place - place[0]) / (place[-1] - place[0] + 1e-12) * cells).astype(np.intp)
    merged = np.bincount(cell, weights=summed, minlength=cells).astype(np.float64)
    moment = np.bincount(cell, weights=summed * value, minlength=cells)
    filled = merged > 0
    return merged[filled], moment[filled] / merged[filled]
