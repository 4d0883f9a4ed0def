"""Cases whose cycles are worked out on paper: for the simulator, and for its reference."""

from collections.abc import Sequence

import numpy as np
import pytest

from accel_sim.inputs.activations import Activations, Layer
from accel_sim.reports.report import LayerResult
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.dataflows.mixed_vector.drawn_workloads import layer_inputs
from tests.accel_sim.dataflows.mixed_vector.reference.layers import ReferenceLayer, reference
from tests.accel_sim.workloads import load_mixed_vector, simulated

# One PE of one lane; a port that takes a whole tile in one cycle; DRAM of one byte per cycle behind
# a latency of 5; one word written back per cycle. A vector at the end of its line has the longest
# length on offer, so a full line of up to 64 is one vector: n = 1, no index, no code, and one line
# makes a header of (1 + 1)·1 + 1 = 3 bits.

PAPER = (
    "pe_rows=1",
    "token_columns=1",
    "lanes=1",
    "accumulators_per_pe=1",
    "pe_latency_cycles=2",
    "policy=interleaved",
    "depth_entries=8",
    "per_column=false",
    "decompressor.bytes_per_cycle=100",
    "decompressor.entries_per_cycle=8",
    "zero_skip.entries_per_cycle=0",
    "window_inputs=4",
    "inputs_per_cycle=4",
    "words_per_cycle=1",
    "dram.bytes_per_cycle=1",
    "burst_bytes=1",
    "first_latency_cycles=5",
    "efficiency_run_bytes=[1]",
    "efficiency_permille=[1000]",
)


def given(*tokens: Sequence[float]) -> Activations:
    """These inputs, token by token, for a matrix called m0."""
    return Activations(len(tokens), recorded={"m0": np.array(tokens, np.float32)})


def both(
    masks: list[list[list[int]]], settings: tuple[str, ...], activations: Activations
) -> tuple[Sequence[ReferenceLayer], list[LayerResult]]:
    machine = load_mixed_vector("tf_mvp", [*PAPER, *settings])
    matrices = [MaskedMatrix(f"m{i}", np.array(mask, np.bool_)) for i, mask in enumerate(masks)]
    inputs = [
        layer_inputs(activations, Layer(i, matrix), machine.array.datatype)
        for i, matrix in enumerate(matrices)
    ]
    layers = reference(matrices, inputs, machine).layers
    return layers, simulated(matrices, machine, activations, threads=1)


