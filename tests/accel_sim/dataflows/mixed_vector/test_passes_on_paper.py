"""One pass, its entries, slots and lanes: cycles that are counted on paper."""

from typing import Any

import numpy as np
import pytest

from accel_sim.inputs.activations import Activations
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import VectorLayout
from tests.accel_sim.dataflows.mixed_vector.paper_machine import (
    FAR,
    FAR_WINDOW,
    FAST,
    WIDE_WINDOW,
    Mask,
    both,
    causes,
    given,
)
from tests.accel_sim.dataflows.mixed_vector.reference.machine import Machine, refusals
from tests.accel_sim.dataflows.mixed_vector.reference.one_pass import State, run_pass
from tests.accel_sim.dataflows.mixed_vector.reference.passes import live_entries
from tests.accel_sim.dataflows.mixed_vector.reference.tiles import (
    Choice,
    Fields,
    Matrix,
    tiles_of,
)

# --- a pass ---------------------------------------------------------------------------------------


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.rule(microarchitecture=5)
@pytest.mark.rule(microarchitecture=6)
def test_what_does_a_single_weight_take() -> None:
    # 16 + 4 + 2 = 22 bytes: the pass starts in 26. 4 + 2 cycles, until 32. One word: 33.
    # The dense tile has as many bytes: one entry of one value.
    for (layer,) in both([[[1]]]):
        assert (layer.cycles, layer.dense_cycles, layer.dram_bytes) == (33, 33, 22)
        assert causes(layer) == {
            "dram": 26, "decompressor": 3, "compute": 1, "pipeline": 2, "writeback": 1
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.rule(microarchitecture=5)
def test_what_does_a_single_empty_place_take() -> None:
    # 20 bytes, all in line 0: the pass starts in 25. It ends when the record is read: 1 + 2 cycles,
    # until 28; written at 29.
    for (layer,) in both([[[0]]]):
        assert (layer.cycles, layer.dense_cycles, layer.dram_bytes) == (29, 33, 20)
        assert causes(layer) == {"dram": 25, "decompressor": 1, "pipeline": 2, "writeback": 1}
        assert layer.imbalance is None
        assert layer.mean_entry_weights is None
        assert layer.units["decompressor"].stalled == {"queue_full": 0, "weight_buffer": 1}


@pytest.mark.rule(microarchitecture=5)
def test_does_a_queue_of_one_deliver_every_other_cycle() -> None:
    # Positions 0 … 3: d = 1. 4·17 = 68 bits = 9 bytes; 29 bytes, from 33. The parser sees the queue
    # as it was:
    # cycle     0       1     2   3     4   5     6   7     8   9
    # delivers  record  word  e0  full  e1  full  e2  full  e3  -
    # issues    -       -     -   e0    -   e1    -   e2    -   e3
    # 10 + 2 cycles, until 45; written at 46. Dense: 28 bytes, from 32: 44, 45.
    for (layer,) in both([[[1, 1, 1, 1]]], ("depth_entries=1",)):
        assert (layer.cycles, layer.dense_cycles) == (46, 45)
        assert causes(layer) == {
            "dram": 33, "decompressor": 6, "compute": 4, "pipeline": 2, "writeback": 1
        }  # fmt: skip
        unit = layer.units["decompressor"]
        assert (unit.busy, unit.stalled) == (4, {"queue_full": 3, "weight_buffer": 2})


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.rule(microarchitecture=6)
def test_does_an_entry_wait_for_all_its_bits() -> None:
    # The same in words of 2 bytes: H = 2, five words, the last of one byte. Bits that wait:
    # cycle     0   1   2   3   4      5      6      7      8
    # reads     r   r   w0  w1  w2     w3     w4     -      -
    # bits      -   -   0   16  32     31     30     21     4
    # delivers  -   -   -   -   e0     e1     e2     e3     -
    # issues    -   -   -   -   -      e0     e1     e2     e3
    # Lines: 20, 20, 22, 24, 26, 28, 29 bytes; less 0 … 6 the most is 23. From 28: 9 + 2 cycles,
    # until 39; written at 40. Dense: entries of 16 bits, delivered in 3 … 6: 8 + 2, until 38; 39.
    for (layer,) in both([[[1, 1, 1, 1]]], ("word_bytes=2",)):
        assert (layer.cycles, layer.dense_cycles) == (40, 39)
        assert causes(layer) == {
            "dram": 28, "decompressor": 5, "compute": 4, "pipeline": 2, "writeback": 1
        }  # fmt: skip
        unit = layer.units["decompressor"]
        assert (unit.busy, unit.stalled) == (4, {"queue_full": 0, "weight_buffer": 4})


@pytest.mark.rule(microarchitecture=5)
def test_does_a_far_input_wait_for_the_window() -> None:
    # d = 3: 2·19 = 38 bits = 5 bytes; 25 bytes, from 29. Window of 2, 1 input per cycle:
    # cycle   0   1   2   3   4   5   6   7   8   9   10
    # base    0   0   0   0   0   6   6   6   6   6   6
    # loaded  0   1   2   2   2   2   3   4   5   6   7
    #         -   -   -   e0  .   .   .   .   .   .   e1 needs [6, 7)
    # e0 is the front in 3, so base stays 0 in 4; e1 is in 4, so base is 6 in 5; until then nothing
    # enters (2, 3, 4). 11 + 2 cycles, until 42; written at 43.
    window = ("window_inputs=2", "inputs_per_cycle=1")
    for (layer,) in both([[[1, 0, 0, 0, 0, 0, 1, 0]]], window):
        assert layer.cycles == 43
        assert causes(layer) == {
            "dram": 29, "decompressor": 3, "window": 6, "compute": 2, "pipeline": 2, "writeback": 1
        }  # fmt: skip
        assert layer.units["matching"].busy == 8
        assert layer.units["matching"].stalled == {"window_full": 3}


@pytest.mark.rule(microarchitecture=5)
def test_does_the_window_not_move_by_an_entry_that_is_not_parsed() -> None:
    # Two inputs far apart, words of 1 byte: H = 4, and e1 is complete long after e0. Entries of
    # 19 bits, 5 bytes, read in 4 … 8; four inputs are in the window from 1 on:
    # cycle     5   6   7      8   9      10  11  12
    # bits      8   16  24 e0  13  21 e1  -   -   -
    # base      0   0   0      0   0      0   6   6
    # loaded    4   4   4      4   4      4   4   8
    # takes     -   -   -      e0  -      .   .   e1
    # After 8 nothing waits, but e1 may need any input from that of e0 on: base stays until e1 is
    # seen in the queue, in 10. 13 + 2 cycles. The load brings a byte a cycle, as the port reads:
    # lead 20, from 25 until 40; written at 41.
    for (layer,) in both([[[1, 0, 0, 0, 0, 0, 1, 0]]], ("word_bytes=1",)):
        assert layer.cycles == 41
        assert causes(layer) == {
            "dram": 25, "decompressor": 8 + 1, "window": 2, "compute": 2, "pipeline": 2,
            "writeback": 1,
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=5)
def test_is_an_entry_of_zeros_dropped_at_the_pace_of_the_parser() -> None:
    # 29 bytes, from 33. One entry is delivered a cycle: dropped in 3, 4, 5; e3 issued in 6: 7 + 2
    # cycles, until 42; 43.
    some = given((0, 0, 0, 1))
    for (layer,) in both([[[1, 1, 1, 1]]], ("zero_skip.entries_per_cycle=2",), some):
        assert layer.cycles == 43
        assert causes(layer) == {
            "dram": 33, "decompressor": 3, "zero_skip": 3, "compute": 1, "pipeline": 2,
            "writeback": 1,
        }  # fmt: skip
        assert layer.units["zero_skip"].busy == 3
        assert (layer.macs_executed, layer.macs_skipped) == (1, 3)


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.parametrize(
    ("z", "cycles", "zero_skip"),
    [
        # In 6 two are dropped and the third is issued: 7 + 2 cycles.
        (2, 42, 0),
        # In 6 one is dropped, and what is in front is skippable; in 7 one more, and e2 is issued.
        (1, 43, 1),
    ],
)
def test_is_a_zero_known_only_in_the_window(z: int, cycles: int, zero_skip: int) -> None:
    # d = 3: 3·19 = 57 bits = 8 bytes; 28 bytes, from 32. Delivered in 2, 3, 4. e0 waits in 3, so
    # base is 6 in 4; loaded is 3, 6, 9 in 4, 5, 6. The zeros at 6 and 7 are not known before 6.
    for (layer,) in both(
        [FAR], (*FAR_WINDOW, f"zero_skip.entries_per_cycle={z}"), given((1,) * 6 + (0, 0, 1))
    ):
        assert layer.cycles == cycles
        assert layer.cycles_by_cause["window"] == 3
        assert layer.cycles_by_cause["zero_skip"] == zero_skip
        assert layer.units["zero_skip"].busy == 1 + zero_skip


@pytest.mark.rule(microarchitecture=5)
def test_is_a_pass_of_zeros_only_skipped() -> None:
    # 5·17 = 85 bits = 11 bytes; 31 bytes, from 35. Dropped in 3 … 7: 8 + 2 cycles, 45; 46.
    for (layer,) in both(
        [[[1, 1, 1, 1, 1]]], ("zero_skip.entries_per_cycle=1",), Activations(1, 0.0, 0)
    ):
        assert layer.cycles == 46
        assert causes(layer) == {
            "dram": 35, "decompressor": 3, "zero_skip": 5, "pipeline": 2, "writeback": 1
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.rule(microarchitecture=5)
def test_is_a_weight_whose_input_is_zero_not_multiplied() -> None:
    # Inputs 0 and 2 on 4 lanes. Row mode: one entry of 4 + 2·16 = 36 bits = 5 bytes: 25 bytes,
    # from 29; issued in 3: 4 + 2 cycles, until 35; 36. Column mode: two entries of 2 + 4 + 16 bits,
    # 6 bytes, from 30; the second is dropped in 4: 5 + 2 cycles, until 37; 38.
    packed = ("array.lanes=4", "accumulators_per_pe=4", "zero_skip.entries_per_cycle=1")
    for (layer,) in both([[[1, 0, 1, 0]]], packed, given((1, 0, 0, 0))):
        assert layer.orientation == "horizontal"
        assert layer.cycles == 36
        assert (layer.macs_executed, layer.macs_effectual, layer.macs_skipped) == (1, 1, 1)
        assert layer.macs_padding == 3
        assert (layer.units["lane"].busy, layer.units["lane"].stalled["empty_lanes"]) == (1, 3)


# --- entries, slots and lane groups ---------------------------------------------------------------


TWO = ("array.lanes=2", "accumulators_per_pe=4", *WIDE_WINDOW, *FAST)


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.rule(microarchitecture=3)
@pytest.mark.parametrize(
    ("groups", "cycles", "orientation", "n", "bytes_"),
    [
        # g = 2. Row mode: 8 entries, issued in 3 … 10: 11 + 2, from 6 until 19; two words: 21.
        # 16 + 4 + 20 (8 of 1 + 1 + 2 + 16 bits) = 40 bytes.
        # Column mode: 8 entries too, and one unit: 16 + 4 + 19 (8 of 1 + 2 + 16 bits) = 39 bytes.
        ("[1]", 21, "vertical", 1, 39),
        # Two slots of one lane, four entries each. Words in 1 and 2, issued in 3 … 6 and 4 … 7:
        # 8 + 2. The row has three words in lines 0 and 1: from 7 until 17; two words: 19.
        # 16 + 1 (two units) + 8 + 2·9 (4 of 2 + 16 bits) = 43 bytes. With one lane both modes are
        # the same; row mode is first.
        ("[1, 2]", 19, "horizontal", 2, 43),
    ],
)
def test_is_the_best_grouping_chosen(
    groups: str, cycles: int, orientation: str, n: int, bytes_: int
) -> None:
    mask = [[1, 0, 0, 1, 1, 0, 0, 1], [0, 1, 1, 0, 0, 1, 1, 0]]
    for (layer,) in both([mask], (*TWO, f"lane_groups={groups}")):
        assert (layer.orientation, layer.lane_groups) == (orientation, n)
        assert (layer.cycles, layer.dram_bytes) == (cycles, bytes_)


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.rule(microarchitecture=7)
def test_how_many_small_groups_is_a_slot() -> None:
    # One weight takes as long with one slot of two lanes as with two of one, but two records are
    # 4 bytes more: 16 + 4 + 3 (2 + 16 bits) against 16 + 8 + 2. From 6: 4 + 2 cycles, 12; 13.
    # The slot counts as both of the smallest groups: what it does counts twice.
    for (layer,) in both([[[1]]], (*TWO, "lane_groups=[1, 2]")):
        assert (layer.orientation, layer.lane_groups, layer.cycles) == ("horizontal", 1, 13)
        pe, lane, parser = (layer.units[kind] for kind in ("pe", "lane", "decompressor"))
        assert (pe.count, pe.busy, pe.stalled["decompressor"], pe.idle) == (2, 2, 6, 0)
        assert (pe.stalled["pipeline"], pe.stalled["dram"], pe.stalled["writeback"]) == (4, 12, 2)
        assert (lane.count, lane.busy, lane.stalled["empty_lanes"]) == (2, 1, 1)
        assert (parser.count, parser.busy, parser.stalled["weight_buffer"]) == (2, 2, 4)
        assert layer.units["zero_skip"].count == 2


@pytest.mark.rule(microarchitecture=5)
def test_does_the_port_serve_the_slot_with_the_fewest_bits() -> None:
    # Two slots of one lane, words of 2 bytes: H = 4. Each has 3 entries of 17 bits in 7 bytes,
    # 4 words, the last of one byte. Bits that wait, and who delivers:
    # cycle   4   5   6   7      8      9      10     11     12
    # reads   s0  s1  s0  s1     s0     s1     s0     s1     -
    # slot 0  0   16  16  32 e0  15     31 e1  14     22 e2  5
    # slot 1  0   0   16  16     32 e0  15     31 e1  14     22 e2
    # The last is issued in 13: 14 + 2 cycles. Lines 0 … 7 have 1, 2, 3, 4, 6, 8, 10, 12 words: the
    # last one is there 12 cycles after the first byte, and read 7 after the start: from 5 + 5 until
    # 26; two words: 28.
    # Dense: 3 of 16 bits. s0, s1 take turns from 4 to 9, deliver in 5, 7, 9 and 6, 8, 10; issued
    # until 11: 12 + 2. Three words a slot, so from 5 + 10 − 6 until 23; 25.
    narrow = ("word_bytes=2", "lane_groups=[2]", "array.lanes=2", "accumulators_per_pe=2", *FAST)
    for (layer,) in both([[[1, 1, 1], [1, 1, 1]]], narrow):
        assert (layer.cycles, layer.dense_cycles) == (28, 25)
        parser = layer.units["decompressor"]
        # Slot 0: 4 without a record, 4 … 6, 8, 10. Slot 1: 4, 4 … 7, 9, 11.
        assert (parser.busy, parser.stalled) == (6, {"queue_full": 0, "weight_buffer": 9 + 10})


@pytest.mark.rule(microarchitecture=5)
def test_does_a_port_stop_where_there_is_no_room() -> None:
    # Words of 4 bytes, 3 of them: 96 bits. 6 entries of d = 4 and 16 bits = 120 bits = 15 bytes,
    # 4 words, the last of 3 bytes. The queue of one is full until the window has come to input 15:
    # cycle     0  1   2     3   4     5    6
    # reads     r  w0  w1    w2  -     -
    # bits      -  -   32    44  76    76
    # delivers  -  -   e0    full …
    # In 4 there is no room for a fourth word (76 + 32 > 96) until the next entry has gone.
    # base is 15 in 4; loaded is 4 until then, 8 in 5, 12 in 6, 16 in 7: e0 is issued in 7. The
    # queue is seen empty in 8: e1; 56 bits are left in 9, when the last word is read. Then every
    # other cycle: e1 is issued in 9 (loaded is 19 in 8, by the window of 4), e2 delivered in 10 and
    # issued in 11, e5 issued in 17. 18 + 2 cycles.
    # Lines: 20, 24, 28, 32, 35 bytes, less their number: 31. From 36: until 56; written at 57.
    mask = [[0] * 15 + [1] * 6]
    for (layer,) in both([mask], ("word_bytes=4", "buffer_words=3", "depth_entries=1")):
        assert layer.cycles == 57
        assert causes(layer) == {
            "dram": 36, "decompressor": 3 + 5, "window": 4, "compute": 6, "pipeline": 2,
            "writeback": 1,
        }  # fmt: skip
        # Full in 3 … 7 (e0), 9, 11, 13, 15; the bits are always there, also of e4, which would
        # not be if the last word came two cycles later.
        parser = layer.units["decompressor"]
        assert (parser.busy, parser.stalled) == (6, {"queue_full": 9, "weight_buffer": 2})


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.parametrize(
    ("packing", "layout", "cycles"),
    [
        # One entry of 4 weights: 4 + 2 cycles from 6, one word.
        ("true", [(0, 0, 2), (0, 2, 2)], 13),
        # Two pieces.
        ("false", [(0, 0, 2), (0, 2, 2)], 14),
        # One piece: the longest vector, which runs over the end.
        ("false", None, 13),
        # Vectors along the other axis are not along the lanes of row mode: divided anew.
        ("false", "vertical", 13),
    ],
)
def test_is_an_entry_a_piece_of_a_vector(packing: str, layout: Any, cycles: int) -> None:
    vectors = None
    if layout == "vertical":
        every = np.arange(4, dtype=np.int32)
        vectors = VectorLayout("vertical", every, 0 * every, 0 * every + 1)
    elif layout:
        lines, starts, lengths = np.array(layout, np.int32).T
        vectors = VectorLayout("horizontal", *map(np.ascontiguousarray, (lines, starts, lengths)))
    matrix = MaskedMatrix("m0", np.ones((1, 4), np.bool_), None, "other", vectors)
    settings = ("array.lanes=4", "accumulators_per_pe=4", f"packing={packing}", *FAST)
    for (layer,) in both([matrix], settings):
        assert (layer.orientation, layer.cycles) == ("horizontal", cycles)


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.parametrize(
    ("mask", "orientation", "cycles"),
    [
        # One entry of 4 outputs; four in row mode. 4 + 2 cycles from 6, 4 words.
        ([[1], [1], [1], [1]], "vertical", 16),
        # One entry of 4 inputs; four in column mode. One word.
        ([[1, 1, 1, 1]], "horizontal", 13),
    ],
)
def test_is_the_mode_chosen_by_cycles(mask: Mask, orientation: str, cycles: int) -> None:
    for (layer,) in both([mask], ("array.lanes=4", "accumulators_per_pe=4", *FAST)):
        assert (layer.orientation, layer.cycles) == (orientation, cycles)


@pytest.mark.rule(microarchitecture=5)
def test_is_the_worked_pass_of_the_page_right() -> None:
    # The table in docs/microarchitecture.md: one PE row with two slots of 2 lanes, two tokens.
    machine = Machine().having(
        {
            "array.pe_rows": 1,
            "array.token_columns": 2,
            "array.lanes": 4,
            "array.lane_groups": (2,),
            "array.accumulators_per_pe": 4,
            "array.datatype": "int8",
            "scheduler.policy": "interleaved",
            "queue.depth_entries": 2,
            "decompressor.word_bytes": 4,
            "decompressor.buffer_words": 6,
            "matching.window_inputs": 4,
            "matching.inputs_per_cycle": 2,
            "weight_buffer.bytes": 800,
        }
    )
    assert not refusals(machine)
    keep = np.zeros((4, 8), np.bool_)
    for out, inputs in enumerate(((0, 1, 7), (0, 1, 4, 5), (0,), (6, 7))):
        keep[out, inputs] = True
    choice = Choice("row", 2)
    (tile,) = tiles_of(Matrix.pruned(keep, None, "row", machine), choice, machine)
    assert (tile.fields, tile.stream_bytes, tile.header_words) == (Fields(2, 1, 2), [6, 8], 2)
    x = [[True] * 8, [True] * 8]
    x[0][4:6] = x[1][4:6] = [False, False]
    x[1][0] = False

    found: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, int]]] = []

    def watch(state: State) -> None:
        waiting = tuple(slot.waiting for slot in state.slots)
        held = tuple(slot.takers[0].held for slot in state.slots)
        found.append((waiting, held, (state.window.base, state.window.loaded)))

    count = run_pass(tile, live_entries(tile, range(2), x, machine), machine, watch=watch)
    assert found == [
        # Bits that wait, entries in the queues, the window.
        ((0, 0), (0, 0), (0, 0)),
        ((0, 0), (0, 0), (0, 2)),
        ((0, 0), (0, 0), (0, 4)),
        ((32, 0), (0, 0), (0, 4)),
        ((12, 32), (1, 0), (0, 4)),
        ((28, 12), (0, 1), (0, 4)),
        ((14, 44), (1, 0), (0, 4)),
        ((0, 24), (1, 1), (0, 4)),
        ((0, 4), (1, 2), (4, 4)),
        ((0, 4), (1, 2), (4, 6)),
        ((0, 4), (1, 1), (4, 8)),
    ]
    slot_0, slot_1 = count.takers
    assert slot_0.cycles == {"decompressor": 5, "busy": 3, "window": 3, "idle": 0}
    assert slot_1.cycles == {"decompressor": 6, "busy": 2, "window": 2, "zero_skip": 1, "idle": 0}
    assert count.decompressor == {"busy": 6, "queue_full": 0, "weight_buffer": 4 + 5}
    assert count.matching == {"busy": 4, "window_full": 6}


