"""The curvature of a layer's output error, H = Σ x xᵀ over tokens, made fit to be inverted.

Removing weights changes the error ‖WX − ŴX‖² by a quadratic form in H (its second derivative is
2H; the factor drops out of every choice and update here).
"""

import numpy as np
from numpy.typing import NDArray

DAMPING = 0.01
"""Share of H's mean diagonal added to its diagonal. Source: SparseGPT (2023)."""

WORST = 1e-11
"""Smallest pivot, relative to the largest, at which H still counts as regular (chosen)."""


def damped(gram: NDArray[np.float64], damping: float = DAMPING) -> NDArray[np.float64]:
    """`gram` (in, in) with its diagonal raised; inputs that were never active get a 1 there.

    Source: SparseGPT's code, which treats dead inputs so.
    """
    diagonal = np.diag(gram)
    dead = diagonal <= 0
    mean = float(diagonal.mean()) if len(diagonal) else 0.0
    h = np.array(gram, np.float64)
    h[np.diag_indices_from(h)] = np.where(dead, 1.0, diagonal + damping * mean)
    return h


def regular(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """`gram` itself where it can be inverted with care, else damped.

    Fewer tokens than inputs, or inputs that depend on one another, make it singular.
    """
    try:
        pivots = np.diag(np.linalg.cholesky(gram))
    except np.linalg.LinAlgError:
        return damped(gram)
    if len(pivots) and pivots.min() ** 2 < WORST * pivots.max() ** 2:
        return damped(gram)
    return gram


def inverse(h: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of a positive definite matrix, symmetric to the last bit."""
    from scipy.linalg import cho_factor, cho_solve

    found = cho_solve(cho_factor(h, lower=True), np.eye(len(h)))
    return (found + found.T) / 2


def inverse_factor(h: NDArray[np.float64]) -> NDArray[np.float64]:
    """U, upper triangular, with H⁻¹ = Uᵀ U.

    1/U_ii² is the curvature of weight i once all weights before it are fixed and all behind it
    are free to make up for it. Computed from H without inverting it: the Cholesky factor of H
    turned end to end, turned back, is U⁻¹.
    """
    from scipy.linalg import solve_triangular

    turned = np.linalg.cholesky(h[::-1, ::-1])[::-1, ::-1]
    return np.triu(solve_triangular(turned, np.eye(len(h))))
