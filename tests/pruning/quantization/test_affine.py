"""Are numbers rounded to 8 bits as the definition says, and do gradients pass?"""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pruning.quantization.affine import (
    INPUT,
    WEIGHT,
    Affine,
    dequantised,
    input_affine,
    quantised,
    rounded,
    weight_affine,
)
from pruning.quantization.ranges import Range
from sparse_formats.errors import InputError

torch = pytest.importorskip("torch")


def test_weights_by_hand() -> None:
    # max|w| = 2.54, so s = 0.02: ties to even, and the sign of the largest does not matter.
    weight = torch.tensor([-2.54, 0.0, 0.031, -0.029, 1.26], dtype=torch.float64)
    affine = weight_affine(weight)
    assert affine.zero_point == 0
    assert affine.scale == float(np.float32(0.02))
    assert quantised(weight, affine, WEIGHT).tolist() == [-127, 0, 2, -1, 63]
    halves = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5])
    assert quantised(halves, Affine(1.0), WEIGHT).tolist() == [0, 2, 2, 0, -2]
    assert weight_affine(torch.zeros(3)) == Affine(1.0)


def test_inputs_by_hand() -> None:
    # −1 … 4.1 is 255 steps of 0.02; 0 is step 50.
    affine = input_affine(-1.0, 4.1)
    assert affine.scale == pytest.approx(0.02) and affine.zero_point == 50
    x = torch.tensor([-1.0, 0.0, 0.049, 4.1, 9.0, -9.0], dtype=torch.float64)
    assert quantised(x, affine, INPUT).tolist() == [0, 50, 52, 255, 255, 0]
    assert input_affine(0.0, 0.0) == Affine(1.0, 0)
    # What lies on one side of 0 is widened to it.
    assert input_affine(2.0, 5.1) == input_affine(0.0, 5.1)
    assert input_affine(-5.1, -2.0) == input_affine(-5.1, 0.0)
    assert input_affine(-5.1, -2.0).zero_point == 255
    for low, high in ((-math.inf, 1.0), (0.0, math.nan)):
        with pytest.raises(InputError, match="cannot be written as 8-bit numbers"):
            input_affine(low, high)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
@example(0.0, 3.014641154883656e-42)
def test_zero_is_exact_and_nothing_is_further_than_half_a_step(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    affine = input_affine(low, high)
    x = torch.linspace(min(low, 0.0), max(high, 0.0), 50, dtype=torch.float64)
    back = dequantised(quantised(x, affine, INPUT), affine)
    # At the ends the zero point, which is whole, may cost another half.
    assert float((back - x).abs().max()) <= 1.001 * affine.scale
    inner = (back > back.min()) & (back < back.max())
    assert bool(((back - x).abs()[inner] <= 0.5001 * affine.scale).all())
    nothing = torch.zeros(1)
    assert float(dequantised(quantised(nothing, affine, INPUT), affine)) == 0


def test_gradients_pass_where_nothing_is_cut() -> None:
    affine = Affine(0.1, 10)  # −1 … 24.5
    x = torch.tensor([-5.0, -1.0, 0.03, 0.0, 24.5, 25.0], requires_grad=True)
    y = rounded(x, affine, INPUT)
    assert y.tolist() == pytest.approx([-1.0, -1.0, 0.0, 0.0, 24.5, 24.5])
    (y * torch.arange(1.0, 7.0)).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0, 2, 3, 4, 5, 0]


def test_ranges_by_hand() -> None:
    seen = Range()
    with pytest.raises(InputError, match="matrix m was not used"):
        seen.affine("m")
    for values, (low, high) in (
        ([-1.0, 3.0], (-1.0, 3.0)),  # the first is taken whole
        ([1.0, 5.0], (-0.98, 3.02)),  # then a hundredth of the way
        ([-2.98, 3.02], (-1.0, 3.02)),
    ):
        seen.follow(torch.tensor(values))
        assert (seen.low, seen.high) == pytest.approx((low, high))
    seen.widen(torch.tensor([0.0, 7.0]))
    assert (seen.low, seen.high) == pytest.approx((-1.0, 7.0))
    with pytest.raises(InputError, match=r"matrix m: .* diverged"):
        Range(-1.0, math.inf).affine("m")
