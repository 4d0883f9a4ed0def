"""Mixed-length vector pruning: keep aligned 1×L or L×1 vectors, each matrix in one orientation.

Three algorithms propose candidates (orientation, menu, vector cost); `vector_search` takes of each
matrix the most valuable one, and the vectors that fill the budget.

Source: TF-MVP (Yoo et al., DAC 2023) for the pattern; its selection rule is not public, the
algorithms are this project's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pruning.patterns.budget import check_budget, check_sparsity, kept_count, unit_mean
from pruning.patterns.fine_grained import best_weights
from pruning.patterns.mixed_vectors.candidates import Candidate
from pruning.patterns.mixed_vectors.dyadic import dyadic
from pruning.patterns.mixed_vectors.lagrangian import lagrangian
from pruning.patterns.mixed_vectors.search import Uncut, fill_budget
from pruning.patterns.mixed_vectors.threshold import threshold
from pruning.patterns.pattern import Break, Pattern, Pruned, Target
from pruning.patterns.tiles import broken_tile
from sparse_formats.errors import InputError, nearest
from sparse_formats.formats.registry import encode
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import MENU, VectorLayout, check_menu
from sparse_formats.storage import Storage

VECTOR_COST = 1.5
"""Default price of a vector, in kept weights.

Chosen: an index and a length code are 12 to 14 bits, 0.8 of a 16-bit weight, and issuing a vector
takes about the slot of one more. On MiniLM at 80 % it keeps as much importance as vectors of
length 4 throughout, in little more than half as many vectors (mean length 7).
"""

EPSILON = 0.15
"""Default loss of importance that algorithm A accepts (chosen)."""

Propose = Callable[
    [NDArray[np.float32], float, tuple[int, ...], float, float], tuple[Candidate, ...]
]
"""(scores, fine-grained density, menu, vector cost, epsilon) → the candidates of one matrix."""

ALGORITHMS: Mapping[str, Propose] = {"A": threshold, "B": lagrangian, "C": dyadic}

LONGEST = 1 << 16
"""The longest vector on offer; no axis of a transformer comes near it (chosen)."""


@dataclass(frozen=True)
class MixedVectors(Pattern):
    """Aligned vectors of the lengths in `menu`, all of a matrix in one orientation.

    The knobs are those of `cut`.
    """

    menu: tuple[int, ...] = MENU
    vector_cost: float = VECTOR_COST
    algorithm: str = "C"
    epsilon: float = EPSILON

    knobs: ClassVar = ("menu", "vector_cost", "algorithm", "epsilon")

    def __post_init__(self) -> None:
        object.__setattr__(self, "menu", check_lengths(self.menu))
        check_knobs(self.algorithm, self.vector_cost, self.epsilon)

    def masks(self, targets: Sequence[Target], kept: int) -> list[Pruned]:
        """See `cut`."""
        scores = [t.scores for t in targets]
        return cut(scores, kept, self.menu, self.vector_cost, self.algorithm, self.epsilon)

    def conforms(self, matrices: Sequence[MaskedMatrix]) -> Break | None:
        """The first shortest vector that is kept in part, in the orientation with fewer of them.

        Any mask is made of vectors of length 1.
        """
        for matrix in matrices:
            found = in_either_orientation(matrix, self.menu[0])
            if found is not None:
                return found
        return None

    def storage(self, matrix: MaskedMatrix, value_bits: int) -> Storage:
        """In the format mixed_vectors."""
        return encode(matrix, "mixed_vectors").storage(value_bits)


def in_either_orientation(matrix: MaskedMatrix, length: int) -> Break | None:
    """None if the mask is made of aligned 1×L or of L×1 vectors, else where it comes furthest."""
    breaks = [broken_tile(matrix, tile) for tile in ((1, length), (length, 1))]
    found = [b for b in breaks if b is not None]
    return max(found, key=lambda b: (b.row, b.col)) if len(found) == len(breaks) else None


def mixed_vectors(
    scores: Sequence[NDArray[np.float32]],
    sparsity: float,
    menu: tuple[int, ...] = MENU,
    vector_cost: float = VECTOR_COST,
    algorithm: str = "C",
    budget: str = "matrix",
    epsilon: float = EPSILON,
) -> list[VectorLayout]:
    """Cut each matrix into the vectors worth keeping; one layout a matrix.

    scores: importance ≥ 0 per matrix, float32 (out, in). sparsity: fraction to remove, of each
    matrix (`budget` "matrix") or of all together ("global", scores brought to unit mean first).
    menu: vector lengths, each dividing the next. vector_cost ≥ 0: see `Candidate`. epsilon in
    [0, 1]: algorithm A only.

    Kept weights miss round((1 − sparsity)·N) by less than one vector; with length 1 in the menu
    algorithm C meets it exactly.

    Raises:
        InputError: a knob out of its range.
    """
    check_sparsity(sparsity)
    knobs = menu, vector_cost, algorithm, epsilon
    if check_budget(budget) == "matrix":
        found = [cut([s], kept_count(s.size, sparsity), *knobs)[0] for s in scores]
    else:
        kept = kept_count(sum(s.size for s in scores), sparsity)
        found = cut([unit_mean(s) for s in scores], kept, *knobs)
    return [pruned.layout for pruned in found if pruned.layout is not None]


def cut(
    scores: Sequence[NDArray[np.float32]],
    kept: int,
    menu: tuple[int, ...] = MENU,
    vector_cost: float = VECTOR_COST,
    algorithm: str = "C",
    epsilon: float = EPSILON,
) -> list[Pruned]:
    """The vectors worth keeping of matrices that share `kept` weights; see `mixed_vectors`."""
    lengths = check_lengths(menu)
    propose = check_knobs(algorithm, vector_cost, epsilon)
    # Only algorithm A asks what fine-grained pruning would keep of each; it takes seconds.
    fine = best_weights(scores, kept) if algorithm == "A" and len(scores) > 1 else []
    densities = [float(m.mean()) if m.size else 0.0 for m in fine]
    densities = densities or [kept / s.size if s.size else 0.0 for s in scores]
    matrices = [
        Uncut(s, propose(s, p, lengths, vector_cost, epsilon))
        for s, p in zip(scores, densities, strict=True)
    ]
    return fill_budget(matrices, kept)


def check_lengths(menu: tuple[int, ...]) -> tuple[int, ...]:
    """`menu` sorted; InputError unless each length divides the next and none is above `LONGEST`."""
    lengths = check_menu(menu)
    if lengths[-1] > LONGEST:
        raise InputError(f"vector length {lengths[-1]}: give lengths up to {LONGEST}, e.g. 1,4,8")
    return lengths


def check_knobs(algorithm: str, vector_cost: float, epsilon: float) -> Propose:
    """The algorithm of that name; InputError if there is none or a knob is out of its range."""
    if algorithm not in ALGORITHMS:
        raise InputError(f"unknown algorithm {algorithm!r}{nearest(algorithm, ALGORITHMS)}")
    if not 0 <= vector_cost < float("inf"):
        raise InputError(f"vector cost {vector_cost:g}: give a number of kept weights, 0 or more")
    if not 0 <= epsilon <= 1:
        raise InputError(f"epsilon {epsilon:g}: give the accepted loss, from 0 to 1, e.g. 0.15")
    return ALGORITHMS[algorithm]
