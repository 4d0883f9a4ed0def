"""What `scipy.sparse.save_npz` writes, read from its arrays and checked before use."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.build_matrix import compressed_lines, from_entries
from sparse_formats.files.readers.npz import Npz
from sparse_formats.files.readers.size_limits import check_shape
from sparse_formats.masks.matrix import MaskedMatrix

_MARKS = frozenset({"format", "shape", "data"})


def recognises(npz: Npz) -> bool:
    """True for an archive that holds one scipy.sparse matrix."""
    return npz.headers.keys() >= _MARKS and npz.headers["format"].dtype.kind in "SU"


def read(npz: Npz) -> list[MaskedMatrix]:
    """The one matrix of the archive, called by the file's stem.

    What is not zero is kept, in every layout: a stored zero is dropped, be it an entry of CSR, CSC
    or COO, or what fills up a block of BSR or a diagonal of DIA.

    Raises:
        InputError: an unknown format, a missing or mis-shaped array, pointers that do not rise,
            an index outside the shape.
    """
    layout = npz.text("format")
    if layout not in _LAYOUTS:
        raise InputError(
            f"{npz.path}: unknown scipy.sparse format {layout!r}; readable: {', '.join(_LAYOUTS)}"
        )
    shape = _integers(npz, "shape", 1)
    if len(shape) != 2:
        raise InputError(f"{npz.path}: a matrix has 2 dimensions, found shape {shape.tolist()}")
    rows, cols = (int(n) for n in shape)
    check_shape(npz.path, npz.path.stem, rows, cols)
    if npz.headers["data"].dtype.kind not in "biuf":
        raise InputError(
            f"{npz.path}: data are {npz.headers['data'].dtype}; give bools, integers or real floats"
        )
    return [_LAYOUTS[layout](npz, (rows, cols))]


def _csr(npz: Npz, shape: tuple[int, int]) -> MaskedMatrix:
    lines, indices, data = _compressed(npz, shape[0], 1)
    return from_entries(npz.path, npz.path.stem, shape, lines, indices, data)


def _csc(npz: Npz, shape: tuple[int, int]) -> MaskedMatrix:
    lines, indices, data = _compressed(npz, shape[1], 1)
    return from_entries(npz.path, npz.path.stem, shape, indices, lines, data)


def _coo(npz: Npz, shape: tuple[int, int]) -> MaskedMatrix:
    rows, cols = _integers(npz, "row", 1), _integers(npz, "col", 1)
    data = _array(npz, "data", 1)
    _same_length(npz, len(rows), len(cols), len(data))
    return from_entries(npz.path, npz.path.stem, shape, rows, cols, data)


def _bsr(npz: Npz, shape: tuple[int, int]) -> MaskedMatrix:
    name, blocks = npz.path.stem, npz.headers["data"].shape
    if len(blocks) != 3 or not blocks[1] or shape[0] % blocks[1] or shape[1] % max(blocks[2], 1):
        raise InputError(
            f"{npz.path}: matrix {name} of shape {shape} cannot be cut into blocks {blocks[1:]}"
        )
    _, high, wide = blocks
    lines, indices, data = _compressed(npz, shape[0] // high, 3)
    rows = np.broadcast_to(lines[:, None, None] * high + np.arange(high)[:, None], data.shape)
    cols = np.broadcast_to(indices[:, None, None] * wide + np.arange(wide), data.shape)
    return from_entries(npz.path, name, shape, rows.ravel(), cols.ravel(), data.ravel())


def _dia(npz: Npz, shape: tuple[int, int]) -> MaskedMatrix:
    data, offsets = _array(npz, "data", 2), _integers(npz, "offsets", 1)
    _same_length(npz, len(offsets), len(data))
    cols = np.broadcast_to(np.arange(data.shape[1]), data.shape)
    rows = cols - offsets[:, None]
    # data[k, j] stands at column j of diagonal k; what hangs over the matrix is no entry.
    inside = (rows >= 0) & (rows < shape[0]) & (cols < shape[1])
    return from_entries(npz.path, npz.path.stem, shape, rows[inside], cols[inside], data[inside])


_LAYOUTS: dict[str, Callable[[Npz, tuple[int, int]], MaskedMatrix]] = {
    "csr": _csr,
    "csc": _csc,
    "coo": _coo,
    "bsr": _bsr,
    "dia": _dia,
}


def _compressed(
    npz: Npz, lines: int, data_ndim: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    indptr, indices = _integers(npz, "indptr", 1), _integers(npz, "indices", 1)
    data = _array(npz, "data", data_ndim)
    _same_length(npz, len(indices), len(data))
    return compressed_lines(npz.path, npz.path.stem, indptr, lines, len(indices)), indices, data


def _integers(npz: Npz, key: str, ndim: int) -> NDArray[np.int64]:
    array = _array(npz, key, ndim)
    if array.dtype.kind not in "iu":
        raise InputError(f"{npz.path}: {key} must be integers, found {array.dtype}")
    return array.astype(np.int64)


def _array(npz: Npz, key: str, ndim: int) -> NDArray[Any]:
    header = npz.headers.get(key)
    if header is None or len(header.shape) != ndim:
        found = "nothing" if header is None else f"shape {header.shape}"
        raise InputError(
            f"{npz.path}: a scipy.sparse file of this format needs a {ndim}-D array {key}, "
            f"found {found}; write it again with scipy.sparse.save_npz"
        )
    return npz.read(key)


def _same_length(npz: Npz, *lengths: int) -> None:
    if len(set(lengths)) > 1:
        raise InputError(
            f"{npz.path}: indices and data differ in length {lengths}; the file is damaged"
        )
