"""N:M: at most N kept of every M neighbouring inputs."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sparse_formats.formats.n_of_m_groups import NOfMGroups


@dataclass(frozen=True, eq=False)
class NM(NOfMGroups):
    """Groups of M inputs with N slots each, unused slots filled up (`n_of_m_groups`).

    N counts the kept (NVIDIA's convention). 2:4 takes two 2-bit indices a group, as Ampere's
    sparse tensor cores do; whether unused slots are marked as here is not published.
    """

    is_exact = False

    @classmethod
    def encode(
        cls,
        keep: NDArray[np.bool_],
        weight: NDArray[Any] | None = None,
        kept: int = 2,
        length: int = 4,
    ) -> Self:
        """Encode mask `keep` (bool, out × in) and `weight` of the same shape.

        Raises:
            InputError: a group keeps more than `kept` (or, for one slot, none).
        """
        return cls._encode(keep, weight, kept, length)
