"""Is a machine's area that of the parts which its document counts?"""

import pytest

from accel_sim.costs.area import machine_area
from accel_sim.machines.load import load_machine

# mm², from area_28nm.csv: a bit of a register, and what is given there in gates of 0.55 µm².
BIT = 3.3e-6
SKIPPER, MATCHER, EXPANDER = 249 * 0.55e-6, 7716 * 0.55e-6, 6234 * 0.55e-6
PICK = EXPANDER / 16
MAC = 2194e-6


@pytest.mark.rule(microarchitecture=9)
@pytest.mark.parametrize("depth", [8, 20])
@pytest.mark.parametrize(("per_column", "takers"), [("false", 16), ("true", 16 * 16)])
def test_is_tf_mvp_made_of_its_parts(depth: int, per_column: str, takers: int) -> None:
    settings = (f"queue.depth_entries={depth}", f"queue.per_column={per_column}")
    found = machine_area(load_machine("tf_mvp", settings))
    assert found == pytest.approx(
        {
            "mac": 4096 * MAC,
            # 256 PEs with two banks of 128 words of 32 bits.
            "accumulators": 256 * 2 * 128 * 32 * BIT,
            # An entry: 16 values of 16 bits and 32 bits of index.
            "queues": takers * depth * (16 * 16 + 32) * BIT,
            # 128 inputs of 16 bits for each of 16 tokens.
            "matching": takers * MATCHER + 128 * 16 * 16 * BIT,
            # 16 entries a cycle; three times 576 bytes.
            "decompressor": 16 * EXPANDER + 3 * 8 * 576 * BIT,
            "zero_skip": takers * SKIPPER,
            # 16 banks of 32 KB, 20 of 64 KB.
            "weight_buffer": 16 * 0.049,
            "activation_buffer": 20 * 0.105,
        }
    )


SYSTOLIC = {"queues": 3 * 5 * 2 * 16 * BIT, "accumulators": 3 * 5 * 32 * BIT}
OPTIMUS = {
    "accumulators": 64 * 2 * 96 * 32 * BIT,
    "queues": 48 * 2 * 16 * BIT,
    "matching": 64 * 2 * 48 / 16 * PICK,
}
EIE = {
    "accumulators": 64 * 64 * 16 * BIT,
    "queues": 64 * 5 * (16 + 16) * BIT,
    "zero_skip": 64 * SKIPPER,
}
CAMBRICON_X = {
    "accumulators": 16 * 32 * BIT,
    "queues": 256 * 16 * BIT,
    "matching": 16 * 16 * 256 / 16 * PICK,
}
TENSOR_CORE = {"accumulators": 40 * 7 * 32 * BIT, "queues": (16 * 16 + 16 * 7) * 16 * BIT}


@pytest.mark.rule(rivals=1)
@pytest.mark.parametrize(
    ("name", "settings", "parts"),
    [
        ("systolic_ws", ("rows=3", "cols=5"), SYSTOLIC),
        ("optimus", ("pe_rows=64", "token_columns=2", "window_inputs=48"), OPTIMUS),
        ("eie", ("queue_depth=5",), EIE),
        ("cambricon_x", (), CAMBRICON_X),
        ("tensor_core_dense", ("tokens=7", "strip_outputs=40"), TENSOR_CORE),
        (
            "tensor_core_2_4",
            ("tokens=7", "strip_outputs=40"),
            TENSOR_CORE | {"matching": 16 * 7 * 16 * 4 / 16 * PICK},
        ),
        (
            "tensor_core_vector_wise",
            ("tokens=7", "strip_outputs=40", "vector_length=32"),
            TENSOR_CORE | {"matching": 16 * 7 * 16 * 32 / 16 * PICK},
        ),
    ],
)
def test_is_a_machine_made_of_the_parts_of_its_row(
    name: str, settings: tuple[str, ...], parts: dict[str, float]
) -> None:
    found = machine_area(load_machine(name, settings))
    others = {"mac", "weight_buffer", "activation_buffer"}
    assert {part: mm2 for part, mm2 in found.items() if part not in others} == pytest.approx(parts)
    assert others <= set(found)
