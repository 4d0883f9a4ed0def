"""The sparse formats by name. A new format is one file and one line here."""

from sparse_formats.bitmap import Bitmap
from sparse_formats.bsr import BSR
from sparse_formats.csc import CSC
from sparse_formats.csr import CSR
from sparse_formats.dense import Dense
from sparse_formats.ellpack import Ellpack
from sparse_formats.masks import MaskedMatrix
from sparse_formats.matrix import SparseMatrix
from sparse_formats.mixed_vectors import MixedVectors
from sparse_formats.mixed_vectors_tiled import MixedVectorsTiled
from sparse_formats.n_m import NM
from sparse_formats.relative_csc import RelativeCSC
from sparse_formats.run_length import RunLength
from sparse_formats.sa_rcsc import SARCSC
from sparse_formats.vector_wise import VectorWise

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
