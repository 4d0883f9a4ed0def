"""A masked matrix of few entries, held as these entries."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.memory import check_fits, written_bytes


class SparseMaskedMatrix(MaskedMatrix):
    """A matrix whose dense arrays are made each time they are asked for, and not held.

    places: int64, ascending and each once: row · columns + column of each kept entry.
    values: float16/float32/float64, the weights at these places; None if unknown.

    The arrays are zero but for the entries, and an operating system gives no memory to pages that
    nobody wrote to: a matrix of 50,000 × 50,000 with ten entries takes a few megabytes.
    """

    _shape: tuple[int, int]
    _places: NDArray[np.int64]
    _values: NDArray[np.floating[Any]] | None

    def __init__(
        self,
        name: str,
        shape: tuple[int, int],
        places: NDArray[np.int64],
        values: NDArray[np.floating[Any]] | None,
        kind: str,
    ) -> None:
        fields = {"name": name, "kind": kind, "vectors": None}
        fields |= {"_shape": shape, "_places": places, "_values": values}
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    @property
    def keep(self) -> NDArray[np.bool_]:  # type: ignore[override]
        """A fresh mask. Raises InputError if the run may not take so much memory."""
        return self._spread(np.ones(1, np.bool_), "the mask")

    @property
    def weight(self) -> NDArray[np.floating[Any]] | None:  # type: ignore[override]
        """Fresh weights. Raises InputError if the run may not take so much memory."""
        return None if self._values is None else self._spread(self._values, "the weights")

    @property
    def weight_dtype(self) -> np.dtype[Any] | None:
        return None if self._values is None else self._values.dtype

    @property
    def shape(self) -> tuple[int, int]:
        return self._shape

    @property
    def nnz(self) -> int:
        return len(self._places)

    @property
    def kept_weights(self) -> NDArray[Any] | None:
        return self._values

    @property
    def keeps_more_than_its_mask(self) -> bool:
        return False

    @property
    def written_bytes(self) -> int:
        return written_bytes(self.nnz, self.size, 1)

    @property
    def held_bytes(self) -> int:
        return self._places.nbytes + (0 if self._values is None else self._values.nbytes)

    def _spread(self, values: NDArray[Any], what: str) -> NDArray[Any]:
        rows, cols = self._shape
        count = written_bytes(self.nnz, self.size, values.itemsize)
        check_fits(count, f"making {what} of matrix {self.name} ({rows}×{cols})")
        dense = np.zeros(self._shape, values.dtype)
        dense.reshape(-1)[self._places] = values
        return dense