# --- lanes that choose ----------------------------------------------------------------------------

CHOOSING = ("array.lanes=2", "lane_select=2", "accumulators_per_pe=2")

PAIRS = [[1, 0, 0, 1], [0, 1, 1, 0]]


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.rule(microarchitecture=3)
def test_do_lanes_that_choose_fill_their_entries() -> None:
    # Without selects each weight is an entry of its own, in both modes. With two candidates a lane
    # there are two full entries: in row mode an output each, whose lanes take inputs 0 and 3, or 2
    # and 1; in column mode inputs 0 and 1 for both lanes, then 2 and 3. t = 1 or d = 1, and no
    # bitmaps: 1 + 2·(1 + 16) = 35 bits each, 9 bytes; 29 bytes, from 33. Issued in 3 and 4: 5 + 2
    # cycles, until 40; two words until 42. Ties go to row mode.
    # Dense: 36 bytes, from 40; 4 entries, issued in 3 … 6: 7 + 2, until 49; 51.
    for (layer,) in both([PAIRS], CHOOSING):
        assert (layer.cycles, layer.dense_cycles, layer.entries) == (42, 51, 2)
        assert (layer.orientation, layer.lane_select) == ("horizontal", 2)
        assert layer.storage_bits == {
            "values": 64, "indices": 2 * 3, "pointers": 8 * 20 + 2, "padding": 0
        }  # fmt: skip
        assert causes(layer) == {
            "dram": 33, "decompressor": 3, "compute": 2, "pipeline": 2, "writeback": 2
        }  # fmt: skip


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.rule(microarchitecture=5)
def test_does_a_candidate_that_is_not_selected_not_keep_an_entry_alive() -> None:
    # Inputs 0 and 3 are zero, which are those of output 0: its entry is dropped in 3.
    settings = (*CHOOSING, "zero_skip.entries_per_cycle=1")
    for (layer,) in both([PAIRS], settings, given((0, 1, 1, 0))):
        assert (layer.cycles, layer.orientation, layer.lane_select) == (42, "horizontal", 2)
        assert causes(layer) == {
            "dram": 33, "decompressor": 3, "zero_skip": 1, "compute": 1, "pipeline": 2,
            "writeback": 2,
        }  # fmt: skip
        assert (layer.macs_executed, layer.macs_skipped, layer.macs_padding) == (2, 2, 0)


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.rule(microarchitecture=5)
def test_does_an_entry_wait_for_all_candidates_of_its_position() -> None:
    # One input enters a cycle, c of them are there in cycle c. Column mode: position 3 has inputs
    # 6 and 7, of which lane i takes 6 + i. d = 2: 2 + 2·17 bits = 5 bytes; 25 bytes, from 29. It
    # waits in 3 … 7 and is issued in 8: 9 + 2 cycles, until 40; 42.
    # Without selects the second of two entries is issued in 8 too, but they have a byte more.
    narrow = (*CHOOSING, "window_inputs=8", "inputs_per_cycle=1")
    for (layer,) in both([[[0] * 6 + [1, 0], [0] * 7 + [1]]], narrow):
        assert (layer.cycles, layer.orientation, layer.lane_select) == (42, "vertical", 2)
        assert causes(layer) == {
            "dram": 29, "decompressor": 3, "window": 5, "compute": 1, "pipeline": 2,
            "writeback": 2,
        }  # fmt: skip
    # Both lanes take input 6. With selects they would wait for input 7 as well. Without them the
    # entry of 3 + 2·16 bits is issued in 7: a cycle less.
    for (layer,) in both([[[0] * 6 + [1, 0]] * 2], narrow):
        assert (layer.cycles, layer.orientation, layer.lane_select) == (41, "vertical", 1)
        assert causes(layer)["window"] == 4
