"""Columns, schedules and whole layers: cycles that are counted on paper."""

import pytest

from accel_sim.inputs.activations import Activations
from sparse_formats.errors import InputError
from tests.accel_sim.dataflows.mixed_vector.paper_machine import (
    FAR,
    FAR_WINDOW,
    FAST,
    PAPER,
    WIDE_WINDOW,
    both,
    causes,
    given,
    inputs_of,
    matrices_of,
)
from tests.accel_sim.dataflows.mixed_vector.reference.layers import reference
from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import (
    DoesNotFit,
)
from tests.accel_sim.workloads import load_mixed_vector, simulated

# --- columns --------------------------------------------------------------------------------------

HALVES = given((0, 0, 0, 1, 1, 1), (1, 1, 1, 0, 0, 0))


@pytest.mark.rule(microarchitecture=7)
def test_is_a_column_without_a_token_idle_for_the_whole_pass() -> None:
    # One weight as above, one token on two columns: a pass of 4 + 2 cycles, the second column idle
    # in all 6. The first: 3 decompressor, 1 busy, 2 pipeline. Waits count for both columns.
    for (layer,) in both([[[1]]], ("token_columns=2",)):
        pe = layer.units["pe"]
        assert (pe.busy, pe.stalled["decompressor"]) == (1, 3)
        assert (pe.stalled["dram"], pe.stalled["writeback"]) == (2 * 26, 2 * 1)
        assert (pe.stalled["pipeline"], pe.idle) == (2, 6)


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.rule(microarchitecture=7)
def test_do_columns_in_lock_step_wait_for_each_other() -> None:
    # 6·17 = 102 bits = 13 bytes; 33 bytes, from 37. Issued in 3 … 8: each is live for one of the
    # two tokens, none may be dropped. 9 + 2 cycles, until 48; two words until 50. Of 6 busy cycles
    # 6 MACs on 2 PEs take 3; the rest went to dead pairs.
    settings = (*WIDE_WINDOW, "token_columns=2", "zero_skip.entries_per_cycle=2")
    for (layer,) in both([[[1] * 6]], settings, HALVES):
        assert layer.cycles == 50
        assert causes(layer) == {
            "dram": 37, "decompressor": 3, "compute": 3, "lockstep": 3, "pipeline": 2,
            "writeback": 2,
        }  # fmt: skip
        assert (layer.macs_executed, layer.macs_skipped, layer.macs_padding) == (6, 6, 0)
        pe = layer.units["pe"]
        assert (pe.busy, pe.stalled["lockstep"], pe.stalled["zero_skip"]) == (6, 6, 0)
        assert layer.units["lane"].busy == 6
        assert layer.units["zero_skip"].count == 1
        assert list(layer.pe_load) == [2 * 6]


@pytest.mark.rule(microarchitecture=5)
def test_do_columns_with_queues_of_their_own_skip_their_own_zeros() -> None:
    # The same: each entry is issued by one column and dropped by the other, as it comes. Both take
    # the last in 8; column 0 is critical: it dropped 3 and issued 3.
    settings = (*WIDE_WINDOW, "token_columns=2", "zero_skip.entries_per_cycle=2")
    for (layer,) in both([[[1] * 6]], (*settings, "per_column=true"), HALVES):
        assert layer.cycles == 50
        assert causes(layer) == {
            "dram": 37, "decompressor": 3, "compute": 3, "zero_skip": 3, "pipeline": 2,
            "writeback": 2,
        }  # fmt: skip
        pe = layer.units["pe"]
        assert (pe.busy, pe.stalled["zero_skip"], pe.stalled["decompressor"]) == (6, 6, 6)
        assert (pe.stalled["lockstep"], pe.idle) == (0, 0)
        assert (layer.units["zero_skip"].count, layer.units["zero_skip"].busy) == (2, 6)
        assert list(layer.pe_load) == [3 + 3]


