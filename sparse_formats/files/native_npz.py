"""Our own mask file: a .npz archive with bit-packed masks, written whole and byte for byte alike.

Members, all plain NumPy arrays:

    mvpsim/header      uint8: UTF-8 JSON; schema, version, origin, and matrices[] with name, kind,
                       shape, weight (dtype or null), orientation (or null), and slots where the
                       mask is cut into them (orientation, lanes, choices)
    mvpsim/I/keep      uint8: numpy.packbits of the mask, row by row
    mvpsim/I/weight    the kept weights in row-major order (where the weight is not null)
    mvpsim/I/lines, mvpsim/I/starts, mvpsim/I/lengths
                       int32: the vectors (where the orientation is not null)
"""

import json
import zipfile
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.atomic import add_array, replace_file
from sparse_formats.files.readers.npz import Npz
from sparse_formats.files.readers.size_limits import check_shape
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet, check_finite, check_float
from sparse_formats.masks.slots import Slots, check_slots
from sparse_formats.masks.vectors import Orientation, VectorLayout, check_vectors
from sparse_formats.memory import claim

SCHEMA = "mvpsim-masks"
VERSION = 1

_HEADER = "mvpsim/header"
_VECTOR_ARRAYS = ("lines", "starts", "lengths")


_FloatName = Literal["float16", "float32", "float64"]


class _Stamp(msgspec.Struct, frozen=True):
    schema: str
    version: int


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    kind: str
    shape: tuple[int, int]
    weight: _FloatName | None
    orientation: Orientation | None
    slots: Slots | None = None


class _Header(msgspec.Struct, frozen=True):
    schema: str
    version: int
    origin: dict[str, Any]
    matrices: list[_Entry]


def recognises(npz: Npz) -> bool:
    """True for an archive of ours, whatever its version."""
    return _HEADER in npz.headers


def write(path: Path, masks: MaskSet) -> None:
    """Write `masks` to `path`, whole or not at all; equal content gives equal bytes.

    Raises:
        InputError: the path cannot be written; a weight that is not zero where its mask drops it;
            vectors or slots that do not make up their mask; two matrices of one name.
    """
    _check(masks)
    with replace_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        add_array(archive, _HEADER, np.frombuffer(_header_text(masks).encode(), np.uint8))
        for number, matrix in enumerate(masks.matrices):
            for key, array in _arrays(matrix).items():
                add_array(archive, f"mvpsim/{number}/{key}", array)


def read(npz: Npz) -> MaskSet:
    """The masks of an archive of ours, as they were written.

    Raises:
        InputError: a newer version, or an array that disagrees with the header.
    """
    header = _parse_header(npz)
    entries = sum(rows * cols for rows, cols in (entry.shape for entry in header.matrices))
    sizes = [_needed_bytes(npz, entry) for entry in header.matrices]
    claim(npz.path, sum(sizes), f"reading matrices of {entries} entries")
    matrices = tuple(_matrix(npz, i, entry) for i, entry in enumerate(header.matrices))
    if not matrices:
        raise InputError(f"{npz.path}: the file holds no matrix; write it with at least one")
    return MaskSet(matrices, header.origin)


def _check(masks: MaskSet) -> None:
    names = [matrix.name for matrix in masks.matrices]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InputError(f"two matrices are called {twice}; give every layer its own name")
    for matrix in masks.matrices:
        if matrix.weight_dtype is not None:
            check_float(f"matrix {matrix.name}", matrix.weight_dtype)
        if matrix.keeps_more_than_its_mask:
            raise InputError(
                f"matrix {matrix.name}: weights are not zero where the mask drops them; "
                "multiply them by the mask first"
            )
        if matrix.vectors is not None:
            check_vectors(matrix.vectors, matrix.keep, f"matrix {matrix.name}")
        if matrix.slots is not None:
            check_slots(matrix.slots, matrix.keep, f"matrix {matrix.name}")


