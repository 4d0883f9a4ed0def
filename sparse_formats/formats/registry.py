"""The sparse formats by name. A new format is one file and one line here."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_formats.errors import InputError, nearest
from sparse_formats.formats.bitmap import Bitmap
from sparse_formats.formats.bsr import BSR
from sparse_formats.formats.csc import CSC
from sparse_formats.formats.csr import CSR
from sparse_formats.formats.dense import Dense
from sparse_formats.formats.ellpack import Ellpack
from sparse_formats.formats.mixed_vectors import MixedVectors
from sparse_formats.formats.mixed_vectors_tiled import MixedVectorsTiled
from sparse_formats.formats.n_m import NM
from sparse_formats.formats.relative_csc import RelativeCSC
from sparse_formats.formats.run_length import RunLength
from sparse_formats.formats.sa_rcsc import SARCSC
from sparse_formats.formats.sparse_matrix import SparseMatrix
from sparse_formats.formats.vector_wise import VectorWise
from sparse_formats.masks.matrix import MaskedMatrix, check_mask

FORMATS: dict[str, type[SparseMatrix]] = {
    "dense": Dense,
    "csr": CSR,
    "csc": CSC,
    "relative_csc": RelativeCSC,
    "run_length": RunLength,
    "bitmap": Bitmap,
    "ellpack": Ellpack,
    "n_m": NM,
    "vector_wise": VectorWise,
    "bsr": BSR,
    "sa_rcsc": SARCSC,
    "mixed_vectors": MixedVectors,
    "mixed_vectors_tiled": MixedVectorsTiled,
}


def encode(
    mask: MaskedMatrix | NDArray[np.bool_],
    format: str,
    weight: NDArray[Any] | None = None,
    **parameters: int,
) -> SparseMatrix:
    """A mask, and weights where they are known, in the format called `format`.

    mask: bool, (out, in), or a masked matrix, which brings its own weights and, for
    "mixed_vectors", the vectors that its maker cut it into. weight: of the same shape. parameters:
    those of the format's own `encode`, e.g. block=32 for "bsr".

    Raises:
        InputError: an unknown format, a mask or weights of another kind or shape; the format
            cannot hold the mask.
    """
    if not isinstance(format, str) or format not in FORMATS:
        raise InputError(f"format {format!r} is unknown{nearest(str(format), FORMATS)}")
    if not isinstance(mask, MaskedMatrix):
        check_mask(mask, "the mask")
        mask = MaskedMatrix("given", mask, weight)
    elif weight is not None:
        raise InputError(f"matrix {mask.name} has its own weights; leave weight out")
    chosen: Any = FORMATS[format]
    if chosen is MixedVectors:
        return MixedVectors.encode(mask.keep, mask.weight, mask.vectors, **parameters)
    return chosen.encode(mask.keep, mask.weight, **parameters)