@pytest.mark.rule(microarchitecture=5)
def test_does_the_fullest_column_hold_up_all() -> None:
    # As with the far zeros (28 bytes, from 32), in queues of 2. Column 1 has no zeros.
    # cycle     2   3   4     5     6         7   8
    # delivers  e0  e1  full  full  full      e2  -
    # column 0  -   .   .     .     drops 2   -   e2
    # column 1  -   .   .     .     e0        e1  e2
    # Both take e2 in 8; column 0 is critical: busy for one cycle. 9 + 2, until 43; two words: 45.
    settings = (*FAR_WINDOW, "token_columns=2", "zero_skip.entries_per_cycle=2")
    own = (*settings, "per_column=true", "depth_entries=2")
    for (layer,) in both([FAR], own, given((1,) * 6 + (0, 0, 1), (1,) * 9)):
        assert layer.cycles == 45
        assert causes(layer) == {
            "dram": 32, "decompressor": 4, "window": 3, "zero_skip": 1, "compute": 1,
            "pipeline": 2, "writeback": 2,
        }  # fmt: skip
        assert layer.units["decompressor"].busy == 3
        assert layer.units["decompressor"].stalled == {"queue_full": 3, "weight_buffer": 2}
        pe = layer.units["pe"]
        assert (pe.busy, pe.stalled["decompressor"], pe.stalled["window"]) == (1 + 3, 4 + 3, 6)


@pytest.mark.rule(microarchitecture=2)
def test_does_a_short_last_group_run_as_one_column() -> None:
    # 29 bytes, from 33. Delivered in 2 … 5. Columns of tokens 0 and 2 drop e0 in 3 and issue e1 …
    # e3 in 4 … 6; that of token 1 issues e0 … e3 in 3 … 6. 7 + 2 cycles each.
    # pass   0: 33–42, both columns    1: 42–51, one
    # write  0: 42–44, two words       1: 51–52
    # Column 0 is critical in both: 7 MACs on 2 PEs need 4 cycles, it is busy for 3; then 3 on one.
    three = given((0, 1, 1, 1), (1, 1, 1, 1), (0, 1, 1, 1))
    own = ("token_columns=2", "zero_skip.entries_per_cycle=1", "per_column=true")
    for (layer,) in both([[[1] * 4]], own, three):
        assert layer.cycles == 52
        assert causes(layer) == {
            "dram": 33, "decompressor": 6, "zero_skip": 2, "compute": 6, "pipeline": 4,
            "writeback": 1,
        }  # fmt: skip
        assert list(layer.pe_load) == [3 + 4 + 3]


@pytest.mark.rule(microarchitecture=5)
def test_does_the_window_wait_for_the_slowest_column() -> None:
    # Column 0 drops all six, column 1 needs them all. A window of 2, two inputs a cycle:
    # cycle     3   4   5   6   7   8   9   10
    # base      0   0   1   2   2   3   4   4
    # loaded    2   2   2   3   4   4   5   6
    # takes     e0  e1  -   e2  e3  -   e4  e5
    # Column 0 does not know that e2 and e4 are dead before their inputs are there, either: it is
    # critical, since both take the last in 10. 33 bytes, from 37; 11 + 2 cycles, until 50; 52.
    narrow = ("window_inputs=2", "inputs_per_cycle=2", "token_columns=2", "per_column=true")
    zeros = given((0,) * 6, (1,) * 6)
    for (layer,) in both([[[1] * 6]], (*narrow, "zero_skip.entries_per_cycle=6"), zeros):
        assert layer.cycles == 52
        assert causes(layer) == {
            "dram": 37, "decompressor": 3, "zero_skip": 6, "window": 2, "pipeline": 2,
            "writeback": 2,
        }  # fmt: skip
        assert layer.units["pe"].busy == 6


@pytest.mark.rule(microarchitecture=7)
def test_is_the_lowest_slot_critical_before_the_lowest_column() -> None:
    # Slot 0 has inputs 1 and 2, slot 1 has 0 and 2: d = 2, 2·18 bits = 5 bytes each; a table of
    # 2 bits, two records: 16 + 1 + 8 + 10 = 35 bytes; line 0 is 25: from 39.
    # cycle            3         4
    # slot 0, column 0 drops 1   drops 2
    # slot 0, column 1 issues 1  issues 2
    # slot 1, column 0 issues 0  drops 2
    # slot 1, column 1 drops 0   issues 2
    # Slot 0 of column 0 is critical: never busy. 5 + 2 cycles, until 46; 4 words: 50.
    own = ("pe_rows=2", "token_columns=2", "per_column=true", "zero_skip.entries_per_cycle=2")
    for (layer,) in both([[[0, 1, 1], [1, 0, 1]]], own, given((1, 0, 0), (0, 1, 1))):
        assert layer.cycles == 50
        assert causes(layer) == {
            "dram": 39, "decompressor": 3, "zero_skip": 2, "pipeline": 2, "writeback": 4
        }  # fmt: skip


# --- schedules ------------------------------------------------------------------------------------


