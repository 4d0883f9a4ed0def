"""Are operands rounded as the contract says, and integer products exact?"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from accel_sim.dataflows.mixed_vector import product
from accel_sim.inputs.activations import Activations, Layer
from accel_sim.inputs.datatypes import DATATYPES
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix, roomy, simulated

pytestmark = pytest.mark.rule(microarchitecture=8)


@pytest.mark.parametrize(("datatype", "largest"), [("int8", 127), ("int16", 32767)])
def test_are_floats_scaled_to_the_largest(datatype: str, largest: int) -> None:
    # s = 2/largest: −2 → −largest, 1 → largest/2 = .5 above an even or odd number, ties to even.
    values = np.array([[-2.0, 1.0, 0.0, 1.5 / largest]])
    half = {127: 64, 32767: 16384}[largest]  # 63.5 → 64, 16383.5 → 16384
    found = DATATYPES[datatype].operands(values, "x")
    assert found.tolist() == [[-largest, half, 0, 1]]


def test_are_integers_taken_as_they_are_and_refused_beyond_the_range() -> None:
    int8 = DATATYPES["int8"]
    assert int8.operands(np.array([[-128, 127]]), "x").tolist() == [[-128, 127]]
    with pytest.raises(InputError, match="x: 128 is beyond int8"):
        int8.operands(np.array([[1, 128]]), "x")
    with pytest.raises(InputError, match=r"x: 1000000\.0 is beyond fp16"):
        DATATYPES["fp16"].operands(np.array([[1.0, 1e6]]), "x")


@pytest.mark.parametrize(("datatype", "scale"), [("fp16", 1), ("int8", 32), ("int16", 8192)])
def test_are_operands_drawn_from_a_normal_of_their_scale(datatype: str, scale: int) -> None:
    x = Activations(200, seed=5).draw(500, 0, DATATYPES[datatype]).astype(np.float64)
    # 100,000 draws tell a standard deviation to 0.25 %; whole numbers and ±127 change less.
    assert x.std() == pytest.approx(scale, rel=0.01)
    assert abs(x.mean()) < 0.02 * scale
    assert abs(x).max() <= DATATYPES[datatype].largest


@pytest.mark.parametrize("datatype", DATATYPES)
def test_is_no_drawn_operand_zero_unasked(datatype: str) -> None:
    x = Activations(50, seed=3).draw(200, 0, DATATYPES[datatype])
    assert np.count_nonzero(x) == x.size
    assert np.abs(x.astype(np.int64)).max() <= DATATYPES[datatype].largest
    sparse = Activations(50, 0.5, seed=3).draw(200, 0, DATATYPES[datatype])
    assert 0.4 < np.count_nonzero(sparse) / sparse.size < 0.6


@pytest.mark.parametrize("datatype", ["int8", "int16"])
@pytest.mark.parametrize("policy", ["snake", "set_associative"])
@pytest.mark.parametrize("per_column", ["false", "true"])
def test_is_an_integer_product_exact(
    datatype: str, policy: str, per_column: str, monkeypatch: Any
) -> None:
    outputs: list[NDArray[Any]] = []
    original = product.machine_product

    def kept(*arguments: Any) -> NDArray[Any]:
        outputs.append(original(*arguments))
        return outputs[-1]

    monkeypatch.setattr(product, "machine_product", kept)
    settings = (f"datatype={datatype}", f"policy={policy}", f"queue.per_column={per_column}")
    matrix = random_matrix((21, 33), 0.4, 4)
    activations = Activations(7, 0.6, 1)
    (result,) = simulated([matrix], roomy(*settings), activations)
    assert matrix.weight is not None
    numbers = DATATYPES[datatype]
    weight = [[int(w) for w in row] for row in numbers.operands(matrix.weight, "w")]
    x = [[int(v) for v in row] for row in activations.operands(Layer(0, matrix), numbers)]
    by_hand = [[sum(a * b for a, b in zip(w, v, strict=True)) for v in x] for w in weight]
    assert outputs[0].tolist() == by_hand
    assert result.product == {
        "tokens": 7,
        "max_abs_error": 0.0,
        "max_error_over_bound": 0.0,
        "note": "",
        "is_equal": True,
    }


def test_does_a_sum_beyond_the_accumulator_wrap_and_is_told() -> None:
    # 127 · 127 · 140,000 = 2,258,060,000 > 2³¹ − 1.
    inputs = 140_000
    matrix = MaskedMatrix("m", np.ones((1, inputs), np.bool_), np.full((1, inputs), 127.0))
    x = np.full((1, inputs), 127, np.int8)
    machine = roomy("datatype=int8", "weight_buffer.bytes=1048576")
    (result,) = simulated([matrix], machine, Activations(1, recorded={"m": x}))
    assert result.product is not None
    assert result.product["is_equal"] is False
    assert result.product["max_abs_error"] == 2**32
    assert result.product["note"] == "1 sums are beyond 32 bits"


def test_do_narrow_operands_take_fewer_bytes() -> None:
    keep = np.ones((4, 8), np.bool_)
    sizes = {
        datatype: simulated(
            [MaskedMatrix("m", keep)], roomy(f"datatype={datatype}"), Activations(1)
        )[0].storage_bits["values"]
        for datatype in DATATYPES
    }
    assert sizes == {
        **{"fp16": 32 * 16, "int8": 32 * 8, "int16": 32 * 16},
        **{"bf16": 32 * 16, "fp8": 32 * 8, "int4": 32 * 4},
    }


@pytest.mark.parametrize(
    ("datatype", "value", "expected"),
    [
        # 8 significant bits: 1 + 1/128 is an operand, 1 + 1/256 in the middle goes to even.
        ("bf16", 1 + 1 / 128, 1 + 1 / 128),
        ("bf16", 1 + 1 / 256, 1.0),
        ("bf16", 1 + 3 / 256, 1 + 2 / 128),
        ("bf16", -3e38, -(2.0**127) * 1.765625),
        ("bf16", 2.0**-140, 0.0),
        # 4 significant bits: 17 lies between 16 and 18, 19 between 18 and 20.
        ("fp8", 17.0, 16.0),
        ("fp8", 19.0, 20.0),
        ("fp8", 448.0, 448.0),
        ("fp8", 463.9, 448.0),
        ("fp8", 2.0**-9, 2.0**-9),
        ("fp8", 2.0**-10, 0.0),
        ("fp8", 1.5 * 2.0**-9, 2.0**-8),
    ],
)
def test_are_narrow_floats_rounded_to_the_nearest(
    datatype: str, value: float, expected: float
) -> None:
    found = DATATYPES[datatype].operands(np.array([[value, -value]]), "x")
    assert found.tolist() == [[expected, -expected]]


@pytest.mark.parametrize(("datatype", "value"), [("fp8", 464.1), ("bf16", 3.4e38)])
def test_is_a_value_beyond_a_narrow_float_refused(datatype: str, value: float) -> None:
    with pytest.raises(InputError, match=f"is beyond {datatype}"):
        DATATYPES[datatype].operands(np.array([[value]]), "x")


def test_has_int4_sixteen_values() -> None:
    int4 = DATATYPES["int4"]
    assert int4.operands(np.array([[-8, 7]]), "x").tolist() == [[-8, 7]]
    # s = 1.75/7: 0.625 is 2.5 of it and 0.125 a half; ties go to even.
    assert int4.operands(np.array([[1.75, -0.625, 0.125]]), "x").tolist() == [[7, -2, 0]]
    for beyond in (8, -9):
        with pytest.raises(InputError, match=f"{beyond} is beyond int4"):
            int4.operands(np.array([[beyond]]), "x")


@pytest.mark.parametrize("datatype", ["bf16", "fp8", "int4"])
def test_is_the_product_of_narrow_operands_right(datatype: str) -> None:
    matrix = random_matrix((21, 33), 0.4, 4)
    (result,) = simulated([matrix], roomy(f"datatype={datatype}"), Activations(7, 0.6, 1))
    assert result.product is not None and result.product["is_equal"]
    assert result.storage_bits["values"] == result.nnz * DATATYPES[datatype].operand_bits
