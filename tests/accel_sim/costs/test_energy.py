"""Is energy counted actions times the table, and area counted parts?"""

import numpy as np
import pytest

from accel_sim.costs.energy import COMPONENTS
from accel_sim.costs.tables import energy_pj, sram_bank, table_rows
from accel_sim.inputs.activations import Activations
from accel_sim.reports.results import LayerResult, totals
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import roomy, simulated, vector_matrix

pytestmark = pytest.mark.rule(microarchitecture=9)

# All banks have 64 KB.
BANKS = (
    "weight_buffer.bytes=262144",
    "weight_buffer.banks=4",
    "activation_buffer.bytes=65536",
    "activation_buffer.banks=1",
    "activation_buffer.port_bytes=1024",
)


def run(*settings: str) -> LayerResult:
    # 8 × 16, all kept, in one pass for each of two groups. Column mode, whose write-back takes one
    # cycle: one unit of 4 outputs in each of two sets.
    matrix = vector_matrix((8, 16), "horizontal", 16, 1.0)
    (result,) = simulated([matrix], roomy(*BANKS, *settings), Activations(4))
    return result


def test_is_the_energy_of_a_small_layer_what_the_table_says() -> None:
    result = run()
    picojoule = {key: value * 1e12 for key, value in result.energy_by_component_j.items()}
    # 128 weights × 4 tokens = 512 MACs of 1.01 pJ, no lane empty.
    assert picojoule["mac"] == pytest.approx(512 * 1.01)
    # Column mode: one 32-bit word read and written per MAC.
    assert picojoule["accumulators"] == pytest.approx(2 * 512 * 32 * 0.0053)
    # 8 entries in each of 4 slots, at every other position of 16: 2 bits of difference, none for
    # the one unit, 4 values. 528 bits are 66 bytes. A descriptor of 16 bytes, a table of 2 bits, 4
    # records of 4 bytes and the sub-streams are 297 bytes, written once. Each pass reads a word of
    # records and two of entries in 4 rows. 64 KB × 256 bit: 22.6 pJ read, 24.6 written per 32 B.
    assert result.storage_bits == {
        "values": 2048,
        "indices": 64,
        "pointers": 8 * 297 - 2112,
        "padding": 0,
    }
    assert picojoule["weight_buffer"] == pytest.approx(297 * 24.6 / 32 + 2 * 4 * 3 * 40 * 22.6 / 32)
    assert picojoule["decompressor"] == pytest.approx(2 * 2112 * 0.02)
    # Queues: 2112 bits of entries, written and read, in two passes.
    assert picojoule["queues"] == pytest.approx(2 * 2 * 2112 * 0.0053)
    # 32 entries inspected per pass.
    assert picojoule["zero_skip"] == pytest.approx(2 * 32 * 0.017)
    # 16 inputs × 4 tokens enter the window, one for 32 entries × 4 tokens is read, 16 bits each.
    assert picojoule["matching"] == pytest.approx(2 * 32 * 0.017 + (16 * 4 + 32 * 4) * 16 * 0.0053)
    assert picojoule["activation_buffer"] == pytest.approx(16 * 4 * 2 * 22.6 / 32)
    # 8 outputs × 4 tokens: one add each to join the set's two PE rows, 2 bytes written.
    assert picojoule["writeback"] == pytest.approx(32 * 0.46 + 32 * 2 * 24.6 / 32)
    # 297 bytes = 5 bursts of 64, 64 pJ per byte, in one row of 2 KB that is opened once.
    assert picojoule["dram"] == pytest.approx(320 * 64 + 2800)
    assert picojoule["leakage"] == pytest.approx(0.02 * result.cycles / 500e6 * 1e12)
    assert set(picojoule) == set(COMPONENTS)
    assert result.energy_j == pytest.approx(sum(picojoule.values()) * 1e-12)


def test_does_the_scale_touch_the_core_and_not_the_dram() -> None:
    plain, scaled = run(), run("energy.scale=3")
    for component in COMPONENTS:
        factor = 1 if component == "dram" else 3
        assert scaled.energy_by_component_j[component] == pytest.approx(
            factor * plain.energy_by_component_j[component]
        )


