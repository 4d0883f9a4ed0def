"""A masked matrix from the entries of a sparse matrix that a file stores."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.size_limits import check_claim, check_shape
from sparse_formats.masks.matrix import MaskedMatrix, check_finite, check_float
from sparse_formats.masks.matrix_names import kind_of


def from_entries(
    path: Path,
    name: str,
    shape: tuple[int, int],
    rows: NDArray[np.integer[Any]],
    cols: NDArray[np.integer[Any]],
    values: NDArray[Any] | None,
) -> MaskedMatrix:
    """A matrix whose stored entries are kept, zeros too; float `values` are its weights.

    rows, cols, values: one item an entry, 0-based; entries at the same place are added up.

    Raises:
        InputError: an entry outside the shape, a shape far too large for its file, NaN, infinity.
    """
    check_shape(path, name, *shape)
    floats = values if values is not None and values.dtype.kind == "f" else None
    item_bytes = 1 + (floats.dtype.itemsize if floats is not None else 0)
    check_claim(path, shape[0] * shape[1] * item_bytes, f"matrix {name} of shape {shape}")
    _check_range(path, name, "row", rows, shape[0])
    _check_range(path, name, "column", cols, shape[1])
    keep = np.zeros(shape, np.bool_)
    keep[rows, cols] = True
    weight = None
    if floats is not None:
        check_float(f"{path}: matrix {name}", floats.dtype)
        weight = np.zeros(shape, floats.dtype)
        if np.count_nonzero(keep) == len(rows):
            weight[rows, cols] = floats
        else:
            np.add.at(weight, (rows, cols), floats)
        check_finite(f"{path}: matrix {name}", weight)
    return MaskedMatrix(name, keep, weight, kind_of(name))


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
