"""The sparse formats by name. A new format is one file and one line here."""

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
from sparse_formats.masks.matrix import MaskedMatrix

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


def encode(matrix: MaskedMatrix, format: str) -> SparseMatrix:
    """`matrix` in the format called `format`, cut into vectors as its maker said."""
    if format == "mixed_vectors":
        return MixedVectors.encode(matrix.keep, matrix.weight, matrix.vectors)
    return FORMATS[format].encode(matrix.keep, matrix.weight)
