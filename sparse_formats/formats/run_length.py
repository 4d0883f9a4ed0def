"""Zero runs over the whole matrix, row by row."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import BitReader, Section, pack
from sparse_formats.formats.parts.descriptor import MOST_LINES, Descriptor
from sparse_formats.formats.parts.value_types import value_section, value_type_of
from sparse_formats.formats.parts.zero_runs import (
    MOST_RUN_BITS,
    Runs,
    check_telling,
    decode_runs,
    encode_runs,
    read_entries,
)
from sparse_formats.storage import Storage


@dataclass(frozen=True, eq=False)
class RunLength:
    """Kept entries in row-major order, each with the dropped ones before it; SCNN's scheme.

    A run goes on over the end of a row. What follows the last entry is dropped.
    Stream: runs, values. Descriptor: run_bits, entries (padding included).
    """

    shape: tuple[int, int]
    run_bits: int
    entries: Runs

    @property
    def data(self) -> NDArray[Any] | None:
        return self.entries.data

    @property
    def nnz(self) -> int:
        return len(self.entries.runs) - self.padding_zeros

    @property
    def padding_zeros(self) -> int:
        return int(np.count_nonzero(self.entries.is_padding))

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
        return cls((rows, cols), run_bits, encode_runs(keep.reshape(-1, 1), column, run_bits, 1))

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        keep, weight = decode_runs(
            self.entries, (self.shape[0] * self.shape[1], 1), self.run_bits, 1
        )
        return keep.reshape(self.shape), None if weight is None else weight.reshape(self.shape)

    def storage(self, value_bits: int) -> Storage:
        """(nnz + padding zeros)·(v + k) bits for runs of k bits."""
        return Storage(
            values=self.nnz * value_bits,
            indices=self.nnz * self.run_bits,
            pointers=0,
            padding=self.padding_zeros * (value_bits + self.run_bits),
        )

    def descriptor(self, value_type: str | None = None) -> Descriptor:
        """See `SparseMatrix`."""
        typed = value_type_of(self.data, value_type)
        told = {"run_bits": self.run_bits, "entries": len(self.entries.runs)}
        return Descriptor(self.shape, typed, told)

    def to_bytes(self, value_type: str | None = None) -> bytes:
        """See `SparseMatrix`."""
        typed = value_type_of(self.data, value_type)
        check_telling(self.entries, self.run_bits, "run_length")
        return pack([Section(self.entries.runs, self.run_bits), value_section(self.data, typed)])

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        run_bits = descriptor.number("run_bits", 1, MOST_RUN_BITS)
        total = descriptor.number("entries", 0, min(rows * cols, MOST_LINES))
        pointers = np.array([0, total], np.int64)
        reader = BitReader(data, "run_length")
        column = (rows * cols, 1)
        entries = read_entries(reader, pointers, column, run_bits, 1, descriptor.value_type)
        return cls((rows, cols), run_bits, entries)
