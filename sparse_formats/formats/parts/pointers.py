"""Pointers of a stream: where each line's entries begin."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.parts.bitstream import BitReader
from sparse_formats.storage import bits_for


def read_pointers(reader: BitReader, lines: int, entries: int) -> NDArray[np.int32]:
    """The next `lines` + 1 pointers, int32, of ⌈log2(entries + 1)⌉ bits each.

    Raises:
        InputError: they do not rise from 0 to `entries`.
    """
    start, width = reader.at, bits_for(entries + 1)
    pointers = reader.read("pointers", lines + 1, width, np.int32)
    check_rising(reader, pointers, start, width)
    if pointers[-1] != entries:
        raise reader.fail(
            start + lines * width, f"the last pointer must be {entries}, found {pointers[-1]}"
        )
    return pointers


def check_rising(reader: BitReader, pointers: NDArray[Any], start: int, width: int) -> None:
    """InputError unless 1-D `pointers`, read from bit `start` on, rise from 0."""
    if pointers[0] != 0:
        raise reader.fail(start, f"the first pointer must be 0, found {pointers[0]}")
    falls = pointers[1:] < pointers[:-1]
    if falls.any():
        i = int(np.argmax(falls)) + 1
        raise reader.fail(
            start + i * width, f"pointer {i} falls from {pointers[i - 1]} to {pointers[i]}"
        )


def check_ascending(
    reader: BitReader,
    indices: NDArray[np.int32],
    pointers: NDArray[np.int32],
    size: int,
    start: int,
    width: int,
) -> None:
    """InputError unless each line's `indices`, read from bit `start` on, ascend below `size`."""
    outside = indices >= size
    if outside.any():
        i = int(np.argmax(outside))
        raise reader.fail(start + i * width, f"index {indices[i]} is outside 0..{size - 1}")
    follows = indices[1:] > indices[:-1]
    begins = pointers[(pointers > 0) & (pointers < len(indices))]
    follows[begins - 1] = True
    if not follows.all():
        i = int(np.argmin(follows)) + 1
        raise reader.fail(
            start + i * width, f"index {indices[i]} does not ascend from {indices[i - 1]}"
        )
