"""Does the machine take the cycles that follow from a formula, on workloads of a larger size?

Numbers in comments follow docs/microarchitecture.md, section by section.
"""

import numpy as np
import pytest

from accel_sim.dataflows.abstract.loads import Part, transfer_cycles
from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.inputs.activations import Activations
from accel_sim.reports.results import LayerResult
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import load_mixed_vector, random_matrix, simulated, vector_matrix

# 4 PE rows × 2 token columns × 4 lanes in one group; nothing but the array can be the bottleneck.
WIDE = (
    "pe_rows=4",
    "token_columns=2",
    "lanes=4",
    "lane_groups=[1]",
    "accumulators_per_pe=16",
    "pe_latency_cycles=3",
    "sets=2",
    "word_bytes=64",
    "buffer_words=64",
    "weight_buffer.port_bytes=64",
    "window_inputs=64",
    "inputs_per_cycle=64",
    "words_per_cycle=64",
)


def wide(*settings: str) -> MixedVector:
    """The wide machine, with more settings on top."""
    return load_mixed_vector("tf_mvp", [*WIDE, *settings])


def run(
    matrix: MaskedMatrix, machine: MixedVector, tokens: int = 1, density: float = 1.0
) -> LayerResult:
    (result,) = simulated([matrix], machine, Activations(tokens, density))
    return result


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.rule(microarchitecture=5)
@pytest.mark.rule(microarchitecture=6)
@pytest.mark.rule(microarchitecture=7)
def test_does_a_full_array_issue_one_entry_per_slot_and_cycle() -> None:
    # 32 × 64, all kept. Column mode: 8 units of 4 outputs, 4 in each of two sets of two slots; 64
    # positions: 512 entries, 128 a slot, issued in 3 … 130: a pass of 131 + 3 = 134 cycles.
    # Every entry is full: no bitmaps. d = 1, t = 2: 67 bits; 128 of them are 1072 bytes, 17 words.
    # 16 + 1 (8 units) + 16 + 4·1072 = 4321 bytes, 68 bursts, ⌈4352/60.8⌉ = 72 cycles. The last of
    # 18 lines is there ⌈4321/60.8⌉ = 72 cycles after the first byte and may be read 17 after the
    # start; the line before, of 16 words a slot, has 4129 bytes, 68 cycles, 16. So from 50 + 55.
    # Two groups of two tokens; 32·2/64 = 1 cycle of words to write, but 4 of units.
    # (Row mode: as many entries, but 16 units in a set: t = 4, and 16 cycles to write.)
    result = run(MaskedMatrix("full", np.ones((32, 64), np.bool_)), wide(), tokens=4)
    assert (result.orientation, result.entries, result.mean_entry_weights) == ("vertical", 512, 4)
    assert result.storage_bits == {
        "values": 2048 * 16,
        "indices": 512 * 3,
        "pointers": (16 + 1 + 16) * 8,
        "padding": 0,
    }
    assert result.dram_bytes == 4352
    assert result.cycles == 105 + 2 * 134 + 4
    assert result.cycles_by_cause == {
        "compute": 256,
        "empty_lanes": 0,
        "lockstep": 0,
        "imbalance": 0,
        "zero_skip": 0,
        "window": 0,
        "decompressor": 6,
        "pipeline": 6,
        "dram": 105,
        "writeback": 4,
    }
    assert result.utilization == 2048 * 4 / (4 * 2 * 4 * result.cycles)
    # Dense: values only, 1024 bytes a slot, 16 words: 16 + 16 + 4096 = 4128 bytes. The last of 17
    # lines: ⌈4128/60.8⌉ = 68, less 16.
    assert result.dense_cycles == 50 + 52 + 2 * 134 + 4


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.parametrize("policy", ["interleaved", "snake", "lpt", "set_associative"])
def test_does_a_narrow_array_take_its_weights_one_by_one(policy: str) -> None:
    # One slot of one lane: a weight a cycle, whatever the policy; issue starts in cycle 3.
    machine = wide(
        "pe_rows=1",
        "lanes=1",
        "token_columns=1",
        "sets=1",
        f"policy={policy}",
        "zero_skip.entries_per_cycle=0",
    )
    matrix = random_matrix((16, 24), 0.5, seed=3)
    result = run(matrix, machine)
    in_pass = result.cycles - result.cycles_by_cause["dram"] - result.cycles_by_cause["writeback"]
    assert in_pass == 3 + matrix.nnz + 3


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_do_dense_lane_groups_take_as_long(groups: int) -> None:
    # 64 × 64 all kept: 4096 weights on 16 lanes of a token are 256 cycles, however the lanes are
    # grouped: words of 512 bits hold an entry of at most 4·16 + 9 bits for each of up to 4 slots.
    # With n groups the first words of a row come one by one, so it ends n − 1 cycles later.
    machine = wide(f"lane_groups=[{groups}]", "token_columns=1", "accumulators_per_pe=32")
    result = run(MaskedMatrix("full", np.ones((64, 64), np.bool_)), machine)
    in_pass = result.cycles - result.cycles_by_cause["dram"] - result.cycles_by_cause["writeback"]
    assert result.tiles == 1
    assert in_pass == 3 + 256 + (groups - 1) + 3
    assert result.cycles_by_cause["compute"] == 256


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.parametrize("resident", ["true", "false"])
@pytest.mark.parametrize("orientation", ["horizontal", "vertical"])
@pytest.mark.parametrize("length", [1, 3, 8])
def test_is_the_choice_the_best_of_those_alone(
    orientation: str, length: int, resident: str
) -> None:
    matrix = vector_matrix((48, 40), orientation, length, 0.3, length)  # type: ignore[arg-type]
    settings = ("lanes=8", f"dram.resident={resident}", "words_per_cycle=16")
    alone = {
        n: run(matrix, wide(*settings, f"lane_groups=[{n}]"), 5, 0.6).cycles for n in (1, 2, 4, 8)
    }
    best = run(matrix, wide(*settings, "lane_groups=[1, 2, 4, 8]"), 5, 0.6)
    assert best.cycles == min(alone.values())
    assert best.cycles == alone[best.lane_groups]


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.rule(microarchitecture=5)
def test_is_an_empty_matrix_only_records() -> None:
    # Column mode: 7 positions, one unit of 4 outputs and one of 1: 16 + 1 + 16 = 33 bytes, there in
    # ⌈33/51.2⌉ = 1 cycle. (Row mode: 5 units, 3 in a set, 3 cycles to write.) The pass ends when
    # the records are read: 1 + 3 cycles. One unit in each set: one cycle.
    result = run(MaskedMatrix("zero", np.zeros((5, 7), np.bool_)), wide(), tokens=2)
    assert (result.orientation, result.dram_bytes) == ("vertical", 64)
    assert result.cycles == (50 + 1) + (1 + 3) + 1
    assert result.macs_executed == result.macs_skipped == 0
    assert result.pj_per_executed_mac is None
    assert result.imbalance is None


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.parametrize(("inputs", "tiles"), [(30_000, 1), (40_000, 2)])
def test_is_a_sub_stream_cut_that_its_record_cannot_count(inputs: int, tiles: int) -> None:
    # One slot of 16 lanes: in row mode full entries of 1 + 256 bits. 1875 of them are 60,235 bytes,
    # 2500 are 80,313, more than 16 bits count; a quarter of the buffer has 163,840.
    machine = wide("pe_rows=1", "lanes=16", "token_columns=1", "sets=1", "window_inputs=128")
    result = run(MaskedMatrix("long", np.ones((1, inputs), np.bool_)), machine)
    assert (result.orientation, result.tiles) == ("horizontal", tiles)


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.parametrize("orientation", ["horizontal", "vertical"])
def test_does_an_input_of_zeros_skip_everything(orientation: str) -> None:
    matrix = vector_matrix((24, 40), orientation, 4, 0.4)  # type: ignore[arg-type]
    result = run(matrix, wide(), tokens=5, density=0.0)
    assert result.macs_executed == 0
    assert result.macs_skipped == matrix.nnz * 5
    assert result.macs_effectual == 0
    # Each of three groups drops every entry.
    assert result.units["zero_skip"].busy == 3 * result.entries


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.rule(microarchitecture=5)
def test_is_a_machine_without_zero_skip_blind_to_zeros() -> None:
    matrix = random_matrix((24, 40), 0.3)
    blind = wide("zero_skip.entries_per_cycle=0")
    sparse, dense = run(matrix, blind, 5, 0.2), run(matrix, blind, 5, 1.0)
    assert sparse.cycles == dense.cycles
    assert sparse.macs_executed == matrix.nnz * 5


