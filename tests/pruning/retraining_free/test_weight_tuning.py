"""Is the tuned projection the least-squares solution, with the errors of a forward pass?"""

from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples
from pruning.retraining_free.partial_run import batches_of, run
from pruning.retraining_free.weight_tuning import (
    LEAST_RIDGE,
    Normal,
    normal_equations,
    remove,
    solve,
    tune,
)

torch = pytest.importorskip("torch")


def gathered(encoder: Any, batches: Any, sublayer: Any, keep: Any) -> tuple[Any, Any]:
    """Kept features and residual sums of all tokens, as float64 arrays."""
    features, sums = [], []
    columns = np.flatnonzero(np.repeat(keep, sublayer.width))
    for batch in batches:
        with torch.no_grad():
            seen = run(encoder, batch, sublayer.layer, sublayer.layer + 1, watched=[sublayer])
        features.append(batch.rows_of(seen.features[0])[:, columns])
        sums.append(batch.rows_of(seen.sums[0]))
    return torch.cat(features).double().numpy(), torch.cat(sums).double().numpy()


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("ridge", [1e-9, 1e-2])
def test_is_it_the_least_squares_solution(
    number: int, ridge: float, encoder: Any, examples: Examples
) -> None:
    tiny = encoder("bert")
    batches = batches_of(examples)
    sublayer = tiny.sublayers[number]
    keep = np.arange(sublayer.count) % 2 == 0
    _, dense = gathered(tiny, batches, sublayer, keep)
    wanted = []
    for batch in batches:
        with torch.no_grad():
            wanted.append(batch.rows_of(run(tiny, batch, 0, 1, watched=[sublayer]).sums[0]))
    remove(sublayer, keep)
    features, before = gathered(tiny, batches, sublayer, keep)
    old = sublayer.out.view.clone()
    tuned = tune(sublayer, keep, normal_equations(tiny, batches, sublayer, keep, wanted), ridge)
    # By hand: rows √(λ·mean)·I below the features hold the change near zero.
    height = np.sqrt(ridge * np.square(features).sum(0).mean())
    rows = np.vstack([features, height * np.eye(features.shape[1])])
    targets = np.vstack([dense - before, np.zeros((features.shape[1], 32))])
    change = np.linalg.lstsq(rows, targets, rcond=None)[0].T
    columns = np.flatnonzero(np.repeat(keep, sublayer.width))
    found = (sublayer.out.view - old).numpy()
    np.testing.assert_allclose(found[:, columns], change, atol=2e-4 * np.abs(change).max())
    assert not np.delete(found, columns, 1).any()
    # And the errors are those of the model as it is now.
    size = np.square(dense - dense.mean()).sum()
    _, after = gathered(tiny, batches, sublayer, keep)
    assert tuned.error_before == pytest.approx(np.square(dense - before).sum() / size, rel=1e-4)
    assert tuned.error_after == pytest.approx(np.square(dense - after).sum() / size, rel=1e-3)
    assert tuned.error_after < tuned.error_before


def test_does_a_feature_that_never_fires_keep_its_column() -> None:
    gram = np.diag([4.0, 0.0])
    change = solve(Normal(gram, np.array([[2.0], [0.0]]), 1.0, 1.0), 1e-3)
    # Mean diagonal 2: (4 + .002)·Δ = 2.
    np.testing.assert_allclose(change, [[2 / 4.002], [0.0]])
    assert not solve(Normal(np.zeros((3, 3)), np.zeros((3, 2)), 1.0, 1.0), 1e-3).any()
    assert solve(Normal(np.zeros((0, 0)), np.zeros((0, 2)), 1.0, 1.0), 1e-3).shape == (0, 2)


def test_does_the_least_ridge_tell_equal_features_apart() -> None:
    # 1000 features that are one, and what is wanted is that one: each takes a thousandth.
    rng = np.random.default_rng(0)
    feature = rng.standard_normal(5000)
    gram, cross = np.full((1000, 1000), feature @ feature), np.full((1000, 1), feature @ feature)
    change = solve(Normal(gram, cross, 1.0, 1.0), LEAST_RIDGE)
    np.testing.assert_allclose(change, 1e-3, rtol=1e-3)
