"""Matrix Market .mtx: coordinate or array; pattern, real or integer; general or symmetric.

Read here and not by `scipy.io.mmread`, which gives memory to whatever the size line claims and
on some damaged files takes the whole process down.

Source: NIST, The Matrix Market Exchange Formats.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.build_matrix import from_entries
from sparse_formats.files.readers.size_limits import (
    FREE_BYTES,
    MAX_EXPANSION,
    check_claim,
    check_shape,
)
from sparse_formats.masks.matrix import MaskedMatrix

_SIZES = {"coordinate": 3, "array": 2}
_FIELDS = ("pattern", "real", "double", "integer")
_SYMMETRIES = ("general", "symmetric", "skew-symmetric")


@dataclass(frozen=True)
class _Banner:
    layout: str
    field: str
    symmetry: str


def read(path: Path) -> list[MaskedMatrix]:
    """The one matrix of a .mtx or .mtx.gz file, called by the file's name without its ending.

    What is not zero is kept; of a pattern, what is listed. Real values are float64
    weights, integers and patterns give the mask only.

    Raises:
        InputError: a banner, size line or entry that is not Matrix Market; complex values.
    """
    first, _, rest = _content(path).partition(b"\n")
    banner = _banner(path, first)
    lines = (line for line in rest.split(b"\n") if line.strip() and not line.startswith(b"%"))
    sizes = _sizes(path, banner, next(lines, b""))
    words = b" ".join(lines).split()
    rows, cols = sizes[:2]
    check_shape(path, _name(path), rows, cols)
    check_claim(path, rows * cols, f"matrix {_name(path)} of shape ({rows}, {cols})")
    if banner.symmetry != "general" and rows != cols:
        raise InputError(f"{path}: a {banner.symmetry} matrix is square, found {rows}×{cols}")
    if banner.layout == "array":
        return [_array(path, banner, (rows, cols), words)]
    return [_coordinates(path, banner, (rows, cols), sizes[2], words)]


def _name(path: Path) -> str:
    return path.stem.removesuffix(Path(path.stem).suffix) if _is_packed(path) else path.stem


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _content(path: Path) -> bytes:
    """The bytes of the file; of a packed one as many as `check_claim` would allow it to claim."""
    if not _is_packed(path):
        return path.read_bytes()
    most = max(FREE_BYTES, MAX_EXPANSION * path.stat().st_size)
    try:
        with gzip.open(path) as file:
            content = file.read(most + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be unpacked ({error}); pack it again") from error
    check_claim(path, len(content), "the unpacked file")
    return content


def _banner(path: Path, line: bytes) -> _Banner:
    words = line[:200].decode("ascii", "replace").lower().split()
    if len(words) != 5 or words[:2] != ["%%matrixmarket", "matrix"]:
        raise InputError(f"{path}: line 1 must be '%%MatrixMarket matrix …'; give a .mtx file")
    banner = _Banner(*words[2:])
    readable = (
        banner.layout in _SIZES
        and banner.field in _FIELDS
        and banner.symmetry in _SYMMETRIES
        and (banner.layout, banner.field) != ("array", "pattern")
    )
    if not readable:
        raise InputError(
            f"{path}: cannot read {' '.join(words[2:])!r}; readable: "
            f"{'|'.join(_SIZES)} {'|'.join(_FIELDS)} {'|'.join(_SYMMETRIES)}"
        )
    return banner


def _sizes(path: Path, banner: _Banner, line: bytes) -> list[int]:
    words = line.split()
    # 18 digits fit into 64 bits.
    if len(words) != _SIZES[banner.layout] or not all(w.isdigit() and len(w) < 19 for w in words):
        raise InputError(
            f"{path}: the size line is {line.decode('ascii', 'replace').strip()[:60]!r}; "
            f"{banner.layout} needs {_SIZES[banner.layout]} whole numbers"
        )
    return [int(word) for word in words]


def _coordinates(
    path: Path, banner: _Banner, shape: tuple[int, int], entries: int, words: list[bytes]
) -> MaskedMatrix:
    width = 2 if banner.field == "pattern" else 3
    _check_count(path, entries, width, len(words))
    # Counted from 1 in the file.
    rows = _numbers(path, words[0::width], np.int64) - 1
    cols = _numbers(path, words[1::width], np.int64) - 1
    values = None if width == 2 else _numbers(path, words[2::width], np.float64)
    if banner.symmetry != "general":
        if (cols > rows).any():
            k = int(np.argmax(cols > rows))
            raise InputError(
                f"{path}: entry {k + 1} at row {rows[k] + 1}, column {cols[k] + 1}; "
                f"a {banner.symmetry} file holds the lower triangle only"
            )
        below = rows > cols
        rows, cols = np.append(rows, cols[below]), np.append(cols, rows[below])
        if values is not None:
            sign = -1 if banner.symmetry == "skew-symmetric" else 1
            values = np.append(values, sign * values[below])
    if values is not None and banner.field == "integer":
        values = values != 0
    return from_entries(path, _name(path), shape, rows, cols, values)


def _array(path: Path, banner: _Banner, shape: tuple[int, int], words: list[bytes]) -> MaskedMatrix:
    # Column by column; of a symmetric matrix the lower triangle, of a skew one without diagonal.
    n, skew = shape[0], banner.symmetry == "skew-symmetric"
    if banner.symmetry == "general":
        _check_count(path, shape[0] * shape[1], 1, len(words))
        dense = np.ascontiguousarray(_numbers(path, words, np.float64).reshape(shape[::-1]).T)
    else:
        _check_count(path, n * (n - 1) // 2 if skew else n * (n + 1) // 2, 1, len(words))
        upper = np.zeros(shape)
        upper[np.triu_indices(n, k=int(skew))] = _numbers(path, words, np.float64)
        dense = np.tril(upper.T) + np.triu(-upper if skew else upper, 1)
    array = dense if banner.field != "integer" else dense != 0
    return MaskedMatrix.from_array(_name(path), array, f"{path}: ")


def _check_count(path: Path, entries: int, width: int, words: int) -> None:
    if words != entries * width:
        raise InputError(
            f"{path}: the size line says {entries} entries of {width} numbers, found {words} "
            "numbers; the file is cut short or damaged"
        )


def _numbers(path: Path, words: list[bytes], dtype: type[np.generic]) -> NDArray[Any]:
    try:
        return np.array(words, dtype)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: an entry is not a {'whole ' if dtype is np.int64 else ''}number: {error}"
        ) from error
