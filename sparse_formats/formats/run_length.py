"""Zero runs over the whole matrix, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import BitReader, Section
from sparse_formats.formats.parts.descriptor import MOST_LINES, Descriptor
from sparse_formats.formats.parts.zero_runs import (
    MOST_RUN_BITS,
    Runs,
    check_telling,
    decode_runs,
    encode_runs,
    read_entries,
)
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.storage import Storage


@dataclass(frozen=True, eq=False)
class RunLength(SparseMatrix):
    """Kept entries in row-major order, each with the dropped ones before it; SCNN's scheme.

    A run goes on over the end of a row. What follows the last entry is dropped.
    data: the entries' weights, 0 where padding, None if encoded without.
    Stream: runs, values. Descriptor: run_bits, entries (padding included).
    """

    shape: tuple[int, int]
    run_bits: int
    entries: Runs
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return self.entries.nnz

    @classmethod
    def encode(
        cls, keep: NDArray[np.bool_], weight: NDArray[Any] | None = None, run_bits: int = 4
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        Raises:
            InputError: run_bits is not 1 … 8.
        """
        rows, cols = keep.shape
        column = None if weight is None else weight.reshape(-1, 1)
        return cls((rows, cols), run_bits, *encode_runs(keep.reshape(-1, 1), column, run_bits, 1))

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        keep, weight = decode_runs(
            self.entries, self.data, (self.shape[0] * self.shape[1], 1), self.run_bits, 1
        )
        return keep.reshape(self.shape), None if weight is None else weight.reshape(self.shape)

    def storage(self, value_bits: int) -> Storage:
        """(nnz + padding zeros)·(v + k) bits for runs of k bits."""
        return self.entries.storage(value_bits, self.run_bits)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"run_bits": self.run_bits, "entries": len(self.entries.runs)}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        check_telling(self.entries, self.data, self.run_bits, "run_length")
        return [Section(self.entries.runs, self.run_bits)]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        run_bits = descriptor.number("run_bits", 1, MOST_RUN_BITS)
        total = descriptor.number("entries", 0, min(rows * cols, MOST_LINES))
        pointers = np.array([0, total], np.int64)
        reader = BitReader(data, "run_length")
        column = (rows * cols, 1)
        runs = read_entries(reader, pointers, column, run_bits, 1, descriptor.value_type)
        return cls((rows, cols), run_bits, *runs)
