"""Lane select: one index for a slot of lanes, and a few bits that say which input a lane takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.bitstream import BitReader, Section, read_values
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.slot_lines import SlotLines, cut, lines_of, read_places
from sparse_formats.masks.slots import MOST_CHOICES, MOST_LANES, Slots, check_slots
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class LaneSelect(SlotLines):
    """Slots whose lanes each keep one of `slots.choices` candidates.

    selects: uint8 (nnz): which candidate, slot by slot, lane by lane.
    Stream: orientation (1 = vertical), pointers, indices, selects, values. Descriptor: slots (how
    many), lanes, choices.
    """

    selects: NDArray[np.uint8]

    @property
    def nnz(self) -> int:
        return len(self.selects)

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        lanes: int = 16,
        choices: int = 4,
        slots: Slots | None = None,
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        slots: how the mask is cut, as its maker said; without it slots of `lanes` lanes with
        `choices` candidates in the orientation that fits, horizontal if both do.

        Raises:
            InputError: a lane of a slot keeps none or several of its candidates.
        """
        slots = _fitting(keep, lanes, choices) if slots is None else slots
        check_slots(slots, keep, "lane select")
        indptr, indices, held, data = cut(keep, weight, slots)
        selects = held.argmax(-1).astype(np.uint8)[held.any(-1)]
        return cls((keep.shape[0], keep.shape[1]), slots, indptr, indices, data, selects)

    def held(self) -> NDArray[np.bool_]:
        """See `SlotLines`."""
        there = self.slots.candidates(self.shape, self.lines, self.indices) > 0
        chosen = np.zeros(there.shape, np.uint8)
        chosen[there] = self.selects
        return (chosen[..., None] == np.arange(self.slots.choices)) & there[..., None]

    def storage(self, value_bits: int) -> Storage:
        """nnz·(v + ⌈log2 k⌉) + slots·index + (lines + 1)·⌈log2(slots + 1)⌉ + 1 bits.

        An index counts the places of a line; the last bit, counted with the indices, is the
        orientation.
        """
        select = bits_for(self.slots.choices)
        return Storage(
            values=self.nnz * value_bits,
            indices=self.nnz * select + len(self.indices) * self._index_bits + 1,
            pointers=len(self.indptr) * self._pointer_bits,
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        cut = self.slots
        return {"slots": len(self.indices), "lanes": cut.lanes, "choices": cut.choices}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        return [*self._places(), Section(self.selects, bits_for(self.slots.choices))]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        lanes = descriptor.number("lanes", 1, MOST_LANES)
        choices = descriptor.number("choices", 2, MOST_CHOICES)
        reader = BitReader(data, "lane_select")
        slots, indptr, indices = read_places(reader, descriptor, lanes, choices)
        candidates = slots.candidates(descriptor.shape, lines_of(indptr), indices)
        candidates = candidates[candidates > 0]
        start, width = reader.at, bits_for(choices)
        selects = reader.read("selects", len(candidates), width, np.uint8)
        outside = selects >= candidates
        if outside.any():
            i = int(np.argmax(outside))
            raise reader.fail(
                start + i * width, f"select {selects[i]} of a lane with {candidates[i]} candidates"
            )
        weights = read_values(reader, len(selects), descriptor.value_type)
        reader.finish()
        return cls(descriptor.shape, slots, indptr, indices, weights, selects)


def _fitting(keep: NDArray[np.bool_], lanes: int, choices: int) -> Slots:
    """Slots in the orientation that fits a mask; InputError where none does."""
    if choices < 2:
        raise InputError(f"lane select: choices is {choices}; give 2 or more candidates a lane")
    lying = Slots("horizontal", lanes, choices)
    breaks = {cut: cut.first_not_selected(keep) for cut in (lying, lying.turned())}
    fitting = [cut for cut, broken in breaks.items() if broken is None]
    if fitting:
        return fitting[0]
    said = "; ".join(f"{cut.orientation}, {broken[2]}" for cut, broken in breaks.items() if broken)
    raise InputError(
        f"mask is not made of slots of {lanes} lanes that each keep one of {choices} inputs: "
        f'{said}; prune with pattern "lane_select:{lanes}:{choices}", or encode as "csr" or '
        '"bitmap"'
    )
