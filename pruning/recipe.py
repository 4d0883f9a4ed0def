"""The recipe: every knob of a pruning run, as it was resolved."""

from dataclasses import dataclass

from sparse_formats.vectors import MENU

VECTOR_COST = 1.5
"""Default price of a vector, in kept weights.

Chosen: an index and a length code are 12 to 14 bits, 0.8 of a 16-bit weight, and issuing a vector
takes about the slot of one more. On MiniLM at 80 % it keeps as much importance as vectors of
length 4 throughout, in little more than half as many vectors (mean length 7).
"""

EPSILON = 0.15
"""Default loss of importance that algorithm A accepts (chosen)."""


@dataclass(frozen=True)
class Recipe:
    """How a model is pruned.

    method: a key of `methods.METHODS`. sparsity: fraction to remove. score: a key of
    `scores.SCORES`, or where else the importance came from. seed: of the random numbers, if the
    score draws any. The other knobs are those of `patterns.mixed_vectors.mixed_vectors`.
    """

    method: str = "mvp"
    sparsity: float = 0.8
    score: str = "magnitude"
    seed: int = 0
    budget: str = "matrix"
    algorithm: str = "C"
    menu: tuple[int, ...] = MENU
    vector_cost: float = VECTOR_COST
    epsilon: float = EPSILON
