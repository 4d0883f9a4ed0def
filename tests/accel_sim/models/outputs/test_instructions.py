"""What the vector unit computes, on numbers whose sums depend on their order."""

import numpy as np
import pytest

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.inputs.datatypes import DATATYPES
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.models.outputs.instructions import VectorUnit
from accel_sim.models.outputs.masked_model import unit_roundoff
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix

BIG = np.float32(2**24)
"""BIG + 1 is BIG in FP32."""


def unit(lanes: int) -> VectorUnit:
    return VectorUnit(DATATYPES["bf16"], lanes)


@pytest.mark.parametrize(
    ("lanes", "row", "expected"),
    [
        # One lane: from left to right.
        (1, [1, BIG, -BIG, 1], 1),
        # Lane 0 has 1 and −BIG, lane 1 has BIG and 1: −BIG + 1 = −(BIG − 1), BIG + 1 = BIG.
        (2, [1, BIG, -BIG, 1], 1),
        # Lane 0 has BIG and −BIG, lane 1 has 1 and 1.
        (2, [BIG, 1, -BIG, 1], 2),
        # A tree of neighbours: (1 + BIG) + (−BIG + 1) = BIG − (BIG − 1).
        (4, [1, BIG, -BIG, 1], 1),
        # (BIG − BIG) + (1 + 1), and the row is shorter than the lanes.
        (8, [BIG, -BIG, 1, 1], 2),
        # Three lanes: 1 − BIG, BIG, 1; ((1 − BIG) + BIG) + 1.
        (3, [1, BIG, 1, -BIG], 2),
    ],
)
def test_lanes_add_and_then_a_tree_of_neighbours(
    lanes: int, row: list[float], expected: float
) -> None:
    assert unit(lanes).sums(np.array([row, row], np.float32)).tolist() == [expected] * 2


def test_every_instruction_writes_operands() -> None:
    """In FP8, whose numbers from 16 to 32 are even."""
    fp8 = VectorUnit(DATATYPES["fp8"], 4)
    x, y = np.array([[16.0, 3.0]], np.float32), np.array([[3.0, 0.25]], np.float32)
    assert fp8.sum(x, y).tolist() == [[20.0, 3.25]]
    # A mean of 9.5 is written as 10, so the numbers are 6 and −7 from it.
    scale, shift = np.ones(2, np.float32), np.zeros(2, np.float32)
    variance = 44.0  # (36 + 49) / 2 = 42.5, the spacing from 32 to 64 is 4
    root = 0.15625  # 1 / √44 = 0.1508, the spacing from 1/8 to 1/4 is 1/64
    assert variance**-0.5 == pytest.approx(root, abs=1 / 128)
    # 6·0.15625 = 0.9375; −7·0.15625 = −1.09375, and the spacing from 1 to 2 is 1/8.
    assert fp8.layer_norm(x, scale, shift, 0.0).tolist() == [[0.9375, -1.125]]


def test_a_number_beyond_the_datatype_is_refused() -> None:
    fp16 = VectorUnit(DATATYPES["fp16"], 4)
    with pytest.raises(InputError, match=r"the mean square of a norm: .* is beyond fp16"):
        fp16.rms_norm(np.full((1, 4), 300, np.float32), np.ones(4, np.float32), 0.0)


@pytest.mark.parametrize(
    ("name", "unit", "least"),
    [("fp16", 2**-11, 2**-25), ("bf16", 2**-8, 2.0**-134), ("fp8", 2**-4, 2**-10)],
)
def test_no_rounding_moves_a_number_by_more_than_its_unit(
    name: str, unit: float, least: float
) -> None:
    datatype = DATATYPES[name]
    assert unit_roundoff(datatype) == (unit, least)
    rng = np.random.default_rng(0)
    x = rng.standard_normal(50_000) * 2.0 ** rng.integers(-30, 8, 50_000)
    x = x[np.abs(x) < datatype.largest]
    error = np.abs(datatype.operands(x, "x").astype(np.float64) - x)
    assert (error <= unit * np.abs(x) + least).all()
    normal = np.abs(x) > 2 * least / unit
    assert (error / np.abs(x))[normal].max() > 0.9 * unit


def machine(name: str = "tf_mvp") -> Machine:
    """With a weight buffer so small that a matrix has several tiles."""
    return load_machine(name, ["weight_buffer.bytes=65536"])


@pytest.mark.parametrize("is_dense", [True, False])
@pytest.mark.parametrize("shape", [(40, 24), (150, 300)])
@pytest.mark.parametrize("name", builtin_accelerators())
def test_a_bias_starts_the_accumulators_once(
    name: str, shape: tuple[int, int], is_dense: bool
) -> None:
    """Of whole numbers every order gives the same, also over several tiles."""
    rng = np.random.default_rng(1)
    keep = np.ones(shape, bool) if is_dense else rng.random(shape) < 0.3
    on = machine(name)
    numbers = on.numbers.accumulator
    weight = np.where(keep, rng.integers(-8, 8, shape), 0).astype(numbers)
    x = rng.integers(-8, 8, (5, shape[1])).astype(numbers)
    bias = rng.integers(-50, 50, shape[0]).astype(numbers)
    multiply = on.multiplication(MaskedMatrix("m", keep), 5, is_dense=is_dense)
    np.testing.assert_array_equal(multiply(weight, x, bias), weight @ x.T + bias[:, None])
    np.testing.assert_array_equal(multiply(weight, x), weight @ x.T)


def test_a_product_adds_in_the_order_of_the_run() -> None:
    """As `run` computes the outputs of a checked layer."""
    from accel_sim.inputs.activations import Inputs, Layer

    rng = np.random.default_rng(4)
    keep = rng.random((96, 200)) < 0.2
    weight = np.where(keep, rng.standard_normal(keep.shape), 0).astype(np.float16)
    x = rng.standard_normal((7, 200)).astype(np.float16)
    matrix = MaskedMatrix("m", keep, weight)
    run = machine().run(Layer(0, matrix), Inputs(7, x, None), is_checked=True)
    multiply = machine().multiplication(matrix, 7)
    found = multiply(weight.astype(np.float32), x)
    np.testing.assert_array_equal(found, run.outputs)
