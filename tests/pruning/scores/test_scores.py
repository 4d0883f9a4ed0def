"""Is every score what it says, against the layer's own loss or output error?"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pruning.scores import SCORES, importance
from pruning.statistics.hessian import damped, inverse, inverse_factor, regular
from pruning.statistics.matrix_statistics import Statistics, generator
from sparse_formats.errors import InputError

ROWS, COLS, TOKENS = 3, 6, 40


@pytest.fixture
def layer() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A weight (out, in) and correlated inputs (in, tokens)."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((COLS, COLS))
    return rng.standard_normal((ROWS, COLS)), mixing @ rng.standard_normal((COLS, TOKENS))


def statistics_of(weight: NDArray[np.float64], inputs: NDArray[np.float64]) -> Statistics:
    """All statistics, of the loss ½‖Wx − t‖² with random targets, one batch a token."""
    targets = np.random.default_rng(1).standard_normal((len(weight), inputs.shape[1]))
    residual = weight @ inputs - targets
    each = residual[:, None, :] * inputs[None, :, :]
    return Statistics(
        weight,
        generator("a", 0),
        gradient=each.mean(axis=2).astype(np.float32),
        squared_gradient=np.square(each).mean(axis=2).astype(np.float32),
        gram=inputs @ inputs.T,
        input_squares=np.square(inputs).sum(axis=1),
        tokens=inputs.shape[1],
    )


def least_error(
    row: NDArray[np.float64], inputs: NDArray[np.float64], free: NDArray[np.intp], gone: int
) -> float:
    """Output error of a row without weight `gone`, the weights `free` set by least squares."""
    missing = row[gone] * inputs[gone]
    if not len(free):
        return float(missing @ missing)
    update = np.linalg.lstsq(inputs[free].T, missing, rcond=None)[0]
    return float(np.square(missing - update @ inputs[free]).sum())


def test_obs_is_the_error_left_after_the_best_update_of_all_others(
    layer: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    weight, inputs = layer
    found = importance("a", statistics_of(weight, inputs), "obs")
    for i, j in np.ndindex(ROWS, COLS):
        others = np.delete(np.arange(COLS), j)
        assert found[i, j] == pytest.approx(least_error(weight[i], inputs, others, j), rel=1e-5)


def test_sparsegpt_is_the_error_left_after_the_best_update_of_the_weights_behind(
    layer: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    weight, inputs = layer
    found = importance("a", statistics_of(weight, inputs), "sparsegpt")
    # The damping is as if each input had also appeared alone, with this size.
    size = np.sqrt(0.01 * np.square(inputs).sum(axis=1).mean())
    seen = np.hstack([inputs, size * np.eye(COLS)])
    for i, j in np.ndindex(ROWS, COLS):
        behind = np.arange(j + 1, COLS)
        assert found[i, j] == pytest.approx(least_error(weight[i], seen, behind, j), rel=1e-5)


def test_wanda_is_the_error_left_without_any_update(
    layer: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    weight, inputs = layer
    found = importance("a", statistics_of(weight, inputs), "wanda")
    for i, j in np.ndindex(ROWS, COLS):
        error = least_error(weight[i], inputs, np.array([], np.intp), j)
        assert found[i, j] == pytest.approx(np.sqrt(error), rel=1e-6)


def test_gradient_scores_follow_the_loss(
    layer: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    weight, inputs = layer
    known = statistics_of(weight, inputs)
    targets = np.random.default_rng(1).standard_normal((ROWS, TOKENS))

    def losses(w: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.5 * np.square(w @ inputs - targets).sum(axis=0)

    step = 1e-6
    first, second = importance("a", known, "first_order"), importance("a", known, "fisher")
    for i, j in np.ndindex(ROWS, COLS):
        less = weight.copy()
        less[i, j] *= 1 - step
        # (loss with w) − (loss with w(1 − step)) over step is w·∂Loss/∂w.
        slope = (losses(weight) - losses(less)) / step
        assert first[i, j] == pytest.approx(abs(slope.mean()), rel=1e-3, abs=1e-4)
        assert second[i, j] == pytest.approx(0.5 * np.square(slope).mean(), rel=1e-3)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_are_importances_of_the_weight_s_shape(
    layer: tuple[NDArray[np.float64], NDArray[np.float64]], score: str, dtype: type
) -> None:
    weight, inputs = layer
    known = statistics_of(weight, inputs)
    known = Statistics(
        weight.astype(dtype),
        known.rng,
        known.gradient,
        known.squared_gradient,
        known.gram,
        known.input_squares,
    )
    found = importance("a", known, score)
    assert found.shape == weight.shape and found.dtype == np.float32
    assert (found >= 0).all() and found.any()
    assert np.array_equal(known.weight, weight.astype(dtype))


@pytest.mark.parametrize("score", [name for name, s in SCORES.items() if s.needs])
def test_a_missing_statistic_says_how_to_get_it(score: str) -> None:
    known = Statistics(np.ones((2, 2)), generator("a", 0))
    with pytest.raises(InputError, match=r"matrix a.*calibrate.*as statistics"):
        importance("a", known, score)


def test_weights_beyond_float32_are_refused() -> None:
    known = Statistics(np.full((2, 2), 1e300), generator("a", 0))
    with pytest.raises(InputError, match="matrix a: weights or their magnitude exceed"):
        importance("a", known, "magnitude")


@pytest.mark.parametrize("fit", [damped, regular])
@pytest.mark.parametrize("tokens", [3, 40])
def test_a_singular_curvature_is_made_invertible(
    fit: Callable[[NDArray[np.float64]], NDArray[np.float64]], tokens: int
) -> None:
    inputs = np.random.default_rng(0).standard_normal((8, tokens))
    inputs[5] = 0  # an input that was never active
    h = fit(inputs @ inputs.T)
    np.testing.assert_allclose(inverse(h) @ h, np.eye(8), atol=1e-8)
    u = inverse_factor(h)
    assert np.array_equal(u, np.triu(u))
    np.testing.assert_allclose(u.T @ u @ h, np.eye(8), atol=1e-8)


def test_a_regular_curvature_is_not_touched() -> None:
    inputs = np.random.default_rng(0).standard_normal((8, 40))
    assert regular(inputs @ inputs.T) is not None
    np.testing.assert_array_equal(regular(inputs @ inputs.T), inputs @ inputs.T)
