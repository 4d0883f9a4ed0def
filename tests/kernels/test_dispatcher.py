"""Is a mask cut along what it is made of, and left in single weights where nothing is gained?"""

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.dispatcher import Batch, choose

BATCHES: tuple[Batch, ...] = ("one", "few", "many")


def upright() -> NDArray[np.bool_]:
    """Aligned vertical vectors of 16, a fifth of them kept."""
    return np.repeat(np.random.default_rng(0).random((16, 256)) < 0.2, 16, axis=0)


@pytest.mark.parametrize("batch", BATCHES)
def test_are_vertical_vectors_cut_into_strips(batch: Batch) -> None:
    cut = choose(upright(), batch, 64)
    assert cut.height
    assert not cut.length


# For many tokens single weights that read from the first cache are as fast as segments.
@pytest.mark.parametrize("batch", ["one", "few"])
def test_are_horizontal_vectors_cut_into_segments(batch: Batch) -> None:
    cut = choose(np.ascontiguousarray(upright().T), batch, 64)
    assert cut.length
    assert not cut.height


@pytest.mark.parametrize("batch", BATCHES)
def test_are_scattered_weights_left_single(batch: Batch) -> None:
    keep = np.random.default_rng(1).random((256, 256)) < 0.02
    assert choose(keep, batch, 64).has_rows_only


@pytest.mark.parametrize("batch", ["few", "many"])
@pytest.mark.parametrize("is_upright", [True, False])
def test_is_one_piece_not_worth_a_loop_over_all_outputs(batch: Batch, is_upright: bool) -> None:
    # Looking for strips (or segments) everywhere costs more than the one that is there saves.
    keep = np.zeros((256, 256), np.bool_)
    keep[:4, 0] = True
    assert choose(keep if is_upright else np.ascontiguousarray(keep.T), batch, 64).has_rows_only
