"""Do lanes that choose their inputs take the weights, entries and cycles that the contract says?"""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.costs.area import array_side_mm
from accel_sim.dataflows.mixed_vector.entries import Entries
from accel_sim.dataflows.mixed_vector.lines import entry_count, lines_of
from accel_sim.dataflows.mixed_vector.liveness import liveness
from accel_sim.dataflows.mixed_vector.stream import EncodedTile, balanced, encode, layout_of
from accel_sim.inputs.activations import Activations
from accel_sim.reports.results import LayerResult
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import Orientation
from tests.accel_sim.workloads import random_matrix, roomy, simulated

Cell = tuple[int, int]


def one_of_each(shape: tuple[int, int], lanes: int, select: int, mode: Orientation) -> MaskedMatrix:
    """Every lane of every position keeps one of its candidates, drawn with equal chances."""
    rng = np.random.default_rng(0)
    rows, cols = shape
    keep = np.zeros(shape, np.bool_)
    if mode == "vertical":
        chosen = rng.integers(0, select, (rows, cols // select))
        inputs = np.arange(0, cols, select) + chosen
        keep[np.arange(rows)[:, np.newaxis], inputs] = True
    else:
        chosen = rng.integers(0, select, (rows, cols // (lanes * select), lanes))
        first = np.arange(0, cols, lanes * select)[:, np.newaxis] + np.arange(lanes)
        inputs = (first + chosen * lanes).reshape(rows, -1)
        keep[np.arange(rows)[:, np.newaxis], inputs] = True
    weight = np.where(keep, rng.standard_normal(shape), 0).astype(np.float32)
    return MaskedMatrix("m", keep, weight)


def selects_of(entries: Entries, entry: int, lanes: int) -> dict[int, int]:
    """The select of each lane that has a weight."""
    used = [lane for lane in range(lanes) if int(entries.lanes[entry]) >> lane & 1]
    planes = [int(plane) for plane in entries.selects[:, entry]]
    return {lane: sum((bits >> lane & 1) << b for b, bits in enumerate(planes)) for lane in used}


def cells_of(tile: EncodedTile, mode: Orientation, entry: int) -> list[Cell]:
    """(output, input) of each weight of an entry, in the tile, as §2 says where a lane's are."""
    entries, slots = tile.stream.entries, tile.stream.slots
    unit, lo, g = int(entries.unit[entry]), int(entries.lo[entry]), slots.lanes
    of_lane = selects_of(entries, entry, g)
    if mode == "horizontal":
        return [(unit, lo + lane + select * g) for lane, select in of_lane.items()]
    return [(unit * g + lane, lo + select) for lane, select in of_lane.items()]


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.parametrize("mode", ["horizontal", "vertical"])
def test_is_the_worked_example_the_stream(mode: Orientation) -> None:
    cells = [(0, 0), (0, 3), (0, 4), (0, 5)]
    if mode == "vertical":
        cells = [(0, 0), (0, 1), (1, 1), (3, 0)]
    keep = np.zeros((1, 8) if mode == "horizontal" else (4, 2), np.bool_)
    keep[tuple(np.transpose(cells))] = True
    machine = roomy("lane_select=2", "datatype=int8", "policy=snake", "pe_rows=1")
    lines = lines_of(MaskedMatrix("m", keep), mode, is_packed=True)
    (tile,) = encode(lines, layout_of(machine, 1, 2))
    entries = tile.stream.entries
    assert entries.bits.tolist() == [4 + 3 * 9, 4 + 9]
    assert entries.lanes.tolist() == [0b1011, 0b0001]
    assert entries.selects.tolist() == [[0b0010, 0b0001]]
    inputs = keep.shape[1]
    assert (entries.lo.tolist(), entries.hi.tolist()) == ([0, 0], [inputs, inputs])
    assert tile.stream.slot_bytes.tolist() == [6]


def encoded_cells(tiles: list[EncodedTile], mode: Orientation) -> set[Cell]:
    """All weights of the tiles, in the matrix; each entry is checked against §2."""
    cells: list[Cell] = []
    for tile in tiles:
        entries, slots = tile.stream.entries, tile.stream.slots
        width = tile.size[1]
        across = slots.select * (slots.lanes if mode == "horizontal" else 1)
        ranks: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        found: dict[tuple[int, int], int] = defaultdict(int)
        for entry in range(len(entries)):
            lo, unit = int(entries.lo[entry]), int(entries.unit[entry])
            assert lo % across == 0
            assert entries.hi[entry] == min(lo + across, width)
            found[lo, unit] += 1
            own = cells_of(tile, mode, entry)
            assert len(own) == entries.weights[entry]
            for (out, col), lane in zip(own, selects_of(entries, entry, slots.lanes), strict=True):
                assert lo <= col < entries.hi[entry]
                ranks[lo, unit, lane].append(col)
                cells.append((tile.rows[0] + out, tile.cols[0] + col))
        # As many entries as the fullest lane has weights.
        for (lo, unit), count in found.items():
            assert count == max(len(ranks[lo, unit, lane]) for lane in range(slots.lanes))
    assert len(set(cells)) == len(cells)
    return set(cells)


WAYS = st.tuples(
    st.sampled_from(["horizontal", "vertical"]),
    st.sampled_from([(4, 1), (4, 2), (4, 4), (12, 1), (12, 4), (32, 1), (64, 1)]),
    st.sampled_from([2, 4, 8]),
)


@pytest.mark.rule(microarchitecture=2)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 150)),
    density=st.sampled_from([0.05, 0.3, 1.0]),
    seed=st.integers(0, 2**20),
    way=WAYS,
    room=st.sampled_from([16384, 65536]),
)
def test_is_every_mask_stored_weight_by_weight(
    shape: tuple[int, int],
    density: float,
    seed: int,
    way: tuple[Orientation, tuple[int, int], int],
    room: int,
) -> None:
    mode, (lanes, groups), select = way
    machine = roomy(
        f"lanes={lanes}",
        f"lane_groups=[{groups}]",
        f"lane_select={select}",
        "accumulators_per_pe=192",
        f"window_inputs={lanes * select}",
        "decompressor.word_bytes=16",
        "decompressor.buffer_words=64",
        "weight_buffer.port_bytes=16",
        f"weight_buffer.bytes={room}",
    )
    matrix = random_matrix(shape, density, seed)
    lines = lines_of(matrix, mode, is_packed=True)
    tiles = encode(lines, layout_of(machine, groups, select))
    expected = set(zip(*(axis.tolist() for axis in np.nonzero(matrix.keep)), strict=True))
    assert encoded_cells(tiles, mode) == expected
    if all(tile.size[1] == shape[1] for tile in tiles):
        stored = np.concatenate([tile.stream.entries.weights for tile in tiles])
        partial = np.count_nonzero(stored < lanes // groups)
        assert entry_count(lines, lanes // groups, select) == (len(stored), partial)
    # A perfect schedule deals the same entries, those of a (position, unit) in their order.
    for tile in tiles:
        dealt, given_ = balanced(tile.stream), tile.stream
        evened = tile._replace(stream=dealt)
        assert encoded_cells([evened], mode) == encoded_cells([tile], mode)
        assert dealt.entries.bits.sum() == given_.entries.bits.sum()


@pytest.mark.rule(microarchitecture=2)
@given(
    tokens=st.sampled_from([1, 3, 70]),
    per_column=st.booleans(),
    mode=st.sampled_from(["horizontal", "vertical"]),
    seed=st.integers(0, 2**20),
)
def test_is_a_weight_live_where_the_input_that_it_selects_is(
    tokens: int, per_column: bool, mode: Orientation, seed: int
) -> None:
    matrix = random_matrix((9, 37), 0.4, seed)
    nonzero = np.random.default_rng(seed).random((tokens, 37)) < 0.3
    machine = roomy("lane_select=4", f"token_columns={tokens}", "activation_buffer.banks=4096")
    (tile,) = encode(lines_of(matrix, mode, is_packed=True), layout_of(machine, 1, 4))
    entries = tile.stream.entries
    words = np.zeros((37, -(-tokens // 64)), np.uint64)
    for token, col in zip(*np.nonzero(nonzero), strict=True):
        words[col, token // 64] |= np.uint64(1 << token % 64)
    live = liveness(entries, words, tokens, per_column)
    of_entry: list[NDArray[np.bool_]] = []
    macs = 0
    for entry in range(len(entries)):
        inputs = [col for _, col in cells_of(tile, mode, entry)]
        macs += np.count_nonzero(nonzero[:, inputs])
        of_entry.append(np.asarray(nonzero[:, inputs].any(axis=1)))
    by_token = np.array(of_entry).T
    assert (live.pairs, live.macs) == (np.count_nonzero(by_token), macs)
    dead = ~by_token if per_column else ~by_token.any(axis=0, keepdims=True)
    assert (np.broadcast_to(live.dead, dead.shape) == dead).all()


# As in test_closed_forms: nothing but the array can be the bottleneck.
WIDE = ("word_bytes=64", "buffer_words=64", "weight_buffer.port_bytes=64")


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.rule(microarchitecture=5)
@pytest.mark.parametrize(
    ("mode", "number_bits", "table_bytes"), [("vertical", 2, 1), ("horizontal", 4, 4)]
)
def test_does_a_mask_of_slots_take_an_entry_a_slot(
    mode: Orientation, number_bits: int, table_bytes: int
) -> None:
    # 32 × 64, of four candidates each lane keeps one: 512 weights. Column mode: 8 units of 4
    # outputs and 16 positions of 4 inputs; row mode: 32 units and 4 positions of 16 inputs. Both
    # are 128 full entries, 32 a slot, issued in 3 … 34. An entry has 1 bit of position, the number
    # of its unit (4 or 16 in a set), and four times 2 + 16 bits. A unit is in one of two sets.
    matrix = one_of_each((32, 64), 4, 4, mode)
    (result,) = simulated([matrix], roomy(*WIDE, "lane_select=4"), Activations(4))
    assert (result.orientation, result.lane_groups, result.lane_select) == (mode, 1, 4)
    assert (result.entries, result.mean_entry_weights) == (128, 4)
    assert result.storage_bits == {
        "values": 512 * 16,
        "indices": 128 * (1 + number_bits + 4 * 2),
        "pointers": (16 + table_bytes + 16) * 8,
        "padding": 0,
    }
    causes = result.cycles_by_cause
    assert causes["compute"] == 2 * 32
    assert sum(causes.values()) - causes["dram"] - causes["writeback"] == 2 * (3 + 32 + 3)
    assert result.macs_padding == 0
    assert result.macs_executed == 512 * 4


@pytest.mark.rule(microarchitecture=8)
@pytest.mark.parametrize("datatype", ["fp16", "int8"])
@pytest.mark.parametrize("per_column", ["true", "false"])
@pytest.mark.parametrize("mode", ["horizontal", "vertical"])
def test_is_the_product_that_of_the_mask(mode: Orientation, per_column: str, datatype: str) -> None:
    # A mask of slots, and some weights more, so that lanes have several in a position.
    matrix = one_of_each((32, 64), 4, 4, mode)
    more = random_matrix((32, 64), 0.03, seed=5)
    assert matrix.weight is not None and more.weight is not None
    weight = np.where(matrix.keep, matrix.weight, more.weight)
    both = MaskedMatrix("m", matrix.keep | more.keep, weight)
    settings = (f"datatype={datatype}", f"queue.per_column={per_column}", "lane_select=4")
    (result,) = simulated([both], roomy(*WIDE, *settings), Activations(5, 0.4))
    assert (result.orientation, result.lane_select) == (mode, 4)
    assert result.entries > 128
    assert result.macs_executed == result.macs_effectual < both.nnz * 5
    assert result.product is not None
    assert result.product["is_equal"] is True


@pytest.mark.rule(microarchitecture=9)
@pytest.mark.parametrize(("mode", "operands"), [("vertical", 4), ("horizontal", 4)])
@pytest.mark.parametrize("select", [2, 4])
def test_do_all_candidates_of_column_mode_travel(
    mode: Orientation, operands: int, select: int
) -> None:
    # 4 lanes read 4 inputs in row mode, and all of the position in column mode.
    matrix = one_of_each((32, 64), 4, select, mode)
    machine = roomy(*WIDE, f"lane_select={select}")
    (result,) = simulated([matrix], machine, Activations(4))
    assert (result.orientation, result.lane_select) == (mode, select)
    entry_bits = result.storage_bits["values"] + result.storage_bits["indices"]
    read = result.entries * 4 * 16 * (select if mode == "vertical" else operands)
    # Entries cross the array in both passes; operands and sums half of it; each output has a part
    # of its sum in each of the two slots of its set.
    bit_sides = 2 * entry_bits + read / 2 + 32 * 4 * 2 * 32 / 2
    picojoule = 1e12 * result.energy_by_component_j["wires"]
    assert picojoule == pytest.approx(bit_sides * array_side_mm(machine) * 0.1)


def layer(matrix: MaskedMatrix, *settings: str) -> LayerResult:
    (result,) = simulated([matrix], roomy(*WIDE, *settings), Activations(3))
    return result


@pytest.mark.rule(microarchitecture=2)
def test_does_a_mask_without_choices_stay_as_it_is() -> None:
    # Every weight kept: with s = 4 an entry would only have selects more.
    full = MaskedMatrix("m", np.ones((32, 64), np.bool_))
    plain, choosing = layer(full), layer(full, "lane_select=4")
    assert choosing.lane_select == plain.lane_select == 1
    assert (choosing.cycles, choosing.storage_bits) == (plain.cycles, plain.storage_bits)
    assert choosing.dense_cycles == plain.dense_cycles


@pytest.mark.rule(microarchitecture=1)
def test_is_a_select_as_wide_as_it_must_be() -> None:
    assert {s: roomy().slots(1, s).select_bits for s in (1, 2, 4, 16)} == {1: 0, 2: 1, 4: 2, 16: 4}
    assert roomy("lane_select=4").select_widths == (1, 4)
    assert roomy().select_widths == (1,)
