"""The sparse formats by name. A new format is one file and one line here."""

from sparse_formats.csc import CSC
from sparse_formats.csr import CSR
from sparse_formats.masks import MaskedMatrix
from sparse_formats.matrix import SparseMatrix
from sparse_formats.mixed_vectors import MixedVectors

FORMATS: dict[str, type[SparseMatrix]] = {
    "csr": CSR,
    "csc": CSC,
    "mixed_vectors": MixedVectors,
}


def encode(matrix: MaskedMatrix, format: str) -> SparseMatrix:
    """`matrix` in the format called `format`, cut into vectors as its maker said."""
    if format == "mixed_vectors":
        return MixedVectors.encode(matrix.keep, matrix.weight, matrix.vectors)
    return FORMATS[format].encode(matrix.keep, matrix.weight)