@pytest.mark.rule(microarchitecture=4)
def test_do_the_slots_of_a_set_share_a_unit() -> None:
    # One output on two PE rows of one set: entries 0 and 2, 1 and 3. d = 2, 2·18 bits = 5 bytes
    # each: 16 + 8 + 10 = 34 bytes, from 38. Issued in 3 and 4: 5 + 2 cycles, until 45; 46.
    for (layer,) in both([[[1] * 4]], ("pe_rows=2", "policy=set_associative", "sets=1")):
        assert (layer.cycles, layer.dram_bytes) == (46, 34)
        assert list(layer.pe_load) == [2, 2]
        assert causes(layer) == {
            "dram": 38, "decompressor": 3, "compute": 2, "pipeline": 2, "writeback": 1
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=4)
@pytest.mark.parametrize(("policy", "load"), [("snake", [4, 5]), ("interleaved", [4, 5])])
def test_are_units_dealt_back_and_forth(policy: str, load: list[int]) -> None:
    # Loads 3, 2, 1, 3. Snake: units 0, 3, 1, 2 go to slots 0, 1, 1, 0. Interleaved: 0, 2 and 1, 3.
    mask = [[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]]
    for (layer,) in both([mask], ("pe_rows=2", f"policy={policy}", "accumulators_per_pe=2")):
        assert list(layer.pe_load) == load


