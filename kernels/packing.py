"""Weights packed once for the kernels, and what that took."""

from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.dispatcher import Batch, Cut, batch_of, choose
from kernels.loops import rows, segments, strips
from kernels.loops.rows import Rows
from kernels.loops.segments import Segments, Spans
from kernels.loops.strips import Strips
from kernels.vector_registers import machine
from sparse_formats.formats.sparse_matrix import SparseMatrix

STORED = (np.float64, np.float32, np.float16, np.int8)
"""Types of a weight that have a kernel."""


@dataclass(frozen=True, eq=False)
class Packed:
    """A matrix cut into pieces for one or for many tokens: the sum of three parts.

    segments: `Segments` for many tokens, `Spans` for one. seconds: spent on packing.
    """

    cut: Cut
    strips: Strips
    segments: Segments | Spans
    rows: Rows
    seconds: float

    @cached_property
    def arrays(self) -> tuple[Any, ...]:
        """The fields of the three parts, in the order the kernels take them."""
        return tuple(
            value
            for part in (self.strips, self.segments, self.rows)
            for value in vars(part).values()
        )

    @property
    def bytes(self) -> int:
        """Of all arrays."""
        return sum(value.nbytes for value in self.arrays if isinstance(value, np.ndarray))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A weight (out, in) with its packings, made when first needed: one a `Batch`.

    dtype: of the weights as stored.
    """

    shape: tuple[int, int]
    nnz: int
    weight: SparseMatrix
    dtype: np.dtype[Any]
    packings: dict[Batch, Packed] = field(default_factory=dict)

    def __deepcopy__(self, _: object) -> "Prepared":
        """Itself: nothing of it changes."""
        return self

    def packed(self, tokens: int) -> Packed:
        """The packing for so many tokens, made now if there is none."""
        batch = batch_of(tokens)
        if batch not in self.packings:
            self.packings[batch] = pack(self.weight, tokens)
        return self.packings[batch]

    @property
    def seconds(self) -> float:
        """Spent on packing so far."""
        return sum(packed.seconds for packed in self.packings.values())

    @property
    def bytes(self) -> int:
        """Of all packings so far."""
        return sum(packed.bytes for packed in self.packings.values())


def prepare(weight: SparseMatrix, tokens: int = 128) -> Prepared:
    """`weight` packed for products with about `tokens` tokens.

    Other numbers of tokens are as right; one that belongs to another `Batch` is packed for when it
    comes. weight: in any format of `sparse_formats`, with its weights as float64, float32, float16
        or int8. It is kept, for the other packings, and must not change.

    Raises:
        TypeError: `weight` is no sparse matrix.
        ValueError: it holds a mask only, or weights of another type.
    """
    if not hasattr(weight, "decode") or not hasattr(weight, "data"):
        raise TypeError(
            f"spmm: no kernel for {type(weight).__name__}; encode it, for instance as CSR"
        )
    rows, cols = weight.shape
    if weight.data is None:
        raise ValueError(
            f"spmm: weight ({rows}, {cols}) holds only a mask; encode it with its weights"
        )
    if weight.data.dtype not in STORED:
        known = ", ".join(np.dtype(dtype).name for dtype in STORED)
        raise ValueError(f"spmm: weight is {weight.data.dtype}; convert it to one of {known}")
    prepared = Prepared((rows, cols), weight.nnz, weight, weight.data.dtype)
    prepared.packed(tokens)
    return prepared


def pack(weight: SparseMatrix, tokens: int, cut: Cut | None = None) -> Packed:
    """`weight` cut into pieces; without `cut`, the dispatcher decides how."""
    start = perf_counter()
    keep, dense = weight.decode()
    assert dense is not None
    outputs, inputs = (-(-side // 16) * 16 for side in keep.shape)
    if (outputs, inputs) != keep.shape:
        missing = ((0, outputs - keep.shape[0]), (0, inputs - keep.shape[1]))
        keep, dense = np.pad(keep, missing), np.pad(dense, missing)
    dense = _as_stored(dense)
    chunk = machine().chunk if tokens > 1 else outputs
    cut = choose(keep, batch_of(tokens), machine().chunk) if cut is None else cut
    # Nothing can keep more than all: an impossible `least` takes no piece.
    tall, least_tall = (cut.height, cut.least_strip) if cut.height else (16, 17)
    upright = strips.pack(keep, dense, tall, least_tall)
    long, least_long = (cut.length, cut.least_segment) if cut.length else (4, 5)
    lying: Segments | Spans
    if tokens > 1:
        lying = segments.pack(keep, dense, chunk, long, least_long)
    else:
        lying = segments.pack_spans(keep, dense, long, least_long)
    block = max(1, min(cut.block, inputs))
    batch = batch_of(tokens)
    multiple = {"one": 16, "few": 4, "many": 1}[batch]
    single = rows.pack(keep, dense, max(1, chunk), block, tokens > 1, multiple)
    return Packed(cut, upright, lying, single, perf_counter() - start)


def _as_stored(dense: NDArray[Any]) -> NDArray[Any]:
    """What the kernels read: float16 as bit patterns, or widened where no instruction does it."""
    if dense.dtype == np.float16:
        return dense.view(np.uint16) if machine().has_half else dense.astype(np.float32)
    return dense
