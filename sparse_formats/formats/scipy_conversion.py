"""To and from scipy.sparse: CSR, CSC and BSR arrays. Stored entries are kept, zeros too."""

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from sparse_formats.errors import InputError
from sparse_formats.formats.bsr import BSR
from sparse_formats.formats.csc import CSC
from sparse_formats.formats.csr import CSR


def to_scipy(matrix: CSR | CSC | BSR) -> Any:
    """The csr_array, csc_array or bsr_array with the same entries; ones where encoded without.

    Memory is shared where scipy.sparse allows it. float16 becomes float32, which it can compute
    with, exactly.

    Raises:
        InputError: a BSR matrix whose blocks reach over its edge, which scipy.sparse cannot hold.
    """
    data = matrix.data
    if isinstance(matrix, BSR):
        check_whole_blocks(matrix, "scipy.sparse")
        size = (len(matrix.indices), matrix.block, matrix.block)
    else:
        size = (matrix.nnz,)
    if data is None:
        data = np.ones(size, np.bool_)
    elif data.dtype == np.float16:
        data = data.astype(np.float32)
    make: Any = {
        CSR: scipy.sparse.csr_array,
        CSC: scipy.sparse.csc_array,
        BSR: scipy.sparse.bsr_array,
    }[type(matrix)]
    return make((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def check_whole_blocks(matrix: BSR, library: str) -> None:
    """InputError naming `library` if blocks reach over the matrix' edge."""
    if matrix.shape[0] % matrix.block or matrix.shape[1] % matrix.block:
        raise InputError(
            f"blocks of {matrix.block}×{matrix.block} extend beyond the edge of a "
            f"{matrix.shape[0]}×{matrix.shape[1]} matrix, which {library} cannot hold; "
            'encode as "csr"'
        )


def from_scipy(array: Any) -> CSR | CSC | BSR:
    """Ours from a csr, csc or bsr array or matrix of scipy.sparse.

    Entries may come in any order within a line, but not twice; booleans are masks without weights.

    Raises:
        InputError: another format, blocks that are not square, an entry stored twice.
    """
    layout = getattr(array, "format", type(array).__name__)
    if layout not in ("csr", "csc", "bsr"):
        raise InputError(
            f"scipy.sparse format {layout!r}: give csr, csc or bsr; convert it with .tocsr()"
        )
    lines = array.copy()
    lines.sort_indices()
    if not lines.has_canonical_format:
        raise InputError(f"the {layout} array stores an entry twice; call sum_duplicates() first")
    rows, cols = lines.shape
    indptr, indices = lines.indptr.astype(np.int32), lines.indices.astype(np.int32)
    data: NDArray[Any] | None = None if lines.data.dtype == np.bool_ else lines.data
    if layout != "bsr":
        return (CSR if layout == "csr" else CSC)((rows, cols), indptr, indices, data)
    height, width = lines.blocksize
    if height != width:
        raise InputError(
            f"blocks are {height}×{width}, but must be square; convert with blocksize="
        )
    return BSR((rows, cols), height, indptr, indices, data)