@pytest.mark.rule(microarchitecture=4)
@pytest.mark.parametrize(
    ("accumulators", "load", "bytes_", "imbalance"),
    [
        # Loads 4, 1, 1, 1: all small units to slot 1, three units: t = 2. d = 1.
        # 16 + 1 + 8 + 10 (4 of 19 bits) + 8 (3) = 43 bytes.
        (3, [4, 3], 43, 0),
        # Slot 1 has no accumulator for a third: the last joins the large one; t = 1.
        # 16 + 1 + 8 + 12 (5 of 18 bits) + 5 (2) = 42 bytes.
        (2, [5, 2], 42, 1),
    ],
)
def test_does_the_longest_unit_go_first_where_accumulators_allow(
    accumulators: int, load: list[int], bytes_: int, imbalance: int
) -> None:
    rows = ("pe_rows=2", "policy=lpt", f"accumulators_per_pe={accumulators}")
    mask = [[1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    for (layer,) in both([mask], rows):
        assert list(layer.pe_load) == load
        assert layer.dram_bytes == bytes_
        assert layer.cycles == (bytes_ + 4) + (3 + load[0] + 2) + 4
        assert layer.cycles_by_cause["compute"] == 4  # 7 MACs on two PEs.
        assert layer.cycles_by_cause["imbalance"] == imbalance


# --- between passes -------------------------------------------------------------------------------


@pytest.mark.rule(microarchitecture=6)
def test_does_a_pass_wait_for_its_accumulator_bank() -> None:
    # One column of 8 outputs, 8 units on one slot: t = 3. 16 + 4 + 19 (8 of 19 bits) = 39 bytes,
    # from 43. Issued in 3 … 10: a pass of 11 + 2 = 13 cycles.
    # 3 groups of 3 tokens; 24 words to write, one per cycle:
    # pass     0: 43–56    1: 56–69     2: 80–93, when write-back 0 has freed its bank
    # write    0: 56–80    1: 80–104    2: 104–128
    banks = ("accumulators_per_pe=8", "token_columns=3")
    for (layer,) in both([[[1]] * 8], banks, Activations(9, 1.0, 0)):
        assert layer.cycles == 128
        assert causes(layer) == {
            "dram": 43, "decompressor": 9, "compute": 24, "pipeline": 6,
            "writeback": (80 - 69) + (128 - 93),
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=6)
def test_does_a_set_write_one_unit_a_cycle() -> None:
    # The same with one token and a port of 100 words: 8 units of one set take 8 cycles.
    # Dense: no t: 16 + 4 + 16 = 36 bytes, from 40.
    for (layer,) in both([[[1]] * 8], ("accumulators_per_pe=8", "words_per_cycle=100")):
        assert (layer.cycles, layer.dense_cycles) == (43 + 13 + 8, 40 + 13 + 8)


@pytest.mark.rule(microarchitecture=7)
def test_is_a_wait_for_both_the_weights_and_the_bank_put_down_to_dram() -> None:
    # Two strips of one output, 40 inputs: 20 + 85 (40 of 17 bits) = 105 bytes, which at half the
    # peak rate take 210 cycles; the pass may start 209 after the first. Loads: 5–215, and 215–425
    # without a gap; ready in 214 and 424. A pass: issued in 3 … 42: 45 cycles.
    # pass     0: 214–259    1: 259–304    2: 424–469    3: 589–634
    # write    0: 259–424    1: 424–589    2: 589–754    3: 754–919
    # Pass 2 waits for its tile and for write-back 0, both until 424; pass 3 for write-back 1 only.
    slow = ("token_columns=165", "efficiency_permille=[500]")
    for (layer,) in both([[[1] * 40] * 2], slow, given(*[(1,) * 40] * 330)):
        assert (layer.tiles, layer.cycles) == (2, 919)
        assert causes(layer) == {
            "dram": 214 + (424 - 304), "decompressor": 4 * 3, "compute": 4 * 40, "pipeline": 4 * 2,
            "writeback": (589 - 469) + (919 - 634),
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=6)
@pytest.mark.parametrize(
    ("is_prefetched", "cycles"),
    [
        # The second load follows the first without a gap, 27–49; the pass 48–54; written at 55.
        ("true", 55 - 33),
        # It starts with its layer: 33, first latency until 38; like the first.
        ("false", 33),
    ],
)
def test_do_the_weights_of_the_next_layer_run_ahead(is_prefetched: str, cycles: int) -> None:
    prefetch = (f"prefetch_across_layers={is_prefetched}",)
    for first, second in both([[[1]], [[1]]], prefetch):
        assert first.cycles == 33
        assert second.cycles == cycles


@pytest.mark.rule(microarchitecture=6)
def test_do_resident_weights_not_move() -> None:
    # A tile takes two words of 100 bytes, and 16 of its descriptor. Four fit: 6 cycles for a pass,
    # one for its word.
    resident = ("resident=true", "weight_buffer.bytes=864")
    for layers in both([[[1]]] * 4, resident):
        for layer in layers:
            assert (layer.cycles, layer.dram_bytes, layer.ideal_dram_cycles) == (7, 0, 0)
            assert causes(layer) == {
                "decompressor": 3, "compute": 1, "pipeline": 2, "writeback": 1
            }  # fmt: skip
    # A fifth does not fit beside them: all are loaded.
    for layers in both([[[1]]] * 5, resident):
        assert layers[0].cycles == 33
        assert [layer.dram_bytes for layer in layers] == [22] * 5


@pytest.mark.rule(microarchitecture=3)
def test_may_a_resident_tile_fill_the_buffer() -> None:
    for (layer,) in both([[[1]]], ("resident=true", "weight_buffer.bytes=216")):
        assert layer.cycles == 7
    # One that is loaded may take a quarter.
    for (layer,) in both([[[1]]], ("weight_buffer.bytes=800",)):
        assert layer.cycles == 33
    for settings in (("weight_buffer.bytes=799",), ("resident=true", "weight_buffer.bytes=215")):
        small = load_mixed_vector("tf_mvp", [*PAPER, *settings])
        matrices = matrices_of([[[1]]])
        with pytest.raises(InputError, match="weight_buffer"):
            simulated(matrices, small, Activations(1), threads=1)
        with pytest.raises(DoesNotFit):
            reference(matrices, inputs_of(matrices, Activations(1), "fp16"), Machine.of(small))


@pytest.mark.rule(microarchitecture=6)
def test_are_there_four_places_for_tiles() -> None:
    # Six strips of one output, 10 tokens: a pass of 6 cycles, a write-back of 10. A load takes a
    # cycle behind a latency of 50. Loads of tiles 0 … 3: 0–51, –52, –53, –54; tile 4 waits for the
    # place of tile 0, free in 67.
    # pass   0: 51–57  1: 57–63  2: 67–73  3: 77–83  4: 118–124  5: 124–130
    # write  0: 57–67  1: 67–77  2: 77–87  3: 87–97  4: 124–134  5: 134–144
    # load   4: 67–118, ready then    5: 118–119
    places = (*FAST, "first_latency_cycles=50", "token_columns=10")
    for (layer,) in both([[[1]] * 6], places, Activations(10)):
        assert (layer.tiles, layer.cycles) == (6, 144)
        assert layer.units["dram"].busy == 6
        assert layer.units["dram"].stalled == {"first_latency": 100}
        assert causes(layer)["dram"] == 51 + (118 - 83)


@pytest.mark.rule(microarchitecture=6)
def test_does_a_pass_not_wait_for_the_rest_of_a_burst() -> None:
    # 22 bytes in a burst of 64: the pass starts as above, in 26, and ends the layer in 33, before
    # the load has ended in 69.
    for (layer,) in both([[[1]]], ("burst_bytes=64",)):
        assert (layer.cycles, layer.dram_bytes) == (33, 64)
        assert layer.units["dram"].busy == 33 - 5


@pytest.mark.rule(microarchitecture=6)
@pytest.mark.parametrize(("rate", "cycles"), [(1.5, 26), (0.3, 85)])
def test_does_a_decimal_bandwidth_count_whole_cycles(rate: float, cycles: int) -> None:
    # 22 bytes in ⌈22/1.5⌉ = 15 cycles, the first 20 in 14: 14 after the first byte, so from 19.
    # At 0.3: 74 and 67 cycles, so 73 after it, from 78. 6 + 1 cycles more.
    for (layer,) in both([[[1]]], (f"dram.bytes_per_cycle={rate}",)):
        assert layer.cycles == cycles


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.rule(microarchitecture=6)
def test_do_activations_off_chip_come_in_runs() -> None:
    # Words of 4 bytes. One row of 4: a record and 9 bytes, 4 words, 16 bytes: more than a quarter
    # of 48.
    # In ranges of 2 inputs: 2·17 bits = 5 bytes, 3 words, 12 bytes. 25 bytes each, 32 in bursts.
    # Two tokens. A tile's inputs: two runs of 4 bytes, 8 each; the outputs: one run of 4.
    # Loads: 5 + 32 + 16 = 53; then 32 + 16 + 8, until 109. Passes start when all is there.
    # A pass: record, word, e0 with the second word, e1; issued in 3 and 4: 5 + 2 cycles:
    # 53–60 and 109–116; two words: 118.
    small = ("word_bytes=4", "weight_buffer.bytes=48", "activation_buffer.bytes=1")
    for (layer,) in both([[[1] * 4]], (*small, "burst_bytes=8", "token_columns=2"), Activations(2)):
        assert (layer.tiles, layer.dram_bytes, layer.cycles) == (2, 48 + 56, 118)
        assert causes(layer) == {
            "dram": 53 + (109 - 60), "decompressor": 6, "compute": 4, "pipeline": 4, "writeback": 2
        }  # fmt: skip


# --- data types, bytes ----------------------------------------------------------------------------


@pytest.mark.rule(microarchitecture=8)
@pytest.mark.parametrize(("datatype", "bytes_", "cycles"), [("fp16", 25, 37), ("int8", 23, 35)])
def test_is_an_input_that_rounds_to_zero_dropped(datatype: str, bytes_: int, cycles: int) -> None:
    # 2·17 or 2·9 bits: 5 or 3 bytes. In 3 the first is dropped, in 4 the second is issued: a pass
    # of 5 + 2, one word written. 10⁻⁹ is below FP16; 127·10⁻⁹ rounds to 0. Effectual is what was
    # given as not 0, so both are.
    settings = (f"datatype={datatype}", "zero_skip.entries_per_cycle=1")
    for (layer,) in both([[[1, 1]]], settings, given((1e-9, 1))):
        assert (layer.dram_bytes, layer.cycles) == (bytes_, cycles)
        assert (layer.macs_executed, layer.macs_effectual) == (1, 2)


@pytest.mark.rule(microarchitecture=3)
def test_what_are_the_bits_of_two_strips() -> None:
    # A column of 22 on three slots of 4 accumulators, in strips of 12 and 10 outputs: 4 units a
    # slot, and 4, 3 and 3: t = 2, d = 0. Slots of 4·18 bits = 9 bytes and 3·18 = 54, 7 bytes with 2
    # bits to spare. Tables of 12·2 bits = 3 bytes and 10·2 = 20, 3 bytes with 4 bits to spare.
    # 16 + 12 bytes beside them.
    for (layer,) in both([[[1]] * 22], ("accumulators_per_pe=4", "pe_rows=3")):
        assert layer.tiles == 2
        assert layer.storage_bits == {
            "values": 352, "indices": 22 * 2, "pointers": 2 * 224 + 24 + 24 + 2 * 2, "padding": 0
        }  # fmt: skip
        assert layer.dram_bytes == (28 + 3 + 27) + (28 + 3 + 9 + 7 + 7)
        assert layer.mean_entry_weights == 1
