"""A masked matrix from the entries of a sparse matrix that a file stores."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.size_limits import check_shape
from sparse_formats.masks.matrix import MaskedMatrix, check_float
from sparse_formats.masks.matrix_names import kind_of
from sparse_formats.masks.sparse_masked_matrix import SparseMaskedMatrix
from sparse_formats.memory import claim

_ENTRY_BYTES = 40
"""What an entry takes at most while entries are sorted: places, their order, and values twice."""

_SMALL = 2**22
"""Entries of a matrix, kept or not, up to which it is always held dense."""

_DENSE_FROM = 1 / 32
"""Density from which a larger one is held dense too."""


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
    are the weights; bools and ints give the mask only. A large matrix of few entries is held as
    these entries, see `SparseMaskedMatrix`.

    Raises:
        InputError: an entry outside the shape, a side that no matrix has, NaN, infinity; the run
            may not take the memory.
    """
    check_shape(path, name, *shape)
    is_weighted = values is not None and values.dtype.kind == "f"
    if values is not None and is_weighted:
        check_float(f"{path}: matrix {name}", values.dtype)
    claim(path, _ENTRY_BYTES * len(rows), f"sorting the {len(rows)} entries of matrix {name}")
    check_range(path, name, "row", rows, shape[0])
    check_range(path, name, "column", cols, shape[1])
    places, values = _summed(rows.astype(np.int64) * shape[1] + cols, values)
    if values is not None:
        if is_weighted:
            _check_finite(path, name, places, shape[1], values)
        places, values = places[values != 0], values[values != 0]
    if not is_weighted:
        values = None
    size, kind = shape[0] * shape[1], kind_of(name)
    if size > _SMALL and len(places) < size * _DENSE_FROM:
        return SparseMaskedMatrix(name, shape, places, values, kind)
    item_bytes = 1 + (0 if values is None else values.dtype.itemsize)
    claim(path, size * item_bytes, f"holding matrix {name} of shape {shape}")
    keep, weight = np.zeros(shape, np.bool_), None
    keep.reshape(-1)[places] = True
    if values is not None:
        weight = np.zeros(shape, values.dtype)
        weight.reshape(-1)[places] = values
    return MaskedMatrix(name, keep, weight, kind)


def _summed(
    places: NDArray[np.int64], values: NDArray[Any] | None
) -> tuple[NDArray[np.int64], NDArray[Any] | None]:
    """The places, ascending and each once, and the sums of the values there.

    Floats stay what they are, bools and integers become int64.
    """
    if values is not None and values.dtype.kind != "f":
        values = values.astype(np.int64)
    if (places[1:] > places[:-1]).all():
        return places, values
    if values is None:
        return np.unique(places), None
    once, which = np.unique(places, return_inverse=True)
    sums = np.zeros(len(once), values.dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # told by `_check_finite`
        np.add.at(sums, which, values)
    return once, sums


def _check_finite(
    path: Path, name: str, places: NDArray[np.int64], cols: int, values: NDArray[Any]
) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        wrong = int(np.argmin(finite))
        row, col = divmod(int(places[wrong]), cols)
        raise InputError(
            f"{path}: matrix {name} has {values[wrong]} at row {row}, column {col}; "
            "weights must be finite numbers; repair the checkpoint"
        )


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


def check_range(
    path: Path, name: str, axis: str, indices: NDArray[np.integer[Any]], size: int
) -> None:
    """InputError for the first of the 0-based `indices` along `axis` that is not below `size`."""
    outside = (indices < 0) | (indices >= size)
    if outside.any():
        raise InputError(
            f"{path}: matrix {name} has {axis} index {indices[np.argmax(outside)]}, "
            f"but {axis}s are 0..{size - 1}"
        )