def _header_text(masks: MaskSet) -> str:
    entries = [
        _Entry(
            matrix.name,
            matrix.kind,
            matrix.shape,
            None if matrix.weight_dtype is None else cast(_FloatName, matrix.weight_dtype.name),
            None if matrix.vectors is None else matrix.vectors.orientation,
            matrix.slots,
        )
        for matrix in masks.matrices
    ]
    header = msgspec.to_builtins(_Header(SCHEMA, VERSION, dict(masks.header), entries))
    return json.dumps(header, sort_keys=True, allow_nan=False, ensure_ascii=False)


def _arrays(matrix: MaskedMatrix) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"keep": np.packbits(matrix.keep)}
    if (kept := matrix.kept_weights) is not None:
        arrays["weight"] = kept
    if matrix.vectors is not None:
        arrays |= {key: getattr(matrix.vectors, key) for key in _VECTOR_ARRAYS}
    return arrays


def _parse_header(npz: Npz) -> _Header:
    text = _array(npz, _HEADER, "uint8").tobytes()
    try:
        # Schema and version first: what follows may be laid out in a way we do not know.
        stamp = msgspec.json.decode(text, type=_Stamp)
        if stamp.schema == SCHEMA and 1 <= stamp.version <= VERSION:
            return msgspec.json.decode(text, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{npz.path}: its mvpsim header is not well-formed ({error}); write the file again"
        ) from error
    raise InputError(
        f"{npz.path}: schema {stamp.schema!r} version {stamp.version}, but this program reads "
        f"{SCHEMA!r} up to version {VERSION}; update mvpsim or write the file again"
    )


def _needed_bytes(npz: Npz, entry: _Entry) -> int:
    rows, cols = entry.shape
    check_shape(npz.path, entry.name, rows, cols)
    return rows * cols * (1 if entry.weight is None else 2 + np.dtype(entry.weight).itemsize)


def _matrix(npz: Npz, number: int, entry: _Entry) -> MaskedMatrix:
    folder = f"mvpsim/{number}"
    rows, cols = entry.shape
    keep = _unpacked(npz, f"{folder}/keep", rows, cols)
    weight = None
    if entry.weight is not None:
        weight = _weight(npz, entry.name, f"{folder}/weight", entry.weight, keep)
    vectors = None
    if entry.orientation is not None:
        arrays = (_array(npz, f"{folder}/{key}", "int32") for key in _VECTOR_ARRAYS)
        vectors = VectorLayout(entry.orientation, *arrays)
        check_vectors(vectors, keep, f"{npz.path}: matrix {entry.name}")
    if entry.slots is not None:
        check_slots(entry.slots, keep, f"{npz.path}: matrix {entry.name}")
    return MaskedMatrix(entry.name, keep, weight, entry.kind, vectors, entry.slots)


def _unpacked(npz: Npz, key: str, rows: int, cols: int) -> NDArray[np.bool_]:
    packed = _array(npz, key, "uint8")
    if len(packed) != (rows * cols + 7) // 8:
        raise InputError(
            f"{npz.path}: {key} has {len(packed)} bytes, but a mask of shape ({rows}, {cols}) "
            f"needs {(rows * cols + 7) // 8}; the file is damaged"
        )
    return np.unpackbits(packed, count=rows * cols).view(np.bool_).reshape(rows, cols)


def _weight(
    npz: Npz, name: str, key: str, dtype: str, keep: NDArray[np.bool_]
) -> NDArray[np.floating[Any]]:
    kept = _array(npz, key, dtype)
    if len(kept) != np.count_nonzero(keep):
        raise InputError(
            f"{npz.path}: matrix {name} keeps {np.count_nonzero(keep)} weights, "
            f"but {key} has {len(kept)}; the file is damaged"
        )
    weight = np.zeros(keep.shape, kept.dtype)
    weight[keep] = kept
    check_finite(f"{npz.path}: matrix {name}", weight)
    return weight


def _array(npz: Npz, key: str, dtype: str) -> NDArray[Any]:
    header = npz.headers.get(key)
    if header is None or len(header.shape) != 1 or header.dtype.name != dtype:
        found = "nothing" if header is None else f"{header.dtype} {list(header.shape)}"
        raise InputError(
            f"{npz.path}: a 1-D {dtype} array {key} is needed, found {found}; "
            "the file is damaged or mvpsim did not write it"
        )
    return npz.read(key)
