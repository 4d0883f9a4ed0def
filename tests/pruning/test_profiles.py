"""Is sparsity spread over layers as listed, or by their outliers, one-shot and in training?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pruning.patterns.pattern import Target
from pruning.pipeline import prune
from pruning.profiles import layer_sparsities
from pruning.recipe import Recipe, checked
from sparse_formats.errors import InputError, SettingError


def weights(layers: int = 3, side: int = 40) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    names = [f"layers.{i}.mlp.{part}_proj.weight" for i in range(layers) for part in ("up", "down")]
    return {name: rng.standard_normal((side, side)).astype(np.float32) for name in names}


def by_layer(masks: Any) -> list[float]:
    found: dict[str, list[float]] = {}
    for matrix in masks.matrices:
        found.setdefault(matrix.name.split(".")[1], []).append(1 - matrix.density)
    return [float(np.mean(part)) for part in found.values()]


@pytest.mark.parametrize("pattern", ["fine", "vector:4", "mvp"])
def test_each_layer_has_the_sparsity_that_is_listed(pattern: str) -> None:
    found = prune(weights(), pattern=pattern, profile="0.5,0.75,0.9")
    assert by_layer(found.masks) == pytest.approx([0.5, 0.75, 0.9], abs=0.01)
    assert found.recipe.sparsity == pytest.approx((0.5 + 0.75 + 0.9) / 3)


def test_outliers_by_hand() -> None:
    # Of 100 equal importances 0, 4 and 2 are outliers, 10 times the others; mean sparsity 0.7.
    targets = []
    for layer, outliers in enumerate((0, 4, 2)):
        scores = np.ones((10, 10), np.float32)
        scores.flat[:outliers] = 10
        targets.append(Target(f"layers.{layer}.mlp.up_proj.weight", "up", scores))
    found = layer_sparsities("owl", targets, 0.7)
    # D is 0, 0.04 and 0.02, the mean 0.02 and the width 0.04: 0.08 more, 0.08 less, the mean.
    assert found == pytest.approx({0: 0.78, 1: 0.62, 2: 0.70})


def test_owl_keeps_more_where_outliers_are_and_the_mean_stays() -> None:
    arrays = weights()
    arrays["layers.1.mlp.up_proj.weight"][:, :2] *= 30
    found = by_layer(prune(arrays, pattern="fine", profile="owl", sparsity=0.7).masks)
    assert np.mean(found) == pytest.approx(0.7, abs=0.005)
    assert found[1] < 0.65 < 0.7 < min(found[0], found[2])


def test_profiles_that_cannot_be() -> None:
    for settings, says in [
        ({"profile": "half"}, "profile is 'half'; give uniform, owl"),
        ({"profile": "0.5,1.5,0.5"}, "a sparsity from 0 to 1"),
        ({"profile": "0.5,0.6"}, "lists 2 sparsities, but the matrices are in 3 layers"),
        ({"profile": "owl", "budget": "global"}, "with budget global layers share"),
        ({"profile": "0.5,0.6,0.7", "sparsity": 0.8}, "sparsity is 0.8, but the profile lists"),
    ]:
        with pytest.raises(SettingError) as refused:
            prune(weights(), pattern="fine", **settings)
        assert says in str(refused.value)
    again = checked(checked(Recipe(pattern="fine", profile="0.5,0.6")))
    assert again.sparsity == pytest.approx(0.55)


@pytest.mark.parametrize("method", ["movement", "gradual_magnitude"])
def test_training_reaches_the_sparsity_of_each_layer(
    method: str, tiny: Callable[..., Any], words: Any
) -> None:
    pytest.importorskip("torch")
    from pruning.data.examples import text_windows
    from pruning.models.opening import assemble
    from pruning.training.loop import train
    from pruning.training.pruner import prepare
    from pruning.training.settings import Training

    opened = assemble("tiny", "causal", tiny("llama"), words)
    text = " ".join(f"w{i * i % 43}" for i in range(200))
    recipe = Recipe(pattern="fine", profile="0.5,0.9")
    training = Training(method=method, steps=10, batch=2, learning_rate=1e-3)
    pruner = prepare(opened, recipe, training)
    run = train(opened, pruner, text_windows(words, text, 16, "causal"))
    for matrix in run.masks.matrices:
        wanted = 0.5 if ".0." in matrix.name else 0.1
        assert matrix.density == pytest.approx(wanted, abs=0.01)
    with pytest.raises(InputError, match="method l0 does not choose masks layer by layer"):
        prepare(opened, recipe, Training(method="l0"))
