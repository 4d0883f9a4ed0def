"""The products that are timed: patterns, shapes, sparsities, tokens, and what is asked of each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.csr import CSR

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Cell:
    """One product to time. pattern: a name of `PATTERNS`; length: of its pieces.

    at_least, aim: ratios to MKL's CSR that we ask of ourselves; None where nothing is asked.
    """

    pattern: str
    length: int
    rows: int
    cols: int
    tokens: int
    sparsity: float
    at_least: float | None = None
    aim: float | None = None

    @property
    def name(self) -> str:
        length = f" {self.length}" if self.length > 1 else ""
        return (
            f"{self.pattern}{length} {self.rows}×{self.cols}, {self.sparsity:.0%} sparse, "
            f"{self.tokens} tokens"
        )


def vertical(rng: np.random.Generator, cell: Cell) -> NDArray[np.bool_]:
    return _blocks(rng, cell, cell.length, 1)


def horizontal(rng: np.random.Generator, cell: Cell) -> NDArray[np.bool_]:
    return _blocks(rng, cell, 1, cell.length)


def blocks(rng: np.random.Generator, cell: Cell) -> NDArray[np.bool_]:
    return _blocks(rng, cell, cell.length, cell.length)


def n_m(rng: np.random.Generator, cell: Cell) -> NDArray[np.bool_]:
    """N of every `length` inputs."""
    kept = round((1 - cell.sparsity) * cell.length)
    order = rng.random((cell.rows, -(-cell.cols // cell.length), cell.length)).argsort(2)
    return (order < kept).reshape(cell.rows, -1)[:, : cell.cols]


def mixed(rng: np.random.Generator, cell: Cell) -> NDArray[np.bool_]:
    """Horizontal vectors of 1 to 64 as our pruning makes them: see `synthetic.mixed_vectors`."""
    return _generated(rng, cell, "mvp", "Q")


def two_level(rng: np.random.Generator, cell: Cell, kind: str) -> NDArray[np.bool_]:
    """Single weights in slots of 16, along the vectors that matrices of this kind have."""
    return _generated(rng, cell, "two_level:16", kind)


def lane_select(rng: np.random.Generator, cell: Cell, kind: str) -> NDArray[np.bool_]:
    """One of 4 inputs for each of the 16 lanes of a slot."""
    return _generated(rng, cell, "lane_select", kind)


def _generated(rng: np.random.Generator, cell: Cell, pattern: str, kind: str) -> NDArray[np.bool_]:
    from sparse_formats.masks.synthetic.generate import generate
    from sparse_formats.masks.synthetic.shapes import MatrixShape

    shape = MatrixShape("matrix", kind, cell.rows, cell.cols)
    seed = int(rng.integers(1 << 31))
    return next(generate([shape], 1 - cell.sparsity, pattern, seed)).keep


def _blocks(rng: np.random.Generator, cell: Cell, height: int, width: int) -> NDArray[np.bool_]:
    shape = (-(-cell.rows // height), -(-cell.cols // width))
    kept = np.arange(shape[0] * shape[1]) >= round(cell.sparsity * shape[0] * shape[1])
    rng.shuffle(kept)
    return kept.reshape(shape).repeat(height, 0).repeat(width, 1)[: cell.rows, : cell.cols]


PATTERNS: dict[str, Callable[[np.random.Generator, Cell], NDArray[np.bool_]]] = {
    "vertical": vertical,
    "horizontal": horizontal,
    "blocks": blocks,
    "fine-grained": horizontal,
    "N:M": n_m,
    "mixed-length vectors": mixed,
    "vertical two levels": partial(two_level, kind="FFN2"),
    "horizontal two levels": partial(two_level, kind="Q"),
    "vertical lane select": partial(lane_select, kind="FFN2"),
    "horizontal lane select": partial(lane_select, kind="Q"),
}

_WIDE, _TALL = (768, 3072), (3072, 768)

CELLS = (
    Cell("blocks", 32, *_TALL, 128, 0.8, 1.4, 2.1),
    Cell("blocks", 32, *_WIDE, 128, 0.8, 1.4, 2.1),
    Cell("blocks", 32, *_TALL, 512, 0.8, 1.4, 2.1),
    Cell("vertical", 8, *_TALL, 128, 0.8, 1.3, 2.0),
    Cell("vertical", 16, *_TALL, 128, 0.8, 1.3, 2.0),
    Cell("vertical", 16, *_WIDE, 128, 0.8, 1.3, 2.0),
    Cell("vertical", 32, *_TALL, 128, 0.8, 1.3, 2.0),
    Cell("vertical", 64, *_TALL, 128, 0.8, 1.3, 2.0),
    Cell("vertical", 16, *_TALL, 512, 0.8, 1.3, 2.0),
    Cell("vertical", 16, *_TALL, 128, 0.9, 1.3, 2.0),
    Cell("vertical", 16, *_TALL, 128, 0.95, 1.05, 2.0),
    Cell("horizontal", 8, *_TALL, 128, 0.8, 1.15, 1.6),
    Cell("horizontal", 16, *_TALL, 128, 0.8, 1.15, 1.6),
    Cell("horizontal", 32, *_TALL, 128, 0.8, 1.15, 1.6),
    Cell("horizontal", 64, *_TALL, 128, 0.8, 1.15, 1.6),
    Cell("horizontal", 16, *_TALL, 128, 0.9, 1.0, 1.6),
    Cell("horizontal", 16, *_WIDE, 128, 0.8, 1.6, 2.3),
    Cell("horizontal", 16, *_TALL, 512, 0.8, 1.6, 2.3),
    Cell("fine-grained", 1, *_TALL, 128, 0.8, 0.8, 1.2),
    Cell("fine-grained", 1, *_TALL, 128, 0.9, 0.8, 1.2),
    Cell("fine-grained", 1, *_WIDE, 128, 0.8, 1.3, 1.8),
    Cell("fine-grained", 1, *_TALL, 512, 0.8, 1.3, 1.8),
    Cell("N:M", 4, *_TALL, 128, 0.5),
    Cell("mixed-length vectors", 1, *_TALL, 128, 0.8),
    Cell("vertical two levels", 16, *_TALL, 128, 0.8),
    Cell("horizontal two levels", 16, *_TALL, 128, 0.8),
    Cell("vertical lane select", 16, *_TALL, 128, 0.8),
    Cell("horizontal lane select", 16, *_TALL, 128, 0.8),
    Cell("blocks", 32, *_TALL, 16, 0.8, 1.6, 2.5),
    Cell("vertical", 16, *_TALL, 16, 0.8, 1.6, 2.5),
    Cell("horizontal", 16, *_TALL, 16, 0.8, 1.6, 2.5),
    Cell("fine-grained", 1, *_TALL, 16, 0.8, 0.9, 2.5),
    Cell("vertical", 16, *_TALL, 1, 0.8, 1.9, 2.9),
    Cell("horizontal", 16, *_TALL, 1, 0.8, 1.8, 2.9),
    Cell("fine-grained", 1, *_TALL, 1, 0.8),
)
"""What is asked of us, one thread, and seven cells of which nothing is asked."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A cell's operands: `dense` holds zeros where nothing is kept."""

    dense: Array
    weight: CSR
    x: Array
    out: Array

    @property
    def flops(self) -> int:
        """Multiplications and additions of kept weights."""
        return 2 * self.weight.nnz * self.x.shape[1]


def problem(cell: Cell, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    keep = PATTERNS[cell.pattern](rng, cell)
    dense = np.where(keep, rng.standard_normal(keep.shape, np.float32), np.float32(0))
    x = rng.standard_normal((cell.cols, cell.tokens), np.float32)
    out = np.empty((cell.rows, cell.tokens), np.float32)
    return Problem(dense, CSR.encode(keep, dense), x, out)
