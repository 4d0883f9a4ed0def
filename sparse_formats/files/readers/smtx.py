"""DLMC's .smtx: rows, cols, nnz; then row offsets; then column indices. A mask, no weights.

Source: Gale et al., Sparse GPU Kernels for Deep Learning (arXiv 2006.10901).
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.files.readers.build_matrix import compressed_lines, from_entries
from sparse_formats.files.readers.numbers_in_text import words_of
from sparse_formats.files.readers.size_limits import check_shape
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.memory import claim

_MOST_BREAKS = 1000
"""Line breaks that are looked at; a .smtx file has three lines."""


def read(path: Path) -> list[MaskedMatrix]:
    """The one matrix of a .smtx file, called by the file's stem.

    Raises:
        InputError: a line is missing or no whole numbers, counts that disagree, an index outside
            the shape or given twice in a row.
    """
    name = path.stem
    # The text twice, as a whole and as lines.
    claim(path, 2 * path.stat().st_size, "reading its text")
    lines = [line for line in path.read_bytes().split(b"\n", _MOST_BREAKS) if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty; a .smtx file starts with 'rows, cols, nnz'")
    header = _numbers(path, 1, lines[0].replace(b",", b" "))
    if len(header) != 3 or (header < 0).any():
        raise InputError(
            f"{path}: line 1 is {lines[0].decode(errors='replace').strip()[:60]!r}; "
            "it must be 'rows, cols, nnz'"
        )
    rows, cols, nnz = (int(n) for n in header)
    if len(lines) != (3 if nnz else 2):
        raise InputError(
            f"{path}: {len(lines)} lines of text for {nnz} non-zeros; a .smtx file has three: "
            "'rows, cols, nnz', row offsets, column indices"
        )
    offsets = _numbers(path, 2, lines[1])
    columns = _numbers(path, 3, lines[2]) if nnz else np.empty(0, np.int64)
    if len(columns) != nnz:
        raise InputError(
            f"{path}: line 1 says {nnz} non-zeros, but line 3 has {len(columns)} column indices"
        )
    check_shape(path, name, rows, cols)
    row_of = compressed_lines(path, name, offsets, rows, nnz)
    matrix = from_entries(path, name, (rows, cols), row_of, columns, None)
    if matrix.nnz != nnz:
        places = np.sort(row_of * cols + columns)
        row = int(places[np.argmax(places[1:] == places[:-1])]) // cols
        raise InputError(f"{path}: row {row} has a column twice; list each column once per row")
    return [matrix]


def _numbers(path: Path, line: int, text: bytes) -> NDArray[np.int64]:
    parts: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    for words in words_of(text):
        claim(path, 2 * 8 * len(words), f"reading the numbers of line {line}")
        try:
            parts.append(np.array(words, np.int64))
        except (ValueError, OverflowError) as error:
            wrong = next((w for w in words if not w.isdigit()), b"a number beyond 64 bits")
            raise InputError(
                f"{path}: line {line} must hold whole numbers separated by blanks, found "
                f"{wrong.decode(errors='replace')[:40]!r}"
            ) from error
    return np.concatenate(parts)