def causes(layer: ReferenceLayer | LayerResult) -> dict[str, int]:
    """Causes that took any cycles."""
    return {cause: cycles for cause, cycles in layer.cycles_by_cause.items() if cycles}


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.rule(microarchitecture=5)
@pytest.mark.rule(microarchitecture=6)
def test_what_does_a_single_weight_take() -> None:
    # 16 + 3 bits = 3 bytes: loaded in 5 + 3 = 8 cycles.
    # 0: 19 bits arrive. 1: the header goes. 2: the entry is delivered. 3: it is issued.
    # The pass: 4 + 2 cycles, until 14. One word written: 15.
    # Dense: 2 bytes in 7 cycles; no header, so 3 + 2 cycles, until 12, and 1 to write: 13.
    for (layer,) in both([[[1]]], (), Activations(1, 1.0, 0)):
        assert layer.cycles == 15
        assert layer.dense_cycles == 13
        assert causes(layer) == {
            "dram": 8, "decompressor": 3, "compute": 1, "pipeline": 2, "writeback": 1
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.rule(microarchitecture=5)
def test_what_does_a_single_empty_place_take() -> None:
    # A header of (1 + 1)·0 + 1 = 1 bit = 1 byte: loaded in 5 + 1 = 6 cycles.
    # 0: it arrives. 1: it goes. The pass: 2 + 2, until 10; written at 11.
    for (layer,) in both([[[0]]], (), Activations(1, 1.0, 0)):
        assert layer.cycles == 11
        assert causes(layer) == {"dram": 6, "decompressor": 2, "pipeline": 2, "writeback": 1}


@pytest.mark.rule(microarchitecture=5)
def test_does_a_queue_of_one_deliver_every_other_cycle() -> None:
    # 4·16 + 3 = 67 bits = 9 bytes: loaded in 14 cycles. The decompressor sees the queue as it was:
    # cycle     0      1       2       3     4       5     6       7     8       9
    # delivers  -      header  e0      full  e1      full  e2      full  e3      -
    # issues    -      -       -       e0    -       e1    -       e2    -       e3
    # The pass: 10 + 2, until 26; written at 27.
    # Dense: 8 bytes in 13 cycles, no header: 9 + 2, until 24; written at 25.
    for (layer,) in both([[[1, 1, 1, 1]]], ("depth_entries=1",), Activations(1, 1.0, 0)):
        assert layer.cycles == 27
        assert layer.dense_cycles == 25
        assert causes(layer) == {
            "dram": 14, "decompressor": 6, "compute": 4, "pipeline": 2, "writeback": 1
        }  # fmt: skip
        unit = layer.units["decompressor"]
        assert unit.busy == 5
        assert unit.stalled == {"queue_full": 3, "weight_buffer": 1}


@pytest.mark.rule(microarchitecture=5)
def test_does_a_far_input_wait_for_the_window() -> None:
    # Two vectors of length 1, i = ⌈log2 8⌉ = 3, header 2·2 + 1 = 5: 2·(16 + 3) + 5 = 43 bits =
    # 6 bytes, loaded in 11 cycles. Window of 2, 1 input per cycle; at the start of each cycle:
    # cycle   0   1       2       3    4   5   6   7   8   9   10
    # base    0   0       0       0    0   6   6   6   6   6   6
    # loaded  0   1       2       2    2   2   3   4   5   6   7
    #         -   header  e0, e1  e0   .   .   .   .   .   .   e1 needs [6, 7)
    # e0 is the front until the end of 3, seen by the window in 3, so base stays 0 in 4, moves to 6
    # in 5; until then nothing enters (2, 3, 4). The pass: 11 + 2, until 24; written at 25.
    window = ("window_inputs=2", "inputs_per_cycle=1")
    for (layer,) in both([[[1, 0, 0, 0, 0, 0, 1, 0]]], window, Activations(1, 1.0, 0)):
        assert layer.cycles == 25
        assert causes(layer) == {
            "dram": 11, "decompressor": 3, "window": 6, "compute": 2, "pipeline": 2, "writeback": 1
        }  # fmt: skip
        assert layer.units["matching"].busy == 8
        assert layer.units["matching"].stalled == {"window_full": 3}


@pytest.mark.rule(microarchitecture=5)
def test_does_a_run_of_zeros_longer_than_z_take_more_cycles() -> None:
    # 4·16 + 3 = 67 bits = 9 bytes: 14 cycles. 0: bits, 1: header, 2: all four are delivered.
    # 3: two are dropped. 4: the third is dropped, the fourth is issued. The pass: 5 + 2, until 21.
    some = given((0, 0, 0, 1))
    for (layer,) in both([[[1, 1, 1, 1]]], ("zero_skip.entries_per_cycle=2",), some):
        assert layer.cycles == 22
        assert causes(layer) == {
            "dram": 14, "decompressor": 3, "zero_skip": 1, "compute": 1, "pipeline": 2,
            "writeback": 1,
        }  # fmt: skip
        assert layer.units["zero_skip"].busy == 2
        assert (layer.macs_executed, layer.macs_skipped) == (1, 3)


@pytest.mark.rule(microarchitecture=5)
def test_is_a_pass_of_zeros_only_skipped_z_at_a_time() -> None:
    # 5·16 + 3 = 83 bits = 11 bytes: 16 cycles. Delivered in 2; dropped in 3, 4 and 5: 2 + 2 + 1.
    for (layer,) in both(
        [[[1, 1, 1, 1, 1]]], ("zero_skip.entries_per_cycle=2",), Activations(1, 0.0, 0)
    ):
        assert layer.cycles == 16 + 6 + 2 + 1
        assert causes(layer) == {
            "dram": 16, "decompressor": 3, "zero_skip": 3, "pipeline": 2, "writeback": 1
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=6)
def test_does_a_pass_wait_for_its_accumulator_bank() -> None:
    # One column of 8: a vertical vector, 8·16 + 3 = 131 bits = 17 bytes, loaded in 22 cycles.
    # 8 entries, one per output: delivered in 2, issued in 3 … 10: a pass of 11 + 2 = 13 cycles.
    # 3 groups of 3 tokens; 24 words to write, one per cycle:
    # pass     0: 22–35    1: 35–48    2: 59–72, when write-back 0 has freed its bank
    # write    0: 35–59    1: 59–83    2: 83–107
    banks = ("accumulators_per_pe=8", "token_columns=3")
    for (layer,) in both([[[1]] * 8], banks, Activations(9, 1.0, 0)):
        assert layer.orientation == "vertical"
        assert layer.cycles == 107
        assert causes(layer) == {
            "dram": 22, "decompressor": 9, "compute": 24, "pipeline": 6,
            "writeback": (59 - 48) + (107 - 72),
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=7)
def test_is_a_wait_for_both_the_weights_and_the_bank_put_down_to_dram() -> None:
    # Two strips of one output, 40 inputs: each tile 40·16 + 3 = 643 bits = 81 bytes, which at half
    # the peak rate take 162 cycles. Loads: 5 + 162 = 167, and 329 without a gap.
    # A pass: bits, header, delivery; issued in 3 … 42: 43 + 2 = 45 cycles. A write-back: 117 words.
    # pass     0: 167–212    1: 212–257    2: 329–374    3: 446–491
    # write    0: 212–329    1: 329–446    2: 446–563    3: 563–680
    # Pass 2 waits for its tile and for write-back 0, both until 329; pass 3 for write-back 1 only.
    slow = ("token_columns=117", "efficiency_permille=[500]")
    for (layer,) in both([[[1] * 40] * 2], slow, Activations(234, 1.0, 0)):
        assert layer.tiles == 2
        assert layer.cycles == 680
        assert causes(layer) == {
            "dram": 167 + (329 - 257), "decompressor": 4 * 3, "compute": 4 * 40, "pipeline": 4 * 2,
            "writeback": (446 - 374) + (680 - 491),
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=6)
@pytest.mark.parametrize(
    ("is_prefetched", "cycles"),
    [
        # The second load follows the first without a gap, 8–11; the pass 15–21; written at 22.
        ("true", 22 - 15),
        # It starts with its layer: 15, first latency until 20, there at 23; like the first.
        ("false", 15),
    ],
)
def test_do_the_weights_of_the_next_layer_run_ahead(is_prefetched: str, cycles: int) -> None:
    prefetch = (f"prefetch_across_layers={is_prefetched}",)
    for first, second in both([[[1]], [[1]]], prefetch, Activations(1, 1.0, 0)):
        assert first.cycles == 15
        assert second.cycles == cycles


@pytest.mark.rule(microarchitecture=7)
def test_is_a_column_without_a_token_idle_for_the_whole_pass() -> None:
    # One weight as above, one token on two columns: a pass of 4 + 2 cycles, the second column idle
    # in all 6. The first: 3 decompressor, 1 busy, 2 pipeline. Waits count for both columns.
    for (layer,) in both([[[1]]], ("token_columns=2",), Activations(1, 1.0, 0)):
        pe = layer.units["pe"]
        assert pe.busy == 1
        assert pe.stalled["decompressor"] == 3
        assert pe.stalled["dram"] == 2 * 8
        assert pe.stalled["writeback"] == 2 * 1
        assert (pe.stalled["pipeline"], pe.idle) == (2, 6)


@pytest.mark.rule(microarchitecture=2)
def test_is_a_piece_whose_input_is_zero_not_multiplied() -> None:
    # Inputs 0 and 2 of one entry of 4 lanes: two vectors of 1, i = 2, header 2·2 + 1: 2·16 + 4 + 5
    # = 41 bits = 6 bytes, 11 cycles. The entry is issued in 3 for its first piece: 4 + 2, 1 word.
    packed = ("lanes=4", "accumulators_per_pe=4", "zero_skip.entries_per_cycle=1")
    for (layer,) in both([[[1, 0, 1, 0]]], packed, given((1, 0, 0, 0))):
        assert layer.orientation == "horizontal"
        assert layer.cycles == 18
        assert (layer.macs_executed, layer.macs_effectual, layer.macs_skipped) == (1, 1, 1)
        assert layer.macs_padding == 3
        assert layer.units["lane"].busy == 1


# --- columns --------------------------------------------------------------------------------------

WIDE_WINDOW = ("window_inputs=8", "inputs_per_cycle=8")


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.rule(microarchitecture=7)
def test_do_columns_in_lock_step_wait_for_each_other() -> None:
    # 6·16 + 3 = 99 bits = 13 bytes: loaded in 18 cycles. All six are delivered in 2, issued in
    # 3 … 8: each is live for one of the two tokens, none may be dropped. The pass: 9 + 2, until 29;
    # two words until 31. Of 6 busy cycles 6 MACs on 2 PEs take 3; the rest went to dead pairs.
    halves = given((0, 0, 0, 1, 1, 1), (1, 1, 1, 0, 0, 0))
    settings = (*WIDE_WINDOW, "token_columns=2", "zero_skip.entries_per_cycle=2")
    for (layer,) in both([[[1] * 6]], settings, halves):
        assert layer.cycles == 31
        assert causes(layer) == {
            "dram": 18, "decompressor": 3, "compute": 3, "lockstep": 3, "pipeline": 2,
            "writeback": 2,
        }  # fmt: skip
        assert (layer.macs_executed, layer.macs_skipped, layer.macs_padding) == (6, 6, 0)
        pe = layer.units["pe"]
        assert (pe.busy, pe.stalled["lockstep"], pe.stalled["zero_skip"]) == (6, 6, 0)
        assert layer.units["lane"].busy == 6
        assert layer.units["zero_skip"].count == 1
        assert list(layer.pe_load) == [2 * 6]


@pytest.mark.rule(microarchitecture=5)
def test_do_columns_with_queues_of_their_own_drift_apart() -> None:
    # The same with a queue and a controller per PE. Entries 0 … 5 are delivered in 2:
    # cycle     3            4            5         6            7
    # column 0  drops 0, 1   drops 2, e3  e4        e5           -
    # column 1  e0           e1           e2        drops 3, 4   drops 5
    # In 3, column 0's front is skippable: nothing is issued. The pass: 8 + 2, until 28; written at
    # 30. Column 1 is critical: 3 busy, 2 dropping.
    halves = given((0, 0, 0, 1, 1, 1), (1, 1, 1, 0, 0, 0))
    settings = (*WIDE_WINDOW, "token_columns=2", "zero_skip.entries_per_cycle=2")
    for (layer,) in both([[[1] * 6]], (*settings, "per_column=true"), halves):
        assert layer.cycles == 30
        assert causes(layer) == {
            "dram": 18, "decompressor": 3, "compute": 3, "zero_skip": 2, "pipeline": 2,
            "writeback": 2,
        }  # fmt: skip
        pe = layer.units["pe"]
        assert (pe.busy, pe.stalled["zero_skip"], pe.stalled["decompressor"]) == (6, 1 + 2, 3 + 3)
        assert (pe.stalled["lockstep"], pe.idle) == (0, 1)
        assert (layer.units["zero_skip"].count, layer.units["zero_skip"].busy) == (2, 2 + 2)
        assert list(layer.pe_load) == [3 + 3]


@pytest.mark.rule(microarchitecture=5)
def test_does_the_fullest_column_hold_up_all() -> None:
    # 4·16 + 3 = 67 bits = 9 bytes: 14 cycles. Queues of 2; column 0 needs all, column 1 the last.
    # cycle     2       3            4        5         6
    # delivers  e0, e1  full         e2       e3        -
    # column 0  -       e0           e1       e2        e3
    # column 1  -       drops 0, 1   nothing  drops 2   e3
    # The pass: 7 + 2, until 23; two words until 25. Both take e3 in 6: column 0 is critical, busy
    # for 4 cycles, of which 5 MACs on 2 PEs need 3.
    settings = (*WIDE_WINDOW, "token_columns=2", "zero_skip.entries_per_cycle=4")
    own = (*settings, "per_column=true", "depth_entries=2")
    for (layer,) in both([[[1] * 4]], own, given((1, 1, 1, 1), (0, 0, 0, 1))):
        assert layer.cycles == 25
        assert causes(layer) == {
            "dram": 14, "decompressor": 3, "compute": 3, "imbalance": 1, "pipeline": 2,
            "writeback": 2,
        }  # fmt: skip
        assert layer.units["decompressor"].stalled == {"queue_full": 1, "weight_buffer": 1}
        pe = layer.units["pe"]
        assert (pe.stalled["decompressor"], pe.stalled["zero_skip"], pe.idle) == (3 + 4, 2, 0)


@pytest.mark.rule(microarchitecture=2)
def test_does_a_short_last_group_run_as_one_column() -> None:
    # 9 bytes: 14 cycles; all four entries are delivered in 2. Columns of tokens 0 and 2 drop e0 and
    # issue e1 in 3: done in 5. That of token 1 issues e0 … e3 in 3 … 6.
    # pass   0: 14–23, both columns    1: 23–31, one
    # write  0: 23–25, two words       1: 31–32
    three = given((0, 1, 1, 1), (1, 1, 1, 1), (0, 1, 1, 1))
    own = ("token_columns=2", "zero_skip.entries_per_cycle=1", "per_column=true")
    for (layer,) in both([[[1] * 4]], own, three):
        assert layer.cycles == 32
        assert causes(layer) == {
            "dram": 14, "decompressor": 6, "compute": 7, "pipeline": 4, "writeback": 1
        }  # fmt: skip
        assert list(layer.pe_load) == [3 + 4 + 3]


@pytest.mark.rule(microarchitecture=5)
def test_does_the_window_wait_for_the_slowest_column() -> None:
    # Column 0 drops all six in 3, column 1 needs them all; a window of 2, up to 2 inputs per cycle.
    # cycle     3   4   5       6   7   8       9   10
    # base      0   0   1       2   2   3       4   4
    # loaded    2   2   2       3   4   4       5   6
    # column 1  e0  e1  window  e2  e3  window  e4  e5
    # 18 cycles for 13 bytes; the pass: 11 + 2, until 31; two words until 33.
    narrow = ("window_inputs=2", "inputs_per_cycle=2", "token_columns=2", "per_column=true")
    zeros = given((0,) * 6, (1,) * 6)
    for (layer,) in both([[[1] * 6]], (*narrow, "zero_skip.entries_per_cycle=6"), zeros):
        assert layer.cycles == 33
        assert causes(layer) == {
            "dram": 18, "decompressor": 3, "compute": 3, "imbalance": 3, "window": 2,
            "pipeline": 2, "writeback": 2,
        }  # fmt: skip
        assert layer.units["matching"].busy == 5
        assert layer.units["matching"].stalled == {"window_full": 5}


@pytest.mark.rule(microarchitecture=7)
def test_is_the_lowest_pe_row_critical_before_the_lowest_column() -> None:
    # Vertical: columns of 1, 1 and 2 outputs: n = 3, i = 1, k = 1, header 4·2 + 1: 4·16 + 6 + 9 =
    # 79 bits = 10 bytes, 15 cycles. All are delivered in 2. Token 0 has input 0 only, token 1 not:
    # cycle            3                            4
    # row 0, column 0  drops inputs 1, 2            -
    # row 0, column 1  issues input 1               issues input 2
    # row 1, column 0  issues input 0               drops input 2
    # row 1, column 1  drops input 0, issues 2      -
    # Row 0 of column 1 is critical: busy in both, 4 MACs on 4 PEs need one. 5 + 2, 4 words: 26.
    own = ("pe_rows=2", "token_columns=2", "per_column=true", "zero_skip.entries_per_cycle=2")
    for (layer,) in both([[[0, 1, 1], [1, 0, 1]]], own, given((1, 0, 0), (0, 1, 1))):
        assert layer.orientation == "vertical"
        assert layer.cycles == 26
        assert causes(layer) == {
            "dram": 15, "decompressor": 3, "compute": 1, "imbalance": 1, "pipeline": 2,
            "writeback": 4,
        }  # fmt: skip


# --- schedules ------------------------------------------------------------------------------------


@pytest.mark.rule(microarchitecture=4)
@pytest.mark.rule(microarchitecture=5)
def test_do_two_pe_rows_share_a_queue() -> None:
    # One output on two PE rows of one set, whose queue of 2·8 has all four entries in 2; Z = 1.
    # cycle  3                                    4
    # row 0  drops e0; e1 in front is skippable   e3
    # row 1  drops e1, issues e2                  nothing left
    # 14 cycles for 9 bytes; the pass: 5 + 2, until 21; written at 22.
    shared = ("pe_rows=2", "policy=online", "sets=1", "zero_skip.entries_per_cycle=1")
    for (layer,) in both([[[1] * 4]], shared, given((0, 0, 1, 1))):
        assert layer.cycles == 22
        assert causes(layer) == {
            "dram": 14, "decompressor": 3, "zero_skip": 1, "compute": 1, "pipeline": 2,
            "writeback": 1,
        }  # fmt: skip
        pe = layer.units["pe"]
        assert (pe.busy, pe.stalled["zero_skip"], pe.idle) == (2, 1, 1)
        assert layer.units["zero_skip"].busy == 2
        assert list(layer.pe_load) == [1, 1]


@pytest.mark.rule(microarchitecture=4)
def test_is_a_shared_queue_as_deep_as_those_it_stands_for() -> None:
    # Queues of 1 for two PE rows: one of 2. It is refilled when the decompressor sees it empty.
    # cycle     2       3       4       5
    # delivers  e0, e1  full    e2, e3  -
    # row 0     -       e0      -       e2
    # row 1     -       e1      -       e3
    # 14 cycles; the pass: 6 + 2, until 22; written at 23. Row 0 is critical by its number.
    shared = ("pe_rows=2", "policy=online", "sets=1", "depth_entries=1")
    for (layer,) in both([[[1] * 4]], shared, Activations(1)):
        assert layer.cycles == 23
        assert causes(layer) == {
            "dram": 14, "decompressor": 4, "compute": 2, "pipeline": 2, "writeback": 1
        }  # fmt: skip
        assert layer.units["decompressor"].stalled == {"queue_full": 1, "weight_buffer": 1}


@pytest.mark.rule(microarchitecture=4)
@pytest.mark.parametrize(
    ("accumulators", "load", "imbalance"),
    [
        # Loads 4, 1, 1, 1: all small units to row 1.
        (3, [4, 3], 0),
        # Row 1 has no accumulator for a third: the last joins the large one.
        (2, [5, 2], 1),
    ],
)
def test_does_the_longest_unit_go_first_where_accumulators_allow(
    accumulators: int, load: list[int], imbalance: int
) -> None:
    # Rows kept: a vector of 4 (nominal 64) and three of 1: n = 4, i = 2, k = 1, header 5·3 + 1:
    # 7·16 + 4·3 + 16 = 140 bits = 18 bytes, 23 cycles. Delivered in 2, issued from 3.
    rows = ("pe_rows=2", "policy=lpt", f"accumulators_per_pe={accumulators}")
    mask = [[1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    for (layer,) in both([mask], rows, Activations(1)):
        assert layer.orientation == "horizontal"
        assert list(layer.pe_load) == load
        assert layer.cycles == 23 + (3 + load[0] + 2) + 4
        expected = {"dram": 23, "decompressor": 3, "compute": 4, "pipeline": 2, "writeback": 4}
        assert causes(layer) == expected | ({"imbalance": imbalance} if imbalance else {})


# --- data types, memory ---------------------------------------------------------------------------


@pytest.mark.rule(microarchitecture=8)
@pytest.mark.parametrize(("datatype", "bytes_", "cycles"), [("fp16", 5, 17), ("int8", 3, 15)])
def test_is_an_input_that_rounds_to_zero_dropped(datatype: str, bytes_: int, cycles: int) -> None:
    # Two weights and a header of 3 bits: 5 or 3 bytes. In 3 the first is dropped, the second
    # issued: a pass of 4 + 2, one word written. 10⁻⁹ is below FP16; 127·10⁻⁹ rounds to 0.
    settings = (f"datatype={datatype}", "zero_skip.entries_per_cycle=1")
    for (layer,) in both([[[1, 1]]], settings, given((1e-9, 1))):
        assert (layer.dram_bytes, layer.cycles) == (bytes_, cycles)
        assert (layer.macs_executed, layer.macs_effectual) == (1, 1)


@pytest.mark.rule(microarchitecture=6)
@pytest.mark.parametrize(("rate", "cycles", "dense_cycles"), [(1.5, 14, 13), (0.3, 22, 18)])
def test_does_a_decimal_bandwidth_count_whole_cycles(
    rate: float, cycles: int, dense_cycles: int
) -> None:
    # 3 bytes in ⌈3/1.5⌉ = 2 or 3/0.3 = 10 cycles instead of 3; 2 bytes dense in 2 or 7.
    for (layer,) in both([[[1]]], (f"dram.bytes_per_cycle={rate}",), Activations(1)):
        assert (layer.cycles, layer.dense_cycles) == (cycles, dense_cycles)


@pytest.mark.rule(microarchitecture=6)
def test_do_activations_off_chip_come_in_runs() -> None:
    # One row of 4 in two ranges of 2 inputs: two vectors of 1 each, i = 1, header 2·2 + 1:
    # 2·16 + 2 + 5 = 39 bits = 5 bytes. Two tokens; bursts of 8 bytes. A tile's inputs: two runs of
    # 4 bytes, 8 each; the outputs: one run of 4. Loads: 5 + 8 + 16 = 29; then 8 + 16 + 8 = 32.
    # A pass: bits, header, delivery, two entries and 2 = 7 cycles: 29–36 and 61–68; two words: 70.
    small = ("weight_buffer.bytes=10", "activation_buffer.bytes=1", "burst_bytes=8")
    for (layer,) in both([[[1] * 4]], (*small, "token_columns=2"), Activations(2)):
        assert (layer.tiles, layer.dram_bytes, layer.cycles) == (2, 24 + 32, 70)
        assert causes(layer) == {
            "dram": 29 + (61 - 36), "decompressor": 6, "compute": 4, "pipeline": 4, "writeback": 2
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=3)
def test_does_a_tile_count_from_its_own_start() -> None:
    # A column of 20 in strips of 12 and 8 outputs. 12 = 8 + 4: n = 2, i = ⌈log2 12/4⌉ = 2, k = 1,
    # header 2·2 + 1: 12·16 + 6 + 5 = 203 bits. 8, at output 12, is one vector at place 0 of its
    # tile: i = k = 0, header 3: 131 bits. 26 + 17 bytes.
    for (layer,) in both([[[1]] * 20], ("accumulators_per_pe=12",), Activations(1)):
        assert (layer.orientation, layer.tiles) == ("vertical", 2)
        assert layer.storage_bits == {
            "values": 320, "indices": (6 + 1) + (0 + 1), "pointers": 4 + 2, "padding": 0
        }  # fmt: skip
        assert layer.dram_bytes == 26 + 17
