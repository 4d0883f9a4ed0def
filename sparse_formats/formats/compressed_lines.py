"""Lines one behind the other, each as long as it has kept entries: what CSR and CSC share."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import BitReader, Section, read_values
from sparse_formats.formats.parts.descriptor import MOST_LINES, Descriptor
from sparse_formats.formats.parts.pointers import check_ascending, read_pointers
from sparse_formats.formats.parts.value_types import bit_view
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.bit_words import Words, trailing_zeros
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class CompressedLines(SparseMatrix):
    """Kept entries line by line, ascending within a line; a line is a row or a column.

    indptr: int32 (lines + 1): line i holds the entries indptr[i] … indptr[i + 1] − 1.
    indices: int32 (nnz): their places on the line.
    data: their weights, None if encoded without.
    Stream: pointers, indices, values. Descriptor: entries (nnz).
    """

    name: ClassVar[str]
    line_axis: ClassVar[int]
    """The axis of the shape that counts the lines: 0 where they are rows, 1 where columns."""

    shape: tuple[int, int]
    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    data: NDArray[Any] | None

    @staticmethod
    @abstractmethod
    def _words(keep: NDArray[np.bool_]) -> Words:
        """The mask as words of its lines."""

    @staticmethod
    @abstractmethod
    def _take(
        words: Words, indptr: NDArray[np.int32], weight: NDArray[Any], indices: NDArray[np.int32]
    ) -> NDArray[Any]:
        """The kept weights line by line; fills `indices`."""

    @abstractmethod
    def _put(
        self, data: NDArray[Any], has_data: bool, keep: NDArray[np.bool_], weight: NDArray[Any]
    ) -> None:
        """Mark the kept entries in `keep`; with data, put their bits into `weight`."""

    @property
    def nnz(self) -> int:
        return len(self.indices)

    @classmethod
    def encode(cls, keep: NDArray[np.bool_], weight: NDArray[Any] | None = None) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape."""
        shape, words = (keep.shape[0], keep.shape[1]), cls._words(keep)
        indptr = np.zeros(len(words) + 1, np.int32)
        np.cumsum(np.bitwise_count(words).sum(axis=1, dtype=np.int32), out=indptr[1:])
        indices = np.empty(indptr[-1], np.int32)
        if weight is None:
            _places(words, indices)
            return cls(shape, indptr, indices, None)
        data = cls._take(words, indptr, weight, indices)
        return cls(shape, indptr, indices, data)

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        keep = np.zeros(self.shape, np.bool_)
        if self.data is None:
            self._put(np.empty(0, np.uint8), False, keep, np.empty((0, 0), np.uint8))
            return keep, None
        weight = np.zeros(self.shape, self.data.dtype)
        self._put(bit_view(np.ascontiguousarray(self.data)), True, keep, bit_view(weight))
        return keep, weight

    def storage(self, value_bits: int) -> Storage:
        """nnz·(v + ⌈log2 places on a line⌉) + (lines + 1)·⌈log2(nnz + 1)⌉ bits."""
        return Storage(
            values=self.nnz * value_bits,
            indices=self.nnz * bits_for(self.shape[1 - self.line_axis]),
            pointers=(self.shape[self.line_axis] + 1) * bits_for(self.nnz + 1),
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"entries": self.nnz}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        return [
            Section(self.indptr, bits_for(self.nnz + 1)),
            Section(self.indices, bits_for(self.shape[1 - self.line_axis])),
        ]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        lines, places = descriptor.shape[cls.line_axis], descriptor.shape[1 - cls.line_axis]
        nnz = descriptor.number("entries", 0, min(lines * places, MOST_LINES))
        reader = BitReader(data, cls.name)
        indptr = read_pointers(reader, lines, nnz)
        start, width = reader.at, bits_for(places)
        indices = reader.read("indices", nnz, width, np.int32)
        check_ascending(reader, indices, indptr, places, start, width)
        weights = read_values(reader, nnz, descriptor.value_type)
        reader.finish()
        return cls(descriptor.shape, indptr, indices, weights)


@njit(cache=True)
def _places(words: Words, indices: NDArray[np.int32]) -> None:
    k = 0
    for line in range(words.shape[0]):
        for w in range(words.shape[1]):
            word = words[line, w]
            while word:
                indices[k] = w * 64 + trailing_zeros(word)
                k += 1
                word &= word - np.uint64(1)
