"""Vector-wise: exactly K kept of every L neighbouring inputs."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.n_of_m_groups import NOfMGroups


@dataclass(frozen=True, eq=False)
class VectorWise(NOfMGroups):
    """Vectors of L inputs that all keep K, so that every one takes the same time.

    Only the last vector of a row, where it is shorter than L, may keep fewer (`n_of_m_groups`).
    Source: Zhu et al., Sparse Tensor Core (MICRO 2019): fixed K in every vector; L = 16 with an
    index of ⌈log2 L⌉ bits is our choice.
    """

    is_exact = True

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        kept: int | None = None,
        length: int = 16,
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        kept: K; None takes what the first vector keeps.

        Raises:
            InputError: a vector keeps more or fewer than K.
        """
        if kept is None:
            kept = int(np.count_nonzero(keep[:1, : max(length, 0)]))
        return cls._encode(keep, weight, kept, length)
