"""One way to cut a matrix into vectors: an orientation, the lengths on offer, a price a vector."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sparse_formats.masks.vectors import Orientation


@dataclass(frozen=True)
class Candidate:
    """An orientation, its menu (ascending, each dividing the next) and its vector cost.

    vector_cost: what a kept vector costs beyond its weights, in kept weights at the margin: with
    τ the price of a kept weight, a vector of importance S and length L pays if S > τ(L + cost).
    """

    orientation: Orientation
    menu: tuple[int, ...]
    vector_cost: float


class Knobs(Protocol):
    """What the algorithms that propose candidates are told, besides the scores.

    menu: the lengths on offer, ascending. epsilon: of algorithm A, the accepted loss, 0 to 1.
    """

    @property
    def menu(self) -> tuple[int, ...]: ...

    @property
    def vector_cost(self) -> float: ...

    @property
    def epsilon(self) -> float: ...


Propose = Callable[
    [NDArray[np.float32], float, Knobs, Sequence[Orientation]], tuple[Candidate, ...]
]
"""(scores, fine-grained density, knobs, orientations allowed) → the candidates of one matrix."""


def lines_of(scores: NDArray[Any], orientation: Orientation) -> NDArray[Any]:
    """`scores` with the orientation's lines as C-contiguous rows."""
    return np.ascontiguousarray(scores if orientation == "horizontal" else scores.T)
