"""Matrix Market .mtx: coordinate or array; pattern, real or integer; general or symmetric.

Read here and not by `scipy.io.mmread`, which gives memory to whatever the size line claims and
on some damaged files takes the whole process down.

Source: NIST, The Matrix Market Exchange Formats.
"""

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.build_matrix import check_range, from_entries
from sparse_formats.files.readers.numbers_in_text import as_numbers, words_of
from sparse_formats.files.readers.size_limits import check_shape
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.memory import claim

_SIZES = {"coordinate": 3, "array": 2}
_FIELDS = ("pattern", "real", "double", "integer")
_COMMENT = re.compile(rb"(?m)^%.*$")
_PIECE = 2**20

_MOST_EXPANSION = 200
"""Bytes of packed text for each byte of its file; pattern files reach about 20."""

_FREE_TEXT = 64 * 10**6
"""Bytes of packed text below which this does not matter."""

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
    size_line, body = _past_comments(rest)
    sizes = _sizes(path, banner, size_line)
    rows, cols = sizes[:2]
    check_shape(path, _name(path), rows, cols)
    if banner.symmetry != "general" and rows != cols:
        raise InputError(f"{path}: a {banner.symmetry} matrix is square, found {rows}×{cols}")
    if banner.layout == "array":
        return [_array(path, banner, (rows, cols), body)]
    return [_coordinates(path, banner, (rows, cols), sizes[2], body)]


def _name(path: Path) -> str:
    return path.stem.removesuffix(Path(path.stem).suffix) if _is_packed(path) else path.stem


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _content(path: Path) -> bytes:
    """The bytes of the file, unpacked."""
    if not _is_packed(path):
        claim(path, path.stat().st_size, "reading its text")
        return path.read_bytes()
    most = max(_FREE_TEXT, _MOST_EXPANSION * path.stat().st_size)
    pieces: list[bytes] = []
    try:
        with gzip.open(path) as file:
            while piece := file.read(_PIECE):
                # Twice: the pieces, and what they are joined to.
                claim(path, 2 * len(piece), "unpacking its text")
                pieces.append(piece)
                most -= len(piece)
                if most < 0:
                    raise InputError(
                        f"{path}: a packed text of more than {_MOST_EXPANSION} times the size of "
                        "its file is no matrix; it is damaged or made to exhaust memory"
                    )
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be unpacked ({error}); pack it again") from error
    return b"".join(pieces)


def _past_comments(text: bytes) -> tuple[bytes, bytes]:
    """The size line and what follows it, without comments and empty lines."""
    at = 0
    while at < len(text):
        end = text.find(b"\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        at = end + 1
        if line.strip() and not line.startswith(b"%"):
            body = text[at:]
            return line, _COMMENT.sub(b"", body) if b"%" in body else body
    return b"", b""


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
    path: Path, banner: _Banner, shape: tuple[int, int], entries: int, body: bytes
) -> MaskedMatrix:
    width = 2 if banner.field == "pattern" else 3
    rows, cols, values = _entries(path, shape, width, entries, body)
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


def _entries(
    path: Path, shape: tuple[int, int], width: int, entries: int, body: bytes
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64] | None]:
    """Row, column and value of each entry; counted from 1 in the file, from 0 here."""
    name, found, rest = _name(path), 0, list[bytes]()
    parts: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64] | None]] = []
    for piece in words_of(body):
        found += len(piece)
        words = rest + piece
        whole = len(words) // width * width
        words, rest = words[:whole], words[whole:]
        rows = as_numbers(path, words[0::width], np.int64) - 1
        cols = as_numbers(path, words[1::width], np.int64) - 1
        check_range(path, name, "row", rows, shape[0])
        check_range(path, name, "column", cols, shape[1])
        values = None if width == 2 else as_numbers(path, words[2::width], np.float64)
        claim(path, 2 * (8 + 8 * (width - 2)) * len(rows), f"reading the entries of matrix {name}")
        parts.append((rows.astype(np.int32), cols.astype(np.int32), values))
    _check_count(path, entries, width, found)
    rows = np.concatenate([part[0] for part in parts] or [np.empty(0, np.int32)])
    cols = np.concatenate([part[1] for part in parts] or [np.empty(0, np.int32)])
    if width == 2:
        return rows, cols, None
    listed = [part[2] for part in parts if part[2] is not None]
    return rows, cols, np.concatenate(listed or [np.empty(0)])


def _array(path: Path, banner: _Banner, shape: tuple[int, int], body: bytes) -> MaskedMatrix:
    # Column by column; of a symmetric matrix the lower triangle, of a skew one without diagonal.
    n, skew, name = shape[0], banner.symmetry == "skew-symmetric", _name(path)
    if banner.symmetry == "general":
        stored = shape[0] * shape[1]
    else:
        stored = n * (n - 1) // 2 if skew else n * (n + 1) // 2
    # Each number takes two characters or more.
    if 2 * stored > len(body) + 1:
        _check_count(path, stored, 1, sum(map(len, words_of(body))))
    claim(path, 40 * shape[0] * shape[1], f"reading matrix {name} of shape {shape}")
    parts = [as_numbers(path, words, np.float64) for words in words_of(body)]
    numbers = np.concatenate([*parts, np.empty(0)])
    _check_count(path, stored, 1, len(numbers))
    if banner.symmetry == "general":
        dense = np.ascontiguousarray(numbers.reshape(shape[::-1]).T)
    else:
        upper = np.zeros(shape)
        upper[np.triu_indices(n, k=int(skew))] = numbers
        dense = np.tril(upper.T) + np.triu(-upper if skew else upper, 1)
    array = dense if banner.field != "integer" else dense != 0
    return MaskedMatrix.from_array(name, array, f"{path}: ")


def _check_count(path: Path, entries: int, width: int, words: int) -> None:
    if words != entries * width:
        raise InputError(
            f"{path}: the size line says {entries} entries of {width} numbers, found {words} "
            "numbers; the file is cut short or damaged"
        )
