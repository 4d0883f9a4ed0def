"""What each format would cost for each matrix of a mask file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sparse_formats.decompose import decompose
from sparse_formats.formats import FORMATS, encode
from sparse_formats.masks import MaskedMatrix
from sparse_formats.storage import Storage

FP16_BITS = 16


@dataclass(frozen=True)
class Inspection:
    """One matrix (or, with `name` "total", all): its counts and its storage in every format.

    storage: format name → bits. orientation: that of its vectors; None for a total.
    """

    name: str
    kind: str
    rows: int | None
    cols: int | None
    entries: int
    nnz: int
    orientation: str | None
    vectors: int
    storage: Mapping[str, Storage]

    @property
    def density(self) -> float | None:
        """Kept fraction, None without entries."""
        return self.nnz / self.entries if self.entries else None

    @property
    def mean_vector_length(self) -> float | None:
        """Kept weights per vector, None without vectors."""
        return self.nnz / self.vectors if self.vectors else None

    def bits_per_element(self, format: str) -> float | None:
        """Bits of `format` over all entries, kept or not; None without entries."""
        return self.storage[format].bits / self.entries if self.entries else None

    @property
    def smallest(self) -> str:
        """The format with the fewest bits; of equal ones the first listed."""
        return min(self.storage, key=lambda name: self.storage[name].bits)

    @property
    def ratio_to_dense_fp16(self) -> float | None:
        """Bits of the dense matrix in FP16 over those of the smallest format, None if it is 0."""
        bits = self.storage[self.smallest].bits
        return self.entries * FP16_BITS / bits if bits and self.entries else None


def inspect(matrix: MaskedMatrix, value_bits: int) -> Inspection:
    """Encode `matrix` in every format with `value_bits` a kept weight."""
    vectors = decompose(matrix.keep) if matrix.vectors is None else matrix.vectors
    # The weights do not change what is stored, only their width does.
    bare = MaskedMatrix(matrix.name, matrix.keep, None, matrix.kind, vectors)
    rows, cols = matrix.shape
    return Inspection(
        matrix.name,
        matrix.kind,
        rows,
        cols,
        rows * cols,
        matrix.nnz,
        vectors.orientation,
        len(vectors),
        {format: encode(bare, format).storage(value_bits) for format in FORMATS},
    )


def total(parts: Iterable[Inspection]) -> Inspection:
    """The sum over `parts`, each format used throughout."""
    every = list(parts)
    nothing = Storage(0, 0, 0)
    return Inspection(
        "total",
        "",
        None,
        None,
        sum(part.entries for part in every),
        sum(part.nnz for part in every),
        None,
        sum(part.vectors for part in every),
        {name: sum((part.storage[name] for part in every), nothing) for name in FORMATS},
    )


def as_json(part: Inspection) -> dict[str, Any]:
    """`part` for a JSON file: sizes in bits, `mb` in 10⁶ bytes, undefined ratios null."""
    named = {"name": part.name, "kind": part.kind, "rows": part.rows, "cols": part.cols}
    return (named if part.rows is not None else {}) | {
        "entries": part.entries,
        "nnz": part.nnz,
        "density": part.density,
        **({"orientation": part.orientation} if part.orientation else {}),
        "vectors": part.vectors,
        "mean_vector_length": part.mean_vector_length,
        "formats": {
            name: {
                "value_bits": storage.values,
                "index_bits": storage.indices,
                "pointer_bits": storage.pointers,
                "padding_bits": storage.padding,
                "bits": storage.bits,
                "bits_per_element": part.bits_per_element(name),
                "mb": megabytes(storage.bits),
            }
            for name, storage in part.storage.items()
        },
        "smallest": part.smallest,
        "ratio_to_dense_fp16": part.ratio_to_dense_fp16,
    }


def megabytes(bits: int) -> float:
    """`bits` in 10⁶ bytes, a byte begun counting whole."""
    return -(-bits // 8) / 1e6
