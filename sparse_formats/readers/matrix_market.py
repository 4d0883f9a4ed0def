"""Matrix Market .mtx: coordinate or array, pattern, real or integer, general or symmetric.

Source: NIST, The Matrix Market Exchange Formats. scipy parses the body; the first lines are read
here, so that no memory is given to what the file merely claims.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.masks import MaskedMatrix
from sparse_formats.readers.claims import check_claim, check_shape
from sparse_formats.readers.entries import from_dense, from_entries

_LAYOUTS = {"coordinate": 3, "array": 2}
_FIELDS = ("pattern", "real", "double", "integer")
_SYMMETRIES = ("general", "symmetric", "skew-symmetric")
# The shortest entry of each layout in bytes: "1 1\n" and "1\n".
_SHORTEST = {"coordinate": 4, "array": 2}


def read(path: Path) -> list[MaskedMatrix]:
    """The one matrix of a .mtx file, called by the file's stem.

    Stored coordinates are kept, zeros too; of an array the non-zeros are. Real values are weights,
    integers and patterns give the mask only.

    Raises:
        InputError: a banner, size line or entry that is not Matrix Market; complex values.
    """
    name = path.stem
    layout, field, shape = _claims(path)
    check_shape(path, name, *shape)
    check_claim(path, shape[0] * shape[1], f"matrix {name} of shape {shape}")
    body = _parsed(path)
    if layout == "array":
        dense = np.ascontiguousarray(np.asarray(body))
        return [from_dense(path, name, dense if field != "integer" else dense != 0)]
    values: NDArray[Any] | None = body.data if field in ("real", "double") else None
    rows, cols = body.row.astype(np.int64), body.col.astype(np.int64)
    return [from_entries(path, name, shape, rows, cols, values)]


def _parsed(path: Path) -> Any:
    # Loading scipy takes longer than many a command here runs.
    from scipy.io import mmread

    try:
        return mmread(path)
    except (ValueError, OverflowError, TypeError, IndexError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is no sound Matrix Market file: {reason}; write it again with scipy.io.mmwrite"
        ) from error


def _claims(path: Path) -> tuple[str, str, tuple[int, int]]:
    """Layout, field and shape from banner and size line, checked against the file's size."""
    with path.open("rb") as file:
        banner = file.readline(200).decode("ascii", "replace").lower().split()
        line = file.readline(10_000)
        while line.startswith(b"%") or (line and not line.strip()):
            line = file.readline(10_000)
    if len(banner) != 5 or banner[:2] != ["%%matrixmarket", "matrix"]:
        raise InputError(f"{path}: line 1 is no banner '%%MatrixMarket matrix …'; no .mtx file?")
    layout, field, symmetry = banner[2:]
    if layout not in _LAYOUTS or field not in _FIELDS or symmetry not in _SYMMETRIES:
        raise InputError(
            f"{path}: cannot read '{layout} {field} {symmetry}'; readable: "
            f"{'|'.join(_LAYOUTS)} {'|'.join(_FIELDS)} {'|'.join(_SYMMETRIES)}"
        )
    words = line.split()
    if len(words) != _LAYOUTS[layout] or not all(word.isdigit() for word in words):
        raise InputError(
            f"{path}: the size line is {line.decode('ascii', 'replace').strip()[:60]!r}; "
            f"{layout} needs {_LAYOUTS[layout]} whole numbers"
        )
    sizes = [int(word) for word in words]
    entries = sizes[2] if layout == "coordinate" else sizes[0] * sizes[1] // 2
    if entries * _SHORTEST[layout] > path.stat().st_size + 1:
        raise InputError(
            f"{path}: the size line promises {entries} entries, more than "
            f"{path.stat().st_size} bytes hold; the file is cut short"
        )
    return layout, field, (sizes[0], sizes[1])
