"""The error that a level leaves on the outputs of a matrix, and the weights that leave it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pruning.reconstruct.sparsegpt import handed_on
from pruning.statistics.hessian import damped, inverse_factor


@dataclass(frozen=True, eq=False)
class Stored:
    """Weights of a masked matrix, half their size: mask in bits, kept weights in float16 × scale.

    Enough to judge a choice by; the mask file gets weights of full precision.
    """

    shape: tuple[int, int]
    bits: NDArray[np.uint8]
    kept: NDArray[np.float16]
    scale: float

    @classmethod
    def of(cls, weight: NDArray[np.floating[Any]], keep: NDArray[np.bool_]) -> "Stored":
        scale = float(np.abs(weight).max(initial=0.0)) or 1.0
        rows, cols = keep.shape
        return cls(
            (rows, cols), np.packbits(keep), (weight[keep] / scale).astype(np.float16), scale
        )

    def weight(self) -> NDArray[np.float32]:
        """(out, in), 0 where not kept."""
        found = np.zeros(self.shape, np.float32)
        keep = np.unpackbits(self.bits, count=found.size).view(np.bool_).reshape(self.shape)
        found[keep] = self.kept.astype(np.float32) * np.float32(self.scale)
        return found


class OutputError:
    """‖WX − ŴX‖² / ‖WX‖² of one matrix over the calibration tokens, whatever of it is kept.

    weight: float (out, in). gram: float64 (in, in), Σ x xᵀ. is_updated: kept weights make up for
    those that go. They do so from left to right, as SparseGPT has it, which takes a hundredth of
    the time of least squares and orders levels alike.
    """

    def __init__(
        self, weight: NDArray[np.floating[Any]], gram: NDArray[np.float64], is_updated: bool
    ) -> None:
        self._weight, self._gram = weight.astype(np.float64), gram
        self._factor = inverse_factor(damped(gram)) if is_updated else None
        self._whole = float(np.vdot(self._weight @ gram, self._weight))

    def of(self, keep: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
        """The error, and the weights that leave it."""
        if keep.all():
            return 0.0, self._weight
        if self._factor is None:
            rebuilt = np.where(keep, self._weight, 0)
        else:
            _, rebuilt = handed_on(self._weight, self._gram, self._factor, keep)
        if self._whole <= 0:
            return 0.0, rebuilt
        off = self._weight - rebuilt
        return max(float(np.vdot(off @ self._gram, off)), 0.0) / self._whole, rebuilt
