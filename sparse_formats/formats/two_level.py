"""Two levels: an index and a bitmap for each vector of which anything is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import (
    BitReader,
    Section,
    flags,
    read_flags,
    read_values,
)
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.slot_lines import SlotLines, cut, lines_of, read_places
from sparse_formats.masks.slots import MOST_LANES, Slots
from sparse_formats.storage import Storage


@dataclass(frozen=True, eq=False)
class TwoLevel(SlotLines):
    """Aligned 1×L or L×1 slots, and which of their weights are kept.

    bitmap: bool (slots, L), False behind the end of a line.
    Stream: orientation (1 = vertical), pointers, indices, bitmaps, values. Descriptor: slots (how
    many), length.
    """

    bitmap: NDArray[np.bool_]

    @property
    def nnz(self) -> int:
        return int(np.count_nonzero(self.bitmap))

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        length: int = 16,
        slots: Slots | None = None,
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        slots: how the mask is cut, as its maker said, without a choice; without it slots of
        `length` in the orientation that needs fewer, horizontal if both need as many.
        """
        if slots is None:
            lying = Slots("horizontal", length)
            slots = min((lying, lying.turned()), key=lambda way: way.occupied(keep))
        indptr, indices, held, data = cut(keep, weight, slots)
        return cls((keep.shape[0], keep.shape[1]), slots, indptr, indices, data, held[..., 0])

    def held(self) -> NDArray[np.bool_]:
        """See `SlotLines`."""
        return self.bitmap[..., None]

    def storage(self, value_bits: int) -> Storage:
        """nnz·v + slots·(index + L) + (lines + 1)·⌈log2(slots + 1)⌉ + 1 bits.

        An index counts the places of a line; the last bit, counted with the indices, is the
        orientation.
        """
        return Storage(
            values=self.nnz * value_bits,
            indices=len(self.indices) * (self._index_bits + self.slots.lanes) + 1,
            pointers=len(self.indptr) * self._pointer_bits,
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"slots": len(self.indices), "length": self.slots.lanes}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        return [*self._places(), *flags(self.bitmap)]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        length = descriptor.number("length", 1, MOST_LANES)
        reader = BitReader(data, "two_level")
        slots, indptr, indices = read_places(reader, descriptor, length, 1)
        start = reader.at
        size = (len(indices), length)
        bitmap = read_flags(reader, "bitmaps", len(indices) * length).reshape(size)
        beyond = bitmap & (slots.candidates(descriptor.shape, lines_of(indptr), indices) == 0)
        if beyond.any():
            at = start + int(np.argmax(beyond))
            raise reader.fail(at, "a weight outside the matrix must not be kept")
        empty = ~bitmap.any(1)
        if empty.any():
            at = start + int(np.argmax(empty)) * length
            raise reader.fail(at, "a slot that keeps nothing must not be stored")
        weights = read_values(reader, int(np.count_nonzero(bitmap)), descriptor.value_type)
        reader.finish()
        return cls(descriptor.shape, slots, indptr, indices, weights, bitmap)
