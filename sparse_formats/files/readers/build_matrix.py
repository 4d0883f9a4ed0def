"""A masked matrix from the entries of a sparse matrix that a file stores."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.size_limits import check_claim, check_shape
from sparse_formats.masks.matrix import MaskedMatrix, check_float
from sparse_formats.masks.matrix_names import kind_of


def from_entries(
    path: Path,
    name: str,
    shape: tuple[int, int],
    rows: NDArray[np.integer[Any]],
    cols: NDArray[np.integer[Any]],
    values: NDArray[Any] | None,
) -> MaskedMatrix:
    """A matrix of stored entries: kept where their value is not zero, or all where there is none.

    rows, cols, values: one item an entry, 0-based; values at the same place are added up. Floats
    are the weights; bools and ints give the mask only.

    Raises:
        InputError: an entry outside the shape, a shape far too large for its file, NaN, infinity.
    """
    check_shape(path, name, *shape)
    is_weighted = values is not None and values.dtype.kind == "f"
    item_bytes = 1 + (values.dtype.itemsize if values is not None and is_weighted else 0)
    check_claim(path, shape[0] * shape[1] * item_bytes, f"matrix {name} of shape {shape}")
    _check_range(path, name, "row", rows, shape[0])
    _check_range(path, name, "column", cols, shape[1])
    keep = np.zeros(shape, np.bool_)
    keep[rows, cols] = True
    if values is None:
        return MaskedMatrix(name, keep, None, kind_of(name))
    if is_weighted:
        check_float(f"{path}: matrix {name}", values.dtype)
    if np.count_nonzero(keep) == len(rows):
        dense = np.zeros(shape, values.dtype)
        dense[rows, cols] = values
    else:
        dense = np.zeros(shape, values.dtype if is_weighted else np.int64)
        np.add.at(dense, (rows, cols), values)
    if not is_weighted:
        return MaskedMatrix(name, dense != 0, None, kind_of(name))
    return MaskedMatrix.from_array(name, dense, f"{path}: ")


def compressed_lines(
    path: Path, name: str, pointers: NDArray[Any], lines: int, entries: int
) -> NDArray[np.int64]:
    """The line of each entry, from the `lines` + 1 pointers of a compressed format.

    Raises:
        InputError: the pointers do not rise from 0 to `entries`, or are not `lines` + 1.
    """
    if len(pointers) != lines + 1:
        raise InputError(
            f"{path}: matrix {name} has {len(pointers)} offsets for {lines} lines; "
            f"it needs {lines + 1}"
        )
    counts = np.diff(pointers)
    if pointers[0] != 0 or pointers[-1] != entries or (counts < 0).any():
        raise InputError(
            f"{path}: matrix {name}: offsets must rise from 0 to the {entries} entries, found "
            f"{pointers[0]} … {pointers[-1]}"
            + (f", falling at line {int(np.argmax(counts < 0))}" if (counts < 0).any() else "")
        )
    return np.repeat(np.arange(lines), counts)


def _check_range(
    path: Path, name: str, axis: str, indices: NDArray[np.integer[Any]], size: int
) -> None:
    outside = (indices < 0) | (indices >= size)
    if outside.any():
        raise InputError(
            f"{path}: matrix {name} has {axis} index {indices[np.argmax(outside)]}, "
            f"but {axis}s are 0..{size - 1}"
        )
