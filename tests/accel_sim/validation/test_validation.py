"""Is every agreement told with its origin, and does what is asserted hold?"""

import pytest

from accel_sim.comparisons.terminal import verdict
from accel_sim.validation import (
    channel_merging,
    dual_side,
    eie,
    fpga_zero_skip,
    index_matching,
    optimus,
    power,
    scnn,
    sigma,
    systolic,
    tensor_core,
    whole_models,
    xor_net,
)
from accel_sim.validation.agreement import Agreement, Finding
from accel_sim.validation.registry import AGREEMENTS
from accel_sim.validation.scale_sim import Counts, cases, frozen, live, write
from sparse_formats.errors import InputError

pytestmark = pytest.mark.rule(rivals=7)

# The means over 100 masks and the largest layers take seconds: `validate` runs them.
QUICK = (
    *systolic.AGREEMENTS,
    *eie.AGREEMENTS[:1],
    *tensor_core.AGREEMENTS,
    *power.EIE,
    *index_matching.AGREEMENTS,
    *sigma.AGREEMENTS,
    *dual_side.AGREEMENTS,
    *scnn.AGREEMENTS,
    *whole_models.AGREEMENTS,
    *xor_net.AGREEMENTS,
    *fpga_zero_skip.AGREEMENTS,
    *channel_merging.AGREEMENTS,
)


def test_is_a_remembered_number_never_asserted() -> None:
    rows = [row for rows in AGREEMENTS.values() for row in rows]
    assert all(row.source and row.what for row in rows)
    assert not [row.what for row in rows if row.mark == "remembered" and row.is_asserted]
    assert len({(row.machine, row.what, row.mark) for row in rows}) == len(rows)
    assert {row.machine for row in rows} == set(AGREEMENTS)


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.what)
def test_does_what_is_asserted_hold(row: Agreement) -> None:
    assert row.holds(row.ours())


def test_are_a_few_masks_balanced_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimus, "MASKS", 3)
    means = optimus.means.__wrapped__("skewed")
    ordered = [means[scheme, 0] for scheme in optimus.SCHEMES]
    assert ordered == sorted(ordered)
    # A window of all inputs would do no better than the loads allow; 128 nearly reaches that.
    for scheme in optimus.SCHEMES:
        assert means[scheme, 2] <= means[scheme, 16] <= means[scheme, 128] <= means[scheme, 0]


def test_does_an_agreement_fail_beyond_its_tolerance() -> None:
    def row(**told: object) -> Agreement:
        return Agreement("m", "w", 2.0, "published", "s", lambda: 0.0, **told)  # type: ignore[arg-type]

    assert row().holds(99)
    assert row(tolerance=0.5).holds(2.5)
    assert not row(tolerance=0.5).holds(2.6)
    assert row(tolerance=0.0, relation="at least").holds(99)
    assert not row(tolerance=0.0, relation="at least").holds(1.9)
    assert Finding(row(tolerance=0.5), 2.25).error == 0.25
    factor = row(tolerance=2.0, relation="within a factor")
    assert factor.holds(1.0) and factor.holds(4.0)
    assert not factor.holds(0.99) and not factor.holds(4.01)
    assert verdict(Finding(factor, 3.0)) == "holds (1.50 times, allowed: 2 either way)"
    assert verdict(Finding(factor, 5.0)) == "FAILS (2.50 times, allowed: 2 either way)"
    shown = row(relation="within a factor")
    assert verdict(Finding(shown, 5.0)) == "shown, 2.50 times"


@pytest.mark.rule(rivals=3)
def test_are_the_weights_of_a_published_layer_on_the_chip() -> None:
    report = eie.resident_run("Alex-8")
    assert report.total.dram_bytes == 0
    assert any(note.startswith("dram.resident: the weights stay") for note in report.notes)
    rows = [row for row in eie.AGREEMENTS if "weights on the chip" in row.what]
    assert len(rows) == 3 and not any(row.is_asserted for row in rows)
    assert rows[2].ours() == 1e6 * report.total.latency_s


@pytest.mark.rule(microarchitecture=9)
def test_is_the_band_of_core_energy_at_most_four() -> None:
    low, high = power.tf_mvp_run().total.gops_per_watt_band["executed_core"]
    assert low is not None and high is not None
    assert high / low <= 4
    assert all(row.holds(row.ours()) for row in power.TF_MVP)


def test_is_every_case_frozen() -> None:
    def product(c: Counts) -> tuple[object, ...]:
        return c.array_rows, c.array_cols, c.stationary, c.tokens, c.outputs, c.inputs

    assert [product(c) for c in frozen()] == [product(c) for c in cases()]


def test_is_the_file_of_counts_written_as_it_is_read(tmp_path, monkeypatch) -> None:  # noqa: ANN001
    write(frozen(), tmp_path / "counts.csv")
    told = frozen()
    monkeypatch.setattr("accel_sim.validation.scale_sim.FROZEN", tmp_path / "counts.csv")
    assert frozen() == told


def test_is_a_missing_scale_sim_told_in_one_line(tmp_path) -> None:  # noqa: ANN001
    with pytest.raises(InputError, match="cannot be run"):
        live(tmp_path / "python", frozen()[:1])