def test_do_low_nominal_and_high_stand_in_order() -> None:
    rows = table_rows()
    for row in [*rows["energy"], *rows["area"]]:
        assert float(row["low"]) <= float(row["nominal"]) <= float(row["high"]), row
    for row in [row for table in rows.values() for row in table]:
        assert row["mark"] in ("published", "computed", "inferred", "chosen")
        assert row["source"]
    energies = [run(f"energy.case={case}").energy_j for case in ("low", "nominal", "high")]
    assert energies == sorted(energies)


@pytest.mark.parametrize("case", ["low", "nominal", "high"])
def test_does_the_band_reach_from_all_low_to_all_high(case: str) -> None:
    low, high = run("energy.case=low"), run("energy.case=high")
    band = run(f"energy.case={case}").energy_band_j
    assert band["low"] == low.energy_by_component_j
    assert band["high"] == high.energy_by_component_j
    # Least energy is most efficiency.
    machine = roomy(*BANKS, f"energy.case={case}")
    efficiency = totals([run(f"energy.case={case}")], machine).gops_per_watt_band
    assert efficiency["executed_with_dram"] == [
        pytest.approx(2 * 512 / 1e9 / high.energy_j),
        pytest.approx(2 * 512 / 1e9 / low.energy_j),
    ]


def test_does_each_run_open_its_own_rows() -> None:
    # 8 × 16 at 4 tokens without room for activations: weights 320 bytes in one run, inputs 4·16·2
    # = 128 and outputs 64 bytes in one run each; rows of 64 bytes: 5 + 2 + 1 activations.
    tight = run("activation_buffer.bytes=1", "dram.row_bytes=64", "dram.energy=ddr4")
    assert tight.dram_bytes == 320 + 128 + 64
    picojoule = tight.energy_by_component_j["dram"] * 1e12
    assert picojoule == pytest.approx(tight.dram_bytes * 148 + 8 * 7430)


def test_is_sram_interpolated_between_the_computed_sizes() -> None:
    assert sram_bank(64 * 1024, "nominal").read_pj_per_byte == pytest.approx(22.6 / 32)
    between = sram_bank(96 * 1024, "nominal")
    assert 22.6 / 32 < between.read_pj_per_byte < 31.3 / 32
    assert sram_bank(96 * 1024, "high").read_pj_per_byte == pytest.approx(
        1.6 * between.read_pj_per_byte
    )
    # Beyond the table area grows in proportion.
    assert sram_bank(4 * 1024 * 1024, "nominal").mm2 == pytest.approx(4 * 1.8)


@pytest.mark.parametrize(
    ("datatype", "mac", "value_bits", "accumulator_bits"),
    [("int8", 0.15, 8, 32), ("int16", 0.43, 16, 48)],
)
def test_do_integers_have_rows_of_their_own(
    datatype: str, mac: float, value_bits: int, accumulator_bits: int
) -> None:
    result = run(f"datatype={datatype}")
    picojoule = {key: value * 1e12 for key, value in result.energy_by_component_j.items()}
    assert picojoule["mac"] == pytest.approx(512 * mac)
    assert picojoule["accumulators"] == pytest.approx(2 * 512 * accumulator_bits * 0.0053)
    assert picojoule["queues"] == pytest.approx(2 * 2 * 32 * (2 + 4 * value_bits) * 0.0053)
    assert picojoule["activation_buffer"] == pytest.approx(16 * 4 * value_bits / 8 * 22.6 / 32)


def test_do_dead_pairs_gate_all_their_lanes() -> None:
    # One weight, two tokens in lock-step, the first of them zero: both PEs get the entry. One
    # multiplies with 1 of 4 lanes and gates 3, the other gates all 4.
    one = MaskedMatrix("m", np.ones((1, 1), np.bool_))
    recorded = {"m": np.array([[False], [True]])}
    (result,) = simulated([one], roomy(), Activations(2, recorded=recorded))
    assert result.energy_by_component_j["mac"] * 1e12 == pytest.approx(1.01 + 7 * 0.009)
    # With queues of their own the zero is dropped and nothing is gated for it.
    (result,) = simulated([one], roomy("per_column=true"), Activations(2, recorded=recorded))
    assert result.energy_by_component_j["mac"] * 1e12 == pytest.approx(1.01 + 3 * 0.009)


def test_is_an_unknown_action_a_bug() -> None:
    with pytest.raises(KeyError):
        energy_pj("no such action", "nominal")