@pytest.mark.rule(microarchitecture=6)
def test_do_weights_bound_a_single_token_by_the_dram() -> None:
    # With one token each pass is shorter than its load, so loads follow each other without a gap,
    # and the last layer ends as if it were alone, behind the loads of all others.
    matrices = [vector_matrix((32, 64), "horizontal", 16, 0.5, s, f"m{s}") for s in range(6)]
    machine = wide("dram.bytes_per_cycle=4")
    results = simulated(matrices, machine, Activations(1))
    loads = sum(transfer_cycles(Part(1, r.dram_bytes), machine) for r in results[:-1])
    assert sum(r.cycles for r in results) == loads + run(matrices[-1], machine).cycles


@pytest.mark.rule(microarchitecture=6)
def test_does_a_resident_matrix_take_its_passes_only() -> None:
    matrix = random_matrix((32, 64), 0.3)
    loaded, resident = run(matrix, wide()), run(matrix, wide("dram.resident=true"))
    assert resident.dram_bytes == resident.cycles_by_cause["dram"] == 0
    assert resident.energy_by_component_j["dram"] == 0
    assert resident.orientation == loaded.orientation
    assert loaded.cycles - loaded.cycles_by_cause["dram"] == resident.cycles


@pytest.mark.rule(microarchitecture=6)
def test_does_a_transfer_take_whole_bursts_at_the_listed_efficiency() -> None:
    machine = wide()
    # 64 B at 80 %, 256 B at 90 %, 1 KB at 95 % of 64 bytes per cycle.
    assert transfer_cycles(Part(1, 64), machine) == 2
    assert transfer_cycles(Part(1, 192), machine) == 4  # 192/51.2 = 3.75
    assert transfer_cycles(Part(1, 256), machine) == 5  # 256/57.6 = 4.4
    assert transfer_cycles(Part(1, 6080), machine) == 100
    # Runs that do not touch go at the efficiency of their own length, rounded up once.
    assert transfer_cycles(Part(100, 64), machine) == 125  # 6400/51.2
    assert transfer_cycles(Part(3, 256), machine) == 14  # 768/57.6 = 13.3


@pytest.mark.rule(microarchitecture=6)
def test_is_a_decimal_bandwidth_counted_exactly() -> None:
    # 3136 / (0.7 · 0.7) is 6400; in binary fractions it is a little more, and would round up.
    machine = wide("dram.bytes_per_cycle=0.7", "efficiency_permille=[700, 700, 700]")
    assert transfer_cycles(Part(49, 64), machine) == 6400
