"""Do weights stay on the chip where they fit together, and only there?"""

import numpy as np
import pytest

from accel_sim.comparisons.advice import advise
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.report import Report
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix, roomy

RESIDENT = "dram.resident=true"

# In column mode a PE row has a word of records and 27 words of entries (test_terminal.py). There
# are four rows of 28 words of 40 bytes, a descriptor of 16 bytes, and a table of 8 units in one of
# two sets, a bit each.
FULL = MaskedMatrix("full", np.ones((32, 64), np.bool_))
TAKES = 4 * 28 * 40 + 16 + 1


def run(matrices: list[MaskedMatrix], *settings: str) -> Report:
    return simulate(Workload.of(matrices, Activations(16)), roomy(*settings))


def note_of(report: Report) -> str:
    (note,) = (note for note in report.notes if note.startswith("dram.resident"))
    return note


@pytest.mark.rule(microarchitecture=6)
def test_is_nothing_loaded_where_weights_stay() -> None:
    # 8 passes of 131 + 3 cycles and the last write-back, one unit a cycle of the 4 of a set.
    report = run([FULL], RESIDENT)
    (layer,) = report.layers
    assert layer.cycles == 8 * 134 + 4
    assert layer.cycles_by_cause["dram"] == layer.dram_bytes == 0
    assert layer.energy_by_component_j["dram"] == 0
    assert note_of(report) == (
        f"dram.resident: the weights stay on the chip, where they take {TAKES:,} bytes."
    )
    # They were written before the start: what is left is 28 words of each row in each pass.
    loaded = run([FULL]).layers[0].energy_by_component_j["weight_buffer"]
    read, written = 8 * 4 * 28 * 40, 4321
    # Banks of 4 KB: 1.96 pJ for a read and 2.18 for a write of 8 bytes.
    assert layer.energy_by_component_j["weight_buffer"] == pytest.approx(read * 1.96e-12 / 8)
    assert loaded == pytest.approx((read * 1.96 + written * 2.18) * 1e-12 / 8)


@pytest.mark.rule(microarchitecture=6)
@pytest.mark.parametrize("stays", [True, False])
def test_must_all_weights_fit_together(stays: bool) -> None:
    size = f"weight_buffer.bytes={2 * TAKES - (not stays)}"
    report = run([FULL, FULL], RESIDENT, size)
    loading = run([FULL, FULL], size)
    if stays:
        assert report.total.dram_bytes == 0
        assert [layer.tiles for layer in report.layers] == [1, 1]
        assert "stay on the chip" in note_of(report)
        return
    # Tiles of a quarter of the buffer again, as if nobody had asked.
    for layer, loaded in zip(report.layers, loading.layers, strict=True):
        assert layer.cycles_by_cause == loaded.cycles_by_cause
        assert layer.energy_by_component_j == loaded.energy_by_component_j
    # The dense twin, whose entries have no index, fits.
    assert [layer.dense_cycles for layer in report.layers] == [8 * 134 + 4] * 2
    assert note_of(report).endswith("unpruned they would stay.")
    assert all(layer.tiles > 1 for layer in report.layers)
    assert f"take {2 * TAKES:,} bytes on the chip, more than the {2 * TAKES - 1:,}" in note_of(
        report
    )
    assert report.machine.dram.resident


@pytest.mark.rule(microarchitecture=6)
def test_does_the_dense_twin_decide_for_itself() -> None:
    # Half of the inputs: 64 entries of 67 bits a slot are 14 words, and one of records. All of them
    # without index take 26 words and one of records, 4,320 bytes.
    half = MaskedMatrix("half", FULL.keep & (np.arange(64) < 32))
    report = run([half], RESIDENT, "weight_buffer.bytes=4200")
    assert report.total.dram_bytes == 0
    assert "2,417 bytes; unpruned they would have to be loaded" in note_of(report)
    (loading,) = run([half], "weight_buffer.bytes=4200").layers
    assert report.layers[0].dense_cycles == loading.dense_cycles
    # With room for both nothing is loaded in either.
    both = run([half], RESIDENT, "weight_buffer.bytes=4400")
    assert both.layers[0].dense_cycles == 8 * 134 + 4
    assert note_of(both).endswith("2,417 bytes.")


@pytest.mark.rule(microarchitecture=6)
@pytest.mark.rule(microarchitecture=9)
def test_is_advice_about_the_machine_that_was_run() -> None:
    work = Workload.of([FULL, FULL], Activations(16))
    size = f"weight_buffer.bytes={2 * TAKES - 1}"
    resident, loading = roomy(RESIDENT, size), roomy(size)
    found = {advice.key: advice for advice in advise(work, resident)}
    usual = {advice.key: advice for advice in advise(work, loading)}
    before = simulate(work, resident).total.cycles
    assert {advice.before.cycles for advice in found.values()} == {before}
    assert found["dram"] == usual["dram"]
    # Where weights stay, there is nothing for the DRAM to do.
    (dram,) = (a for a in advise(work, roomy(RESIDENT)) if a.key == "dram")
    assert dram.costs.cycles == dram.before.cycles


@pytest.mark.rule(rivals=3)
def test_holds_eie_its_weights_unless_told_otherwise() -> None:
    matrices = [random_matrix((2000, 20), 0.3, name="a"), random_matrix((900, 40), 0.3, name="b")]
    work = Workload.of(matrices, Activations(2))
    held = simulate(work, load_machine("eie"))
    assert held.total.dram_bytes == 0
    assert held.total.cycles_by_cause["dram"] == 0
    needed = sum(-(-sum(layer.storage_bits.values()) // 8) for layer in held.layers)
    assert f"stay on the chip, where they take {needed:,} bytes" in note_of(held)
    size = f"weight_buffer.bytes={needed - 1}"
    small = simulate(work, load_machine("eie", [size]))
    loaded = simulate(work, load_machine("eie", [size, "dram.resident=false"]))
    assert small.total.dram_bytes == loaded.total.dram_bytes > 0
    assert "loaded from the DRAM" in note_of(small)
    assert not [note for note in loaded.notes if note.startswith("dram.resident")]
