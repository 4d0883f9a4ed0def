"""Pruning what is sparse already, and units so large that the last one is at stake."""

from typing import Any

import numpy as np
import pytest

from pruning.pipeline import prune
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet

RNG = np.random.default_rng(0)


def sparse(share: float) -> Any:
    weight = RNG.standard_normal((20, 50)).astype(np.float32)
    weight[RNG.random(weight.shape) < share] = 0
    return weight


@pytest.mark.parametrize("score", ["magnitude", "random"])
@pytest.mark.parametrize("pattern", ["fine", "mvp"])
def test_are_zeros_not_kept_before_others(score: str, pattern: str) -> None:
    weight = sparse(0.8)
    found = prune({"q": weight}, pattern=pattern, sparsity=0.5, score=score)
    (matrix,) = found.masks.matrices
    assert matrix.nnz <= np.count_nonzero(weight)
    if pattern == "fine":
        assert (matrix.keep == (weight != 0)).all()
    assert any("that are not zero or dropped" in note for note in found.notes)


def test_is_the_budget_kept_where_there_is_enough_to_keep() -> None:
    weight = sparse(0.3)
    found = prune({"q": weight}, pattern="fine", sparsity=0.5, score="random")
    (matrix,) = found.masks.matrices
    assert matrix.nnz == 500 and (weight[matrix.keep] != 0).all() and not found.notes


def test_are_zeros_in_whole_rows_told() -> None:
    found = prune({"q": sparse(0.8)}, pattern="row", sparsity=0.5)
    assert found.total.kept == 500
    assert any("the model is sparse already" in note for note in found.notes)


def test_are_a_few_zeros_of_a_dense_model_nothing_to_tell() -> None:
    found = prune({"q": sparse(0.01)}, pattern="row", sparsity=0.5)
    assert found.total.kept == 500 and not found.notes


@pytest.mark.parametrize(
    ("pattern", "shape"), [("row", (1, 64)), ("column", (64, 1)), ("block:32", (7, 3))]
)
def test_does_the_last_unit_stay(pattern: str, shape: tuple[int, int]) -> None:
    weight = np.ones(shape, np.float32)
    found = prune({"q": weight}, pattern=pattern, sparsity=0.05)
    assert found.total.kept == weight.size
    (note,) = found.notes
    asked = round(0.95 * weight.size)
    assert note.startswith(f"asked to keep {asked} of {weight.size} weights and kept {weight.size}")
    assert prune({"q": weight}, pattern=pattern, sparsity=1).total.kept == 0


def test_does_the_one_head_of_multi_query_attention_stay() -> None:
    """Four query heads share one key-value head: all of them are one unit."""
    shapes = {"q_proj": (32, 32), "k_proj": (8, 32), "v_proj": (8, 32), "o_proj": (32, 32)}
    masks = MaskSet(
        tuple(
            MaskedMatrix(f"l.0.self_attn.{name}.weight", np.ones(shape, np.bool_))
            for name, shape in shapes.items()
        )
    )
    found = prune(masks, pattern="head", heads=4, key_value_heads=1, sparsity=0.05)
    size = sum(rows * cols for rows, cols in shapes.values())
    assert found.total.kept == size
    assert any(f"kept {size}, because the units of pattern head" in n for n in found.notes)
