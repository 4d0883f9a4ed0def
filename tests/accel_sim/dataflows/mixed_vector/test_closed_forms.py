"""Does the machine take exactly the cycles that can be computed on paper?

Numbers in comments follow docs/microarchitecture.md, section by section.
"""

import numpy as np
import pytest

from accel_sim.dataflows.abstract.timeline import Part, transfer_cycles
from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.inputs.activations import Activations
from accel_sim.reports.report import LayerResult
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix, roomy, simulated, vector_matrix


def run(matrix: MaskedMatrix, machine: MixedVector, tokens: int, density: float) -> LayerResult:
    (result,) = simulated([matrix], machine, Activations(tokens, density))
    return result


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.rule(microarchitecture=6)
@pytest.mark.rule(microarchitecture=7)
def test_does_a_full_array_issue_one_entry_per_pe_row_and_cycle() -> None:
    # 32 rows × 64 columns, all kept, stored as one horizontal vector of 64 per row.
    # Row mode, one strip (2 sets × 16 words = 32 outputs), one range.
    # Entries: 32 units × 16 positions = 512, on 4 PE rows: 128 each.
    # §5: bits fetched in cycle 0, header read in 1, entries arrive from 2 on, issue from 3 on.
    # Header: (32 + 1)·⌈log2 33⌉ + 1 = 33·6 + 1 = 199 bits, read at once.
    #   → last entry taken in cycle 3 + 127 = 130, pass = 131 + 3 = 134 cycles.
    # Two groups of 2 tokens: 268. Before them the load: bits = 2048·16 + 32·(0 + 0) + 199 = 32967
    #   (one slot and one length present: no index, no code) → 4121 bytes → 65 bursts = 4160 bytes
    #   → ⌈4160000 / (64·950)⌉ = 69 cycles + 50 latency = 119.
    # After them ⌈32·2/64⌉ = 1 cycle of write-back.
    keep = np.ones((32, 64), np.bool_)
    result = run(MaskedMatrix("full", keep), roomy(), tokens=4, density=1.0)
    assert result.orientation == "horizontal"
    assert result.storage_bits == {
        "values": 2048 * 16,
        "indices": 1,
        "pointers": 198,
        "padding": 0,
    }
    assert result.dram_bytes == 4160
    assert result.cycles == 119 + 2 * 134 + 1
    assert result.cycles_by_cause == {
        "compute": 256,
        "empty_lanes": 0,
        "lockstep": 0,
        "imbalance": 0,
        "zero_skip": 0,
        "window": 0,
        "decompressor": 6,
        "pipeline": 6,
        "dram": 119,
        "writeback": 1,
    }
    assert result.utilization == 2048 * 4 / (4 * 2 * 4 * result.cycles)
    # Dense baseline: the same without header: bits arrive in cycle 1, issue from 2: 133 per pass;
    # 4096 bytes → ⌈4096000/60800⌉ = 68 + 50 cycles.
    assert result.dense_cycles == 118 + 2 * 133 + 1


@pytest.mark.rule(microarchitecture=5)
def test_does_one_weight_take_fetch_header_delivery_issue() -> None:
    # §5: fetch in cycle 0, header (2·1 + 1 = 3 bits) in 1, delivery in 2, issue in 3: 4 cycles.
    # Load: 16 + 0 + 3 = 19 bits = 3 bytes → one burst of 64 at 80 %: ⌈64000/51200⌉ = 2 cycles.
    keep = np.ones((1, 1), np.bool_)
    result = run(MaskedMatrix("one", keep), roomy(), tokens=1, density=1.0)
    assert result.cycles == (50 + 2) + (4 + 3) + 1
    assert result.macs_executed == result.macs_dense == 1
    # §7: 4 PE rows × 4 lanes; the entry has one weight.
    assert result.macs_padding == 3


@pytest.mark.rule(microarchitecture=3)
@pytest.mark.rule(microarchitecture=5)
def test_is_an_empty_matrix_only_a_header() -> None:
    # Horizontal (ties): 5 lines, no vector: header (5 + 1)·⌈log2 1⌉ + 1 = 1 bit.
    # Pass: fetch in cycle 0, header in 1: 2 cycles + 3. Write-back of zeros: ⌈5·2/64⌉ = 1.
    keep = np.zeros((5, 7), np.bool_)
    result = run(MaskedMatrix("zero", keep), roomy(), tokens=2, density=1.0)
    assert result.cycles == (50 + 2) + (2 + 3) + 1
    assert result.macs_executed == result.macs_skipped == 0
    assert result.pj_per_executed_mac is None
    assert result.imbalance is None


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.parametrize("orientation", ["horizontal", "vertical"])
def test_does_a_full_zero_input_skip_everything(orientation: str) -> None:
    matrix = vector_matrix((24, 40), orientation, 4, 0.4)  # type: ignore[arg-type]
    result = run(matrix, roomy(), tokens=5, density=0.0)
    assert result.macs_executed == 0
    assert result.macs_skipped == matrix.nnz * 5
    assert result.macs_effectual == 0


@pytest.mark.rule(microarchitecture=2)
@pytest.mark.rule(microarchitecture=5)
def test_is_a_machine_without_zero_skip_blind_to_zeros() -> None:
    matrix = random_matrix((24, 40), 0.3)
    blind = roomy("zero_skip.entries_per_cycle=0")
    sparse, dense = run(matrix, blind, 5, 0.2), run(matrix, blind, 5, 1.0)
    assert sparse.cycles == dense.cycles
    assert sparse.macs_executed == matrix.nnz * 5


@pytest.mark.rule(microarchitecture=6)
def test_do_weights_bound_a_single_token_by_the_dram() -> None:
    # With one token each pass is shorter than its load, so loads follow each other without a gap
    # and only the last pass and write-back are exposed.
    matrices = [vector_matrix((32, 64), "horizontal", 16, 0.5, s, f"m{s}") for s in range(6)]
    machine = roomy("dram.bytes_per_cycle=4")
    results = simulated(matrices, machine, Activations(1))
    last = results[-1]
    loads = sum(transfer_cycles(Part(1, r.dram_bytes), machine) for r in results)
    alone = run(matrices[-1], machine, 1, 1.0)
    last_pass = alone.cycles - 50 - transfer_cycles(Part(1, last.dram_bytes), machine)
    assert sum(r.cycles for r in results) == 50 + loads + last_pass


@pytest.mark.rule(microarchitecture=6)
def test_does_a_transfer_take_whole_bursts_at_the_listed_efficiency() -> None:
    machine = roomy()
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
    machine = roomy("dram.bytes_per_cycle=0.7", "efficiency_permille=[700, 700, 700]")
    assert transfer_cycles(Part(49, 64), machine) == 6400


@pytest.mark.rule(microarchitecture=5)
@pytest.mark.parametrize("policy", ["interleaved", "snake", "set_associative"])
def test_does_a_narrow_array_take_its_work_over_its_lanes(policy: str) -> None:
    # One PE row of one lane: one weight a cycle, whatever the policy; issue starts in cycle 3.
    machine = roomy(
        "pe_rows=1",
        "lanes=1",
        "token_columns=1",
        "sets=1",
        f"policy={policy}",
        "zero_skip.entries_per_cycle=0",
    )
    matrix = random_matrix((16, 24), 0.5, seed=3)
    result = run(matrix, machine, tokens=1, density=1.0)
    in_pass = result.cycles - result.cycles_by_cause["dram"] - result.cycles_by_cause["writeback"]
    assert in_pass == 3 + matrix.nnz + 3
