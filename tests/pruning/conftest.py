"""Planted matrices: log-normal importance with known structure, the score model of the design."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Planted = Callable[..., NDArray[np.float32]]


@pytest.fixture
def planted() -> Planted:
    """(seed, shape, row=, col=, head=) → scores exp(√row·f_i + √col·g_j + √rest·noise).

    head: share of a factor per column and 64-row head instead of per whole column.
    """

    def scores(
        seed: int,
        shape: tuple[int, int] = (768, 768),
        row: float = 0.0,
        col: float = 0.0,
        head: float = 0.0,
    ) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        rows, cols = shape
        logs = np.sqrt(1 - row - col - head) * rng.standard_normal(shape)
        logs += np.sqrt(row) * rng.standard_normal((rows, 1))
        logs += np.sqrt(col) * rng.standard_normal((1, cols))
        if head:
            per_head = rng.standard_normal((-(-rows // 64), cols))
            logs += np.sqrt(head) * np.repeat(per_head, 64, axis=0)[:rows]
        return np.exp(logs).astype(np.float32)

    return scores
