"""CSC with relative indices, its rows dealt out to processing elements: EIE's format."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import BitReader, Section
from sparse_formats.formats.parts.descriptor import MOST_LINES, Descriptor
from sparse_formats.formats.parts.pointers import check_rising
from sparse_formats.formats.parts.zero_runs import (
    MOST_RUN_BITS,
    Runs,
    check_telling,
    decode_runs,
    encode_runs,
    read_entries,
)
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class RelativeCSC(SparseMatrix):
    """Kept entries column by column, each with the dropped ones before it (`zero_runs`).

    Row r is of processing element (PE) r mod pes, whose columns lie together; a run counts its
    rows. Each PE has pointers of its own, all of one width, for its fullest memory; EIE's are 16
    bits wide (published), ours as wide as needed (chosen).
    data: the entries' weights, 0 where padding, None if encoded without.
    Stream: pointers (pes × (cols + 1)), runs, values. Descriptor: run_bits, pes, fullest (entries
    of the fullest PE, padding included).
    """

    shape: tuple[int, int]
    run_bits: int
    pes: int
    entries: Runs
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return self.entries.nnz

    @property
    def pointers(self) -> NDArray[np.int64]:
        """int64 (pes, cols + 1): where each column of a PE begins among its entries."""
        cols = self.shape[1]
        ends = self.entries.pointers[1:].reshape(self.pes, cols)
        firsts = self.entries.pointers[:: cols or 1][: self.pes]
        if not cols:
            return np.zeros((self.pes, 1), np.int64)
        return np.hstack([firsts[:, None], ends]) - firsts[:, None]

    @property
    def fullest(self) -> int:
        """Entries of the PE that has most, padding included."""
        return int(self.pointers[:, -1].max())

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        run_bits: int = 4,
        pes: int = 1,
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        Raises:
            InputError: run_bits is not 1 … 8, or there is no processing element.
        """
        rows, cols = keep.shape
        return cls((rows, cols), run_bits, pes, *encode_runs(keep, weight, run_bits, pes))

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        return decode_runs(self.entries, self.data, self.shape, self.run_bits, self.pes)

    def storage(self, value_bits: int) -> Storage:
        """(nnz + padding zeros)·(v + k) + pes·(cols + 1)·⌈log2(fullest + 1)⌉ bits."""
        pointers = self.pes * (self.shape[1] + 1) * bits_for(self.fullest + 1)
        return self.entries.storage(value_bits, self.run_bits, pointers)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"run_bits": self.run_bits, "pes": self.pes, "fullest": self.fullest}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        check_telling(self.entries, self.data, self.run_bits, "relative_csc")
        return [
            Section(self.pointers, bits_for(self.fullest + 1)),
            Section(self.entries.runs, self.run_bits),
        ]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        run_bits = descriptor.number("run_bits", 1, MOST_RUN_BITS)
        pes = descriptor.number("pes", 1, MOST_LINES)
        fullest = descriptor.number("fullest", 0, min(rows * cols, MOST_LINES))
        reader = BitReader(data, "relative_csc")
        width = bits_for(fullest + 1)
        every = reader.read("pointers", pes * (cols + 1), width, np.int64).reshape(pes, cols + 1)
        for pe in range(pes):
            check_rising(reader, every[pe], pe * (cols + 1) * width, width)
        found = int(every[:, -1].max())
        if found != fullest:
            at = (int(np.argmax(every[:, -1])) * (cols + 1) + cols) * width
            raise reader.fail(at, f"the fullest PE has {fullest} entries, found {found}")
        firsts = np.cumsum(every[:, -1]) - every[:, -1]
        pointers = np.append(0, (every[:, 1:] + firsts[:, None]).reshape(-1)).astype(np.int64)
        runs = read_entries(reader, pointers, (rows, cols), run_bits, pes, descriptor.value_type)
        return cls((rows, cols), run_bits, pes, *runs)
