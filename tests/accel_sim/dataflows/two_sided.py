"""Small products with zeros on both sides, for machines that use both."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

_DENSITIES = st.sampled_from([0.0, 0.1, 0.4, 0.8, 1.0])


@dataclass(frozen=True, eq=False)
class Drawn:
    """keep: bool (outputs, inputs). nonzero: bool (tokens, inputs)."""

    keep: NDArray[np.bool_]
    nonzero: NDArray[np.bool_]

    @property
    def tokens(self) -> int:
        return len(self.nonzero)

    @property
    def given(self) -> NDArray[np.bool_] | None:
        """As a dataflow is given it: None where no activation is zero."""
        return None if self.nonzero.all() else self.nonzero

    @property
    def nnz(self) -> int:
        return int(self.keep.sum())


@st.composite
def two_sided(draw: Any, outputs: int, inputs: int, tokens: int) -> Drawn:
    """A product of up to so many outputs, inputs and tokens, each at least 1."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    rows, columns, lines = (draw(st.integers(1, most)) for most in (outputs, inputs, tokens))
    return Drawn(
        rng.random((rows, columns)) < draw(_DENSITIES),
        rng.random((lines, columns)) < draw(_DENSITIES),
    )
