"""The nouns that travel between the packages: a masked matrix and a set of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.masks.vectors import VectorLayout


@dataclass(frozen=True, eq=False)
class MaskedMatrix:
    """One weight matrix of a model and which of its entries are kept.

    keep: bool, shape (out_features, in_features); True = kept.
    weight: float16/float32/float64 of the same shape, exactly 0 where not kept; None if unknown.
        int8 from a model in 8-bit numbers (`int8_file`), in units of a scale of its own.
    kind: what the matrix does in its layer (see `matrix_names`), "other" if unrecognised.
    vectors: how the mask is cut into vectors, where its maker said so.
    """

    name: str
    keep: NDArray[np.bool_]
    weight: NDArray[np.floating[Any] | np.int8] | None = None
    kind: str = "other"
    vectors: VectorLayout | None = None

    def __post_init__(self) -> None:
        if self.keep.ndim != 2 or self.keep.dtype != np.bool_:
            raise InputError(
                f"matrix {self.name}: a mask is a 2-D boolean array, found "
                f"{self.keep.ndim}-D {self.keep.dtype}"
            )
        if self.weight is not None and self.weight.shape != self.keep.shape:
            raise InputError(
                f"matrix {self.name}: weight {self.weight.shape} and mask {self.keep.shape} "
                "differ in shape"
            )

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.keep.shape
        return rows, cols

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
        return self.nnz / self.keep.size if self.keep.size else 0.0


@dataclass(frozen=True, eq=False)
class MaskSet:
    """The masked matrices of a model in network order, and what is known of their origin.

    header: JSON-able; our writer fills model, method, recipe, seed where they are known.
    """

    matrices: tuple[MaskedMatrix, ...]
    header: Mapping[str, Any] = field(default_factory=dict)
