"""The nouns that travel between the packages: a masked matrix and a set of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.masks.matrix_names import kind_of
from sparse_formats.masks.slots import Slots
from sparse_formats.masks.vectors import VectorLayout


@dataclass(frozen=True, eq=False)
class MaskedMatrix:
    """One weight matrix of a model and which of its entries are kept.

    keep: bool, shape (out_features, in_features); True = kept.
    weight: float16/float32/float64 of the same shape, exactly 0 where not kept; None if unknown.
        int8 from a model in 8-bit numbers (`int8_file`), in units of a scale of its own.
    kind: what the matrix does in its layer (see `matrix_names`), "other" if unrecognised.
    vectors: how the mask is cut into vectors, where its maker said so. slots: or into slots.
    """

    name: str
    keep: NDArray[np.bool_]
    weight: NDArray[np.floating[Any] | np.int8] | None = None
    kind: str = "other"
    vectors: VectorLayout | None = None
    slots: Slots | None = None

    def __post_init__(self) -> None:
        check_mask(self.keep, f"matrix {self.name}")
        if self.weight is not None and not isinstance(self.weight, np.ndarray):
            found = type(self.weight).__name__
            raise InputError(f"matrix {self.name}: weight is {found}; give an array of the weights")
        if self.weight is not None and self.weight.shape != self.keep.shape:
            raise InputError(
                f"matrix {self.name}: weight {self.weight.shape} and mask {self.keep.shape} "
                "differ in shape"
            )

    @classmethod
    def from_array(cls, name: str, array: NDArray[Any], where: str = "") -> Self:
        """What is not zero in `array` is kept; floats are the weights, bools and ints are not.

        array: 2-D, (out, in), of bools, integers or floats; the matrix holds it, and zeros in it
        lose their sign. where: what stands before the matrix's name in messages.

        Raises:
            InputError: another array; NaN or infinity; a float type that is not 16, 32 or 64 bits
                wide.
        """
        where = f"{where}matrix {name}"
        if array.ndim != 2 or array.dtype.kind not in "biuf":
            raise InputError(
                f"{where} is {array.ndim}-D {array.dtype}; give a 2-D array (outputs, inputs) of "
                "booleans, integers or real floats"
            )
        weight = array if array.dtype.kind == "f" else None
        if weight is not None:
            check_float(where, weight.dtype)
            check_finite(where, weight)
        keep = array != 0
        if weight is not None:
            weight[~keep] = 0
        return cls(name, keep, weight, kind_of(name))

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.keep.shape
        return rows, cols

    @property
    def size(self) -> int:
        """Entries, kept or not."""
        rows, cols = self.shape
        return rows * cols

    @property
    def weight_dtype(self) -> np.dtype[Any] | None:
        """Element type of the weights, None if they are unknown."""
        return None if self.weight is None else self.weight.dtype

    @property
    def is_weighted(self) -> bool:
        """Whether the weights are known."""
        return self.weight_dtype is not None

    @property
    def kept_weights(self) -> NDArray[np.floating[Any] | np.int8] | None:
        """The weights of the kept entries, row by row; None if they are unknown."""
        return None if self.weight is None else self.weight[self.keep]

    @property
    def keeps_more_than_its_mask(self) -> bool:
        """Whether a weight is not zero where the mask drops it, as it must not be."""
        return self.weight is not None and bool(np.count_nonzero(self.weight[~self.keep]))

    @property
    def written_bytes(self) -> int:
        """What the mask takes in memory."""
        return self.size

    @property
    def held_bytes(self) -> int:
        """What the matrix takes in memory."""
        return self.keep.nbytes + (0 if self.weight is None else self.weight.nbytes)

    @property
    def float_weight(self) -> NDArray[np.floating[Any]] | None:
        """The weights in units of 1; InputError for 8-bit numbers, which stand in no model."""
        if self.weight is not None and self.weight.dtype == np.int8:
            raise InputError(
                f"matrix {self.name} holds 8-bit weights, but floating-point weights are needed; "
                "give the model that they were made from"
            )
        return cast("NDArray[np.floating[Any]] | None", self.weight)

    @property
    def nnz(self) -> int:
        return int(np.count_nonzero(self.keep))

    @property
    def density(self) -> float:
        """Kept fraction; 0 for a matrix without entries."""
        return self.nnz / self.size if self.size else 0.0


@dataclass(frozen=True, eq=False)
class MaskSet:
    """The masked matrices of a model in network order, and what is known of their origin.

    header: JSON-able; our writer fills model, method, recipe, seed where they are known.
    """

    matrices: tuple[MaskedMatrix, ...]
    header: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Of the matrices, by name."""
        return {matrix.name: matrix.shape for matrix in self.matrices}

    @classmethod
    def from_arrays(cls, arrays: Mapping[Any, Any]) -> Self:
        """The masks of 2-D arrays (out, in) by name, in the order given; see `from_array`.

        A 4-D array (out, in, height, width) is a convolution, and becomes a matrix of outputs ×
        (inputs · height · width). The arrays stay as they are: masks and weights are copies.

        Raises:
            InputError: as `MaskedMatrix.from_array`; no arrays, or not by name.
        """
        if not isinstance(arrays, Mapping):
            raise InputError(
                f"masks are given as {type(arrays).__name__}; give what read_masks returns, or a "
                "dict of 2-D arrays by name"
            )
        if not arrays:
            raise InputError("there are no masks; give at least one 2-D array by name")
        whole = {str(name): np.array(array) for name, array in arrays.items()}
        convolutions = {name: list(a.shape) for name, a in whole.items() if a.ndim == 4}
        matrices = (
            MaskedMatrix.from_array(
                name, array.reshape(len(array), -1) if name in convolutions else array
            )
            for name, array in whole.items()
        )
        return cls(tuple(matrices), {"convolutions": convolutions} if convolutions else {})


_VERY_LARGE = 2**28
"""Entries; below, copying all is many times faster than copying what is kept."""


def copy_of_mask(keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A copy in rows. Of a very large one, pages where nothing is kept take no memory."""
    if keep.size < _VERY_LARGE:
        return np.ascontiguousarray(keep).copy()
    copy = np.zeros(keep.shape, np.bool_)
    np.copyto(copy, np.True_, where=keep)
    return copy


def check_mask(keep: Any, where: str) -> None:
    """InputError naming `where` unless `keep` is a 2-D boolean array."""
    if not isinstance(keep, np.ndarray):
        raise InputError(f"{where} is {type(keep).__name__}; a mask is a 2-D boolean array")
    if keep.ndim != 2 or keep.dtype != np.bool_:
        raise InputError(
            f"{where} is {keep.ndim}-D {keep.dtype}; a mask is a 2-D boolean array, such as "
            "weight != 0"
        )


def check_float(where: str, dtype: np.dtype[Any]) -> None:
    """InputError naming `where` unless `dtype` is float16, float32 or float64."""
    if dtype not in (np.float16, np.float32, np.float64):
        raise InputError(f"{where} holds {dtype}; convert it to float16, float32 or float64")


def check_finite(where: str, values: NDArray[np.floating[Any]]) -> None:
    """InputError naming `where` and the first NaN or infinity, by row, then column."""
    finite = np.isfinite(values)
    if not finite.all():
        row, col = (int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{where} has {values[row, col]} at row {row}, column {col}; "
            "weights must be finite numbers; repair the checkpoint"
        )
