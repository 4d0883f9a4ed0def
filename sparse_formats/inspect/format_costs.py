"""What each format would cost for each matrix of a mask file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparse_formats.errors import InputError
from sparse_formats.formats.registry import FORMATS, encode
from sparse_formats.inspect.cost_formulas import CURVES, density_at
from sparse_formats.masks.decompose import decompose
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.memory import holding
from sparse_formats.storage import Storage

FP16_BITS = 16

CLAIMED_RATIO = 4
"""Yoo & Lee (2023), section IV: pruned and compressed, parameters take a quarter of the memory."""


@dataclass(frozen=True)
class Inspection:
    """One matrix (or, with `name` "total", all): its counts and its storage in every format.

    storage: format → bits, of the formats that can hold it (all of them, for a total);
    cannot_hold: format → why not. orientation: that of its vectors; None for a total.
    vectors: how many; slots, where the mask was cut into them.
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
    cannot_hold: Mapping[str, str]

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
        return ratio_to_dense_fp16(self, self.smallest)


def bits_of(matrices: Iterable[MaskedMatrix]) -> int:
    """Bits of a kept weight, where nobody says: 8 if all are 8-bit numbers, else 16."""
    dtypes = {matrix.weight_dtype for matrix in matrices}
    return 8 if dtypes == {np.dtype(np.int8)} else FP16_BITS


def inspect(matrix: MaskedMatrix, value_bits: int) -> Inspection:
    """Encode `matrix` in every format with `value_bits` a kept weight."""
    rows, cols = matrix.shape
    with holding(_working_bytes(matrix), f"encoding matrix {matrix.name} ({rows}×{cols})"):
        keep = matrix.keep
        vectors = decompose(keep) if matrix.vectors is None else matrix.vectors
        # Only their width changes what is stored; xor_net takes random bits for theirs.
        bare = MaskedMatrix(matrix.name, keep, None, matrix.kind, vectors, matrix.slots)
        storage, cannot_hold = _storage(bare, value_bits)
    return Inspection(
        matrix.name,
        matrix.kind,
        rows,
        cols,
        rows * cols,
        matrix.nnz,
        vectors.orientation if matrix.slots is None else matrix.slots.orientation,
        len(vectors) if matrix.slots is None else matrix.slots.occupied(keep),
        storage,
        cannot_hold,
    )


def _working_bytes(matrix: MaskedMatrix) -> int:
    """Memory for all formats one after the other, as measured on masks of any density."""
    lines = 32 * sum(matrix.shape)
    return 3 * matrix.written_bytes + matrix.size // 2 + 24 * matrix.nnz + lines


def _storage(matrix: MaskedMatrix, value_bits: int) -> tuple[dict[str, Storage], dict[str, str]]:
    storage: dict[str, Storage] = {}
    cannot_hold: dict[str, str] = {}
    for format in FORMATS:
        try:
            storage[format] = encode(matrix, format).storage(value_bits)
        except InputError as error:
            cannot_hold[format] = str(error)
    return storage, cannot_hold


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
        {
            name: sum((part.storage[name] for part in every), nothing)
            for name in FORMATS
            if all(name in part.storage for part in every)
        },
        {
            name: f"{part.name}: {part.cannot_hold[name]}"
            # The first matrix that cannot be held says why.
            for part in reversed(every)
            for name in part.cannot_hold
        },
    )


def ratio_to_dense_fp16(part: Inspection, format: str) -> float | None:
    """Bits of the dense matrix in FP16 over those of `format`, None where either is 0."""
    bits = part.storage[format].bits
    return part.entries * FP16_BITS / bits if bits and part.entries else None


def claim(total: Inspection, layers: Sequence[Inspection], value_bits: int) -> str:
    """One line: where "memory 4 times smaller" holds for this file, and below which density.

    Source of the claim: Yoo & Lee, Structured Pruning for Efficient Transformer Model Compression
    (2023), section IV, of pruning with compressed storage (OPTIMUS, MLSys 2020).
    The densities are those of random masks (`curves`) of the shape that holds most entries.
    """
    if not total.nnz:
        return f'The claim "memory {CLAIMED_RATIO} times smaller" is undefined: nothing is kept.'
    ratios = {name: ratio_to_dense_fp16(total, name) for name in total.storage}
    kept = {name: ratio for name, ratio in ratios.items() if ratio and name != "dense"}
    largest = max(layers, key=lambda part: part.entries)
    rows, cols = largest.rows or 0, largest.cols or 0
    words = {True: list[str](), False: list[str]()}
    for name, ratio in kept.items():
        limit = ""
        if name in CURVES:
            density = density_at(FP16_BITS / CLAIMED_RATIO, name, rows, cols, value_bits)
            limit = f", up to density {density:.3f}" if density is not None else ", at no density"
        words[ratio >= CLAIMED_RATIO].append(f"{name} ({ratio:.2f}×{limit})")
    return (
        f'The claim "memory {CLAIMED_RATIO} times smaller" than dense FP16 holds at density '
        f"{total.density or 0:.3f} for {', '.join(words[True]) or 'no format'}. "
        f"It does not hold for {', '.join(words[False]) or 'any other format'}."
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
                "ratio_to_dense_fp16": ratio_to_dense_fp16(part, name),
            }
            for name, storage in part.storage.items()
        },
        "cannot_hold": dict(part.cannot_hold),
        "smallest": part.smallest,
        "ratio_to_dense_fp16": part.ratio_to_dense_fp16,
    }


def megabytes(bits: int) -> float:
    """`bits` in 10⁶ bytes, a byte begun counting whole."""
    return -(-bits // 8) / 1e6
