"""Hierarchical N:M: of every H groups at most G keep anything, at most N of M inputs each."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.canonical import check_canonical
from sparse_formats.formats.n_m import NM
from sparse_formats.formats.parts.bitstream import BitReader, Section, read_values
from sparse_formats.formats.parts.descriptor import Descriptor
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.masks.pattern_text import LONGEST_GROUP, check_groups
from sparse_formats.masks.row_blocks import row_blocks
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True, eq=False)
class HierarchicalNM(SparseMatrix):
    """Which G of H groups are kept, and which N of M inputs of each: two formats N:M.

    places: the groups that keep anything as a mask (rows, groups), G of H.
    slots: the weights of these groups, place after place, N of M; a place without a group keeps a
    0 at its first input.
    Stream: indices of groups, indices of inputs, values. Descriptor: groups, of_groups, count,
    length. Source: HighLight (Wu et al., MICRO 2023); the layout is ours.
    """

    shape: tuple[int, int]
    places: NM
    slots: NM

    @property
    def data(self) -> NDArray[Any] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """(rows, places, N), 0 in unused slots."""
        return self.slots.data

    @property
    def nnz(self) -> int:
        return self.slots.nnz - self._unused

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        groups: int = 4,
        of_groups: int = 8,
        count: int = 2,
        length: int = 4,
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        Raises:
            InputError: a group keeps more than `count`, or of a set more than `groups` keep
                anything (or, where one place has to tell, none).
        """
        check_groups(groups, of_groups)
        check_groups(count, length)
        rows, cols = keep.shape
        occupied = np.empty((rows, -(-cols // length)), np.bool_)
        for block in row_blocks((rows, cols)):
            by_group = _grouped(keep[block], of_groups, length)
            kept = np.logical_or.reduce(by_group, axis=3)
            numbers = groups, of_groups, count, length
            _check(by_group.sum(3), kept.sum(2), numbers, cols, block.start)
            occupied[block] = _in_rows(kept)[:, : occupied.shape[1]]
        places = NM.encode(occupied, None, groups, of_groups)
        used = _used(places)
        compact = np.empty((*places.indices.shape, length), np.bool_)
        values = None if weight is None else np.empty(compact.shape, weight.dtype)
        for block in row_blocks((rows, cols)):
            at, is_used = places.indices[block, :, :, None].astype(np.intp), used[block]
            found = np.take_along_axis(_grouped(keep[block], of_groups, length), at, axis=2)
            found &= is_used[..., None]
            found[~is_used, 0] = True
            compact[block] = found
            if weight is not None and values is not None:
                of_weights = _grouped(weight[block], of_groups, length)
                values[block] = np.take_along_axis(of_weights, at, axis=2)
                values[block][~is_used] = 0
        in_slots = None if values is None else _in_rows(values)
        return cls((rows, cols), places, NM.encode(_in_rows(compact), in_slots, count, length))

    def decode(self) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
        """The mask and the weights (0 where not kept), as encoded."""
        keep, weight = self.slots.decode()
        used = _used(self.places)
        found = np.nonzero(used)
        group = self.places.indices[found]
        whole = self._spread(keep, found, group)
        return whole, None if weight is None else self._spread(weight, found, group)

    def storage(self, value_bits: int) -> Storage:
        """rows·⌈cols/(M·H)⌉·G·(⌈log2 H⌉ + N·(v + ⌈log2 M⌉)) bits; what is unused is padding."""
        of_group, of_input, nnz = (
            bits_for(self.places.length),
            bits_for(self.slots.length),
            self.nnz,
        )
        unused = self._unused
        used = self.places.indices.size - unused
        return Storage(
            values=nnz * value_bits,
            indices=used * of_group + nnz * of_input,
            pointers=0,
            padding=unused * of_group + (self.slots.indices.size - nnz) * (value_bits + of_input),
        )

    @property
    def parameters(self) -> Mapping[str, Any]:
        """See `SparseMatrix`."""
        return {
            "groups": self.places.kept,
            "of_groups": self.places.length,
            "count": self.slots.kept,
            "length": self.slots.length,
        }

    def sections(self) -> list[Section]:
        """See `SparseMatrix`."""
        return [*self.places.sections(), *self.slots.sections()]

    @classmethod
    def from_bytes(cls, data: bytes, descriptor: Descriptor) -> Self:
        """See `SparseMatrix`."""
        rows, cols = descriptor.shape
        of_groups = descriptor.number("of_groups", 1, LONGEST_GROUP)
        groups = descriptor.number("groups", 1, of_groups)
        length = descriptor.number("length", 1, LONGEST_GROUP)
        count = descriptor.number("count", 1, length)
        all_groups = -(-cols // length)
        compact = rows, -(-all_groups // of_groups) * groups * length
        reader = BitReader(data, "hierarchical_n_m")
        of_places = NM.read_indices(reader, (rows, all_groups), groups, of_groups)
        of_slots = NM.read_indices(reader, compact, count, length)
        weights = read_values(reader, of_slots.size, descriptor.value_type)
        reader.finish()
        weights = None if weights is None else weights.reshape(of_slots.shape)
        places = NM((rows, all_groups), groups, of_groups, of_places, None)
        matrix = cls((rows, cols), places, NM(compact, count, length, of_slots, weights))
        typed = None if descriptor.value_type is None else descriptor.value_type.name
        check_canonical(reader, data, matrix, typed, **matrix.parameters)
        return matrix

    @property
    def _unused(self) -> int:
        """Places without a group."""
        return self.places.indices.size - self.places.nnz

    def _spread(
        self, compact: NDArray[Any], found: tuple[NDArray[np.intp], ...], group: NDArray[Any]
    ) -> NDArray[Any]:
        """The groups of used places where they belong, 0 elsewhere."""
        (rows, cols), of_groups, length = self.shape, self.places.length, self.slots.length
        sets = self.places.indices.shape[1]
        whole = np.zeros((rows, sets, of_groups, length), compact.dtype)
        row, of_set, _ = found
        whole[row, of_set, group] = compact.reshape(*self.places.indices.shape, length)[found]
        return np.ascontiguousarray(_in_rows(whole)[:, :cols])


def _grouped(matrix: NDArray[Any], of_groups: int, length: int) -> NDArray[Any]:
    """(rows, sets, groups of a set, inputs of a group), filled up with 0."""
    rows, cols = matrix.shape
    sets = -(-cols // (length * of_groups))
    padded = np.zeros((rows, sets * of_groups * length), matrix.dtype)
    padded[:, :cols] = matrix
    return padded.reshape(rows, sets, of_groups, length)


def _in_rows(grouped: NDArray[Any]) -> NDArray[Any]:
    """(rows, …) as a matrix of as many rows; there may be none."""
    return grouped.reshape(len(grouped), prod(grouped.shape[1:]))


def _used(places: NM) -> NDArray[np.bool_]:
    """Which places have a group: (rows, sets, G)."""
    occupied, _ = places.decode()
    rows, sets, groups = places.indices.shape
    padded = np.zeros((rows, sets * places.length), np.bool_)
    padded[:, : occupied.shape[1]] = occupied
    held = padded.reshape(rows, sets, places.length).sum(2)
    return np.arange(groups) < held[..., None]


def _check(
    of_groups: NDArray[np.int64],
    of_sets: NDArray[np.int64],
    numbers: tuple[int, int, int, int],
    cols: int,
    first_row: int,
) -> None:
    """InputError where a group or a set keeps too much, or one place cannot tell that none is."""
    groups, several, count, length = numbers
    text = f"{groups}:{several} groups of {count}:{length}"
    hint = (
        f'; prune with pattern "hierarchical_n_m:{":".join(map(str, numbers))}", or encode as "csr"'
    )
    if (of_groups > count).any():
        row, of_set, group = (int(n) for n in np.argwhere(of_groups > count)[0])
        first = (of_set * several + group) * length
        last, found = min(first + length, cols) - 1, of_groups[row, of_set, group]
        raise InputError(
            f"mask is not {text}: row {first_row + row}, columns {first}..{last} keep {found}{hint}"
        )
    wrong = (of_sets > groups) | ((of_sets == 0) & (groups == 1))
    if wrong.any():
        row, of_set = (int(n) for n in np.argwhere(wrong)[0])
        first = of_set * several * length
        last, found = min(first + several * length, cols) - 1, int(of_sets[row, of_set])
        why = "" if found else ", and with one place a set that keeps none cannot be told"
        raise InputError(
            f"mask is not {text}: row {first_row + row}, columns {first}..{last} keep weights of "
            f"{found} groups{why}{hint}"
        )
