"""Rows cut into groups of M neighbouring inputs, of which each keeps N: what two formats share.

A group has N slots of an index within the group and a value. Kept entries ascend; unused slots
come last, repeat the last index and have the value 0. So they cost no flag: the first index that
does not ascend ends the group. A group that keeps nothing reads 1, 0, 0, …: an index that falls.
For N = 1 there is no second index to tell an empty group by, so none may be empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.parts.bitstream import BitReader, Section, read_values
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.parts.value_types import bit_view, value_bits
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.pattern_text import LONGEST_GROUP
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class NOfMGroups(SparseMatrix):
    """`kept` of `length` neighbouring inputs; the last group of a row may be shorter.

    indices: uint8 (rows, groups, kept): places within the group.
    data: weights of the same shape, 0 in unused slots; None if encoded without.
    Stream: indices, values. Descriptor: kept, length.
    """

    is_exact: ClassVar[bool]
    """Whether all groups but a shorter last one keep exactly `kept`, or at most so many."""

    shape: tuple[int, int]
    kept: int
    length: int
    indices: NDArray[np.uint8]
    data: NDArray[Any] | None

    @property
    def nnz(self) -> int:
        return int(_slots_in_use(self.indices))

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        keep = np.zeros(self.shape, np.bool_)
        if self.data is None:
            _spread(self.indices, np.zeros((1, 1, 1), np.uint8), False, self.length, keep, _NONE)
            return keep, None
        weight = np.zeros(self.shape, self.data.dtype)
        bits = bit_view(np.ascontiguousarray(self.data))
        _spread(self.indices, bits, True, self.length, keep, bit_view(weight))
        return keep, weight

    def storage(self, value_bits: int) -> Storage:
        """rows·⌈cols/M⌉·N·(v + ⌈log2 M⌉) bits; unused slots are padding."""
        index, nnz = bits_for(self.length), self.nnz
        return Storage(
            values=nnz * value_bits,
            indices=nnz * index,
            pointers=0,
            padding=(self.indices.size - nnz) * (value_bits + index),
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {"kept": self.kept, "length": self.length}

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        return [Section(self.indices, bits_for(self.length))]

    @classmethod
    def _encode(
        cls, keep: NDArray[np.bool_], weight: NDArray[Any] | None, kept: int, length: int
    ) -> Self:
        """Encode mask `keep` and `weight`.

        Raises:
            InputError: kept or length out of range; a group that keeps too many, or too few.
        """
        if not 1 <= length <= LONGEST_GROUP or not 0 <= kept <= length:
            raise InputError(
                f"{kept} of {length}: give a group length in 1..{LONGEST_GROUP} and no more kept"
            )
        rows, cols = keep.shape
        indices = np.zeros((rows, -(-cols // length), kept), np.uint8)
        data = None if weight is None else np.zeros(indices.shape, weight.dtype)
        wrong = int(
            _fill(
                np.ascontiguousarray(keep),
                _NONE if weight is None else bit_view(np.ascontiguousarray(weight)),
                weight is not None,
                length,
                cls.is_exact,
                indices,
                np.zeros((1, 1, 1), np.uint8) if data is None else bit_view(data),
            )
        )
        if wrong >= 0:
            row, first = wrong // indices.shape[1], wrong % indices.shape[1] * length
            last = min(first + length, cols) - 1
            found = int(np.count_nonzero(keep[row, first : last + 1]))
            hint = "; with one slot, a group that keeps none cannot be told" if not found else ""
            raise InputError(
                f"mask is not {kept}:{length}: row {row}, columns {first}..{last} keep {found}"
                f'{hint}; prune with pattern "{kept}:{length}", or encode as "csr" or "bitmap"'
            )
        return cls((rows, cols), kept, length, indices, data)

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        length = descriptor.number("length", 1, LONGEST_GROUP)
        kept = descriptor.number("kept", 0, length)
        reader = BitReader(data, cls.__name__)
        indices = cls.read_indices(reader, descriptor.shape, kept, length)
        first_value = reader.at
        weights = read_values(reader, indices.size, descriptor.value_type)
        reader.finish()
        if weights is not None:
            weights = weights.reshape(indices.shape)
            slot = int(_first_wrong(indices, bit_view(weights), True, length, cols, cls.is_exact))
            if slot >= 0:
                at = first_value + (slot - indices.size) * value_bits(descriptor.value_type)
                raise reader.fail(at, "the value of an unused slot must be 0")
        return cls((rows, cols), kept, length, indices, weights)

    @classmethod
    def read_indices(
        cls, reader: BitReader, shape: tuple[int, int], kept: int, length: int
    ) -> NDArray[np.uint8]:
        """The indices that come next in a stream, (rows, groups, kept).

        Raises:
            InputError: there are too few, or one that no mask of `shape` has there.
        """
        rows, cols = shape
        groups, start, width = -(-cols // length), reader.at, bits_for(length)
        indices = reader.read("indices", rows * groups * kept, width, np.uint8)
        indices = indices.reshape(rows, groups, kept)
        none = np.zeros((1, 1, 1), np.uint8)
        slot = int(_first_wrong(indices, none, False, length, cols, cls.is_exact))
        if slot >= 0:
            raise reader.fail(
                start + slot * width,
                f"index {indices.flat[slot]} in row {slot // (groups * kept)}: a group's kept "
                f"places ascend, then repeat; {'exactly' if cls.is_exact else 'at most'} {kept} of "
                f"{length} are kept",
            )
        return indices


_NONE = np.zeros((1, 1), np.uint8)


@njit(cache=True)
def _in_use(indices: NDArray[np.uint8], row: int, group: int) -> int:
    kept = indices.shape[2]
    if kept == 0 or (kept > 1 and indices[row, group, 1] < indices[row, group, 0]):
        return 0
    n = 1
    while n < kept and indices[row, group, n] > indices[row, group, n - 1]:
        n += 1
    return n


@njit(cache=True)
def _slots_in_use(indices: NDArray[np.uint8]) -> int:
    total = 0
    for row in range(indices.shape[0]):
        for group in range(indices.shape[1]):
            total += _in_use(indices, row, group)
    return total


@njit(cache=True)
def _fill(
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
    has_data: bool,
    length: int,
    is_exact: bool,
    indices: NDArray[np.uint8],
    data: NDArray[Any],
) -> int:
    rows, cols = keep.shape
    kept = indices.shape[2]
    for row in range(rows):
        for group in range(indices.shape[1]):
            first = group * length
            end = min(first + length, cols)
            n = 0
            for col in range(first, end):
                if keep[row, col]:
                    if n == kept:
                        return row * indices.shape[1] + group
                    indices[row, group, n] = col - first
                    if has_data:
                        data[row, group, n] = weight[row, col]
                    n += 1
            if n < kept:
                if (is_exact and end - first == min(length, cols)) or (n == 0 and kept == 1):
                    return row * indices.shape[1] + group
                if n == 0:
                    indices[row, group, 0] = 1
                for slot in range(max(n, 1), kept):
                    indices[row, group, slot] = indices[row, group, n - 1] if n else 0
    return -1


@njit(cache=True)
def _spread(
    indices: NDArray[np.uint8],
    data: NDArray[Any],
    has_data: bool,
    length: int,
    keep: NDArray[np.bool_],
    weight: NDArray[Any],
) -> None:
    for row in range(indices.shape[0]):
        for group in range(indices.shape[1]):
            first = group * length
            for slot in range(_in_use(indices, row, group)):
                col = first + indices[row, group, slot]
                keep[row, col] = True
                if has_data:
                    weight[row, col] = data[row, group, slot]


@njit(cache=True)
def _first_wrong(
    indices: NDArray[np.uint8],
    data: NDArray[Any],
    has_data: bool,
    length: int,
    cols: int,
    is_exact: bool,
) -> int:
    """Slot with an index that cannot be, or number of slots + slot whose value is not 0; or −1."""
    rows, groups, kept = indices.shape
    for row in range(rows):
        for group in range(groups):
            at = (row * groups + group) * kept
            size = min(length, cols - group * length)
            n = _in_use(indices, row, group)
            if n < kept and is_exact and size == min(length, cols):
                return at
            for slot in range(kept):
                index = indices[row, group, slot]
                if slot < n:
                    wrong = index >= size
                elif n:
                    wrong = index != indices[row, group, n - 1]
                else:
                    wrong = index != (1 if slot == 0 else 0)
                if wrong:
                    return at + slot
                if slot >= n and has_data and data[row, group, slot] != 0:
                    return rows * groups * kept + at + slot
    return -1
