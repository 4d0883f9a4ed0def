"""Is a machine's area that of the parts which its document counts?"""

import pytest

from accel_sim.costs.area import machine_area
from accel_sim.machines.load import load_machine

# mm², from area_28nm.csv: a bit of a register, and what is given there in gates of 0.55 µm².
BIT = 3.3e-6
SKIPPER, EXPANDER = 249 * 0.55e-6, 6234 * 0.55e-6
MATCHER = 7716 * 0.55e-6
PICK = EXPANDER / 16
MUX = 2 * 0.55e-6
COMPARE = 1.2e-6
MAC, ADDER = 2194e-6, 1576e-6


@pytest.mark.rule(microarchitecture=9)
@pytest.mark.parametrize("depth", [4, 20])
@pytest.mark.parametrize(("per_column", "copies"), [("false", 1), ("true", 16)])
def test_is_tf_mvp_made_of_its_parts(depth: int, per_column: str, copies: int) -> None:
    # Banks of 32 KB and 16 KB, which the table has.
    settings = (f"queue.depth_entries={depth}", f"queue.per_column={per_column}")
    banks = ("weight_buffer.bytes=524288", "activation_buffer.bytes=1048576")
    found = machine_area(load_machine("tf_mvp", (*settings, *banks)))
    # 16 PE rows of at most 8 slots, each of at least 2 lanes.
    slots = 16 * 8
    assert found == pytest.approx(
        {
            # In each of 256 PEs: an accumulator of 32 bits for each of 2 + 4 + 8 groups that are
            # not the whole PE, and an operand of 16 bits for 16 lanes in three groupings.
            "mac": 4096 * MAC + 256 * (14 * 32 + 3 * 16 * 16) * MUX,
            # 256 PEs with two banks of 128 words of 32 bits.
            "accumulators": 256 * 2 * 128 * 32 * BIT,
            # The entries of a PE row: 16 values of 16 bits, and 32 bits of index for each slot.
            "queues": copies * 16 * depth * (16 * 16 + 8 * 32) * BIT,
            # 32 inputs of 16 bits, and whether they are zero, for each of 16 tokens. Each slot
            # chooses 2 of 32 inputs for each token, 15 times one of two, and compares 32 bits
            # twice.
            "matching": 32 * 17 * 16 * BIT
            + slots * 15 * 2 * 16 * 16 * MUX
            + slots * 2 * 32 * COMPARE,
            # In each PE row 16 words of 320 bits, 4 shifters of 2 words in 9 levels, and 16 lanes
            # in three more groupings. Four tiles of 128 bits and 512 units in one of 32 sets (5
            # bits). Two records of 32 bits for each slot.
            "decompressor": 16 * EXPANDER
            + 16 * (4 * 2 * 320 * 9 + 3 * 16 * 16) * MUX
            + (16 * 16 * 320 + 4 * (128 + 512 * 5) + 2 * slots * 32) * BIT,
            "zero_skip": copies * slots * SKIPPER,
            # 128 words a cycle of 4 PE rows each.
            "writeback": 128 * 4 * ADDER,
            # A second port makes a bank half as large again.
            "weight_buffer": 16 * 0.049 * 1.5,
            "activation_buffer": 64 * 0.024,
        }
    )


@pytest.mark.rule(microarchitecture=9)
def test_what_do_lanes_that_choose_add() -> None:
    plain = machine_area(load_machine("tf_mvp", ["window_inputs=128"]))
    found = machine_area(load_machine("tf_mvp_lane_select"))
    added = {
        # Each of 4096 lanes chooses one of four inputs of 16 bits: three times one of two.
        "mac": 4096 * 3 * 16 * MUX,
        # Two bits for each of the 16 lanes of a PE row, in each of 4 entries.
        "queues": 16 * 4 * 16 * 2 * BIT,
        # Lanes are given 18 bits instead of 16.
        "decompressor": 16 * EXPANDER * 2 / 16 + 16 * 3 * 16 * 2 * MUX,
    }
    assert found == pytest.approx({part: mm2 + added.get(part, 0) for part, mm2 in plain.items()})


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
INDEX_MATCHING = {
    "accumulators": 60 * 8 * 4 * 32 * BIT,
    "queues": 60 * (16 + 48) * 32 * BIT,
    "matching": 60 * 16 * 48 / 256 * MATCHER,
}
SIGMA = {
    "accumulators": 96 * 32 * BIT,
    "queues": 96 * 32 * BIT,
    "decompressor": 96 * PICK,
    "zero_skip": 3 * SKIPPER,
}
DUAL_SIDE = {
    "accumulators": 6 * 16 * 32 * 32 * BIT,
    "queues": 6 * (8 + 16) * 16 * BIT,
    # Of each operand one of 16 or 32, of each of 128 products one of 16 rows and of 32 columns.
    "matching": 6 * (8 * 16 + 16 * 32 + 128 * (16 + 32)) / 16 * PICK,
}
SCNN = {
    "accumulators": 6 * 256 * 24 * BIT,
    "queues": 6 * (50 * (16 + 4) + (2 + 4) * 16) * BIT,
    # Twice as many banks as the 8 products of a cycle, each of which chooses one of the 8.
    "matching": 6 * 16 * 7 * 24 * MUX,
}
CHANNEL_MERGING = {
    "accumulators": 16 * 6 * 32 * BIT,
    "queues": (16 + 4 * 6) * 16 * BIT,
    "matching": 16 * 6 * 4 / 16 * PICK,
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
        (
            "snap",
            ("pe_rows=5", "weight_window=16", "activation_window=48", "outputs_per_pe=8"),
            INDEX_MATCHING,
        ),
        ("sigma", ("dpes=3", "dpe_multipliers=32"), SIGMA),
        (
            "dual_side_tensor_core",
            ("core_rows=2", "core_columns=3", "tile_outputs=16"),
            DUAL_SIDE,
        ),
        ("scnn", ("pe_rows=2", "pe_cols=3", "weights=2", "accumulators=256"), SCNN),
        ("channel_merging", ("outputs=16", "tokens=6", "merged_inputs=4"), CHANNEL_MERGING),
        ("tensor_core_dense", ("tokens=7", "strip_outputs=40"), TENSOR_CORE),
        (
            "tensor_core_2_4",
            ("tokens=7", "strip_outputs=40"),
            TENSOR_CORE | {"matching": 16 * 7 * 16 * 4 / 16 * PICK},
        ),
        (
            "highlight",
            ("tokens=7", "strip_outputs=40"),
            # 4:8 of 2:4: a place picks 4 activations of 8 each for 2 multipliers, which pick of 4.
            TENSOR_CORE | {"matching": 16 * 7 * 16 * (4 * 8 / 2 + 4) / 16 * PICK},
        ),
        (
            "tasd",
            ("tokens=7", "strip_outputs=40"),
            TENSOR_CORE | {"matching": 16 * 7 * 16 * 8 / 16 * PICK},
        ),
        (
            "spense",
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
