"""Does the account of a run say what its masks keep, retain and cost?"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples, text_windows
from pruning.models.opening import OpenModel, assemble
from pruning.recipe import Recipe
from pruning.training.loop import train
from pruning.training.pruner import prepare
from pruning.training.settings import Training
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from tests.tiers import slow

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
TEXT = " ".join(f"w{(i * i + 3 * (i // 7)) % 44}" for i in range(400))
SHORT = Training(steps=12, batch=4, warmup=2, learning_rate=1e-2, initial_warmup=1, final_warmup=2)


def learner(model: Any, words: Any) -> tuple[OpenModel, Examples]:
    return assemble("tiny", "causal", model, words), text_windows(words, TEXT, 20, "causal")


def test_the_account_of_a_run(tiny: Tiny, words: Any) -> None:
    from pruning.training.account import account_of

    opened, examples = learner(tiny("gpt2"), words)
    rng = np.random.default_rng(0)
    dense = [np.abs(m.weight()).astype(np.float64) for m in opened.matrices]
    masks = MaskSet(
        tuple(
            MaskedMatrix(m.name, rng.permuted(np.arange(w.size) % 3 == 0).reshape(w.shape))
            for m, w in zip(opened.matrices, dense, strict=True)
        )
    )
    pruner = prepare(opened, Recipe("fine", 0.5), replace(SHORT, method="recovery"), masks)
    report = account_of(pruner, train(opened, pruner, examples))
    assert report["recipe"]["score"] == "recovery" and report["training"]["steps"] == 12
    assert len(report["losses"]) == len(report["densities"]) == 12
    kept, most = 0.0, 0.0
    for found, mask, weight in zip(report["matrices"], masks.matrices, dense, strict=True):
        best = np.sort(weight.ravel())[-mask.nnz :].sum()
        assert found["retention"] == pytest.approx(weight[mask.keep].sum() / best, rel=1e-5)
        assert found["density"] == mask.nnz / weight.size == pytest.approx(1 / 3, abs=1e-3)
        assert found["flops"] == 2 * mask.nnz
        # As a bitmap: a bit for each weight, 16 for each that is kept.
        assert found["bytes"] == -(-(weight.size + 16 * mask.nnz) // 8)
        kept += weight[mask.keep].sum() / weight.mean()
        most += best / weight.mean()
    assert report["total"]["retention"] == pytest.approx(kept / most, rel=1e-5)
    assert report["total"]["bytes"] == sum(m["bytes"] for m in report["matrices"])
    assert report["total"]["kept"] == sum(m.nnz for m in masks.matrices)


@pytest.mark.parametrize("method", ["movement", "gradual_magnitude", "l0", "head_gates"])
@pytest.mark.parametrize("lock", [True, *slow(False)])
def test_what_a_mask_retains_is_at_most_all(
    method: str, lock: bool, tiny: Tiny, words: Any
) -> None:
    opened, examples = learner(tiny("llama"), words)
    recipe = Recipe("vector:4", 0.75) if method != "head_gates" else Recipe("head", 0.5)
    pruner = prepare(opened, recipe, replace(SHORT, method=method, lock=lock))
    train(opened, pruner, examples)
    for kept, best in pruner.retained:
        assert 0 <= kept <= best * (1 + 1e-6)
    assert 0.3 < sum(k for k, _ in pruner.retained) / sum(b for _, b in pruner.retained) <= 1
