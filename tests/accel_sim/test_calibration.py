"""Does calibration fit one factor, say what it hides, and touch nothing else?"""

import dataclasses

import pytest

from accel_sim.costs.calibration import calibrated
from accel_sim.machines.description import Machine
from accel_sim.machines.load import load_accelerator, resolved
from accel_sim.pipeline import simulate
from accel_sim.reports.report import LayerResult, as_json, make_report, totals
from accel_sim.workload import Activations
from sparse_formats.errors import InputError
from tests.accel_sim.workloads import random_matrix, roomy


def run(machine: Machine) -> list[LayerResult]:
    matrices = [random_matrix((24, 40), 0.3, 1, "a"), random_matrix((40, 24), 0.2, 2, "b")]
    return simulate(matrices, machine, Activations(6))


def test_does_the_factor_make_the_published_figure_come_out() -> None:
    machine = roomy()
    plain = run(machine)
    results, fitted, calibration = calibrated(plain, machine)
    before, after = (totals(r, machine)["gops_per_watt"] for r in (plain, results))
    assert after["dense_equivalent_core"] == pytest.approx(377)
    assert calibration.uncalibrated_gops_per_watt == before["dense_equivalent_core"]
    # 377 GOPS/W is 2/377 nJ for a multiply-accumulate of two operations; the rest is missing.
    tabulated = 2000 / before["dense_equivalent_core"]
    assert calibration.missing_pj_per_mac == pytest.approx(2000 / 377 - tabulated)
    assert calibration.factor == pytest.approx(2000 / 377 / tabulated)
    # The same as saying the factor beforehand, in every figure of energy and in no other.
    for one, other in zip(results, run(fitted), strict=True):
        for field in dataclasses.fields(LayerResult):
            here, there = getattr(one, field.name), getattr(other, field.name)
            if field.name == "energy_band_j":
                assert all(here[case] == pytest.approx(there[case]) for case in here)
            elif "energy" in field.name or field.name == "pj_per_executed_mac":
                assert here == pytest.approx(there), field.name
            else:
                assert here == there, field.name


def test_is_the_factor_marked_calibrated() -> None:
    machine = roomy()
    _, fitted, calibration = calibrated(run(machine), machine)
    scale = resolved(fitted)["energy"]["scale"]
    assert (scale["value"], scale["mark"]) == (calibration.factor, "calibrated")
    assert "377" in scale["source"]
    # Nothing is calibrated unasked.
    marks = [
        item["mark"]
        for section in resolved(machine).values()
        if isinstance(section, dict)
        for item in section.values()
    ]
    assert "calibrated" not in marks
    data = as_json(make_report(run(machine), machine, {}), "then")
    assert data.get("calibration") is None


def test_is_calibration_refused_without_a_published_figure() -> None:
    machine = load_accelerator("tf_mvp", ["energy.scale=2"])
    with pytest.raises(InputError, match=r"energy\.scale is 2"):
        calibrated([], machine)
    unpublished = dataclasses.replace(
        machine, published=dataclasses.replace(machine.published, gops_per_watt=None)
    )
    with pytest.raises(InputError, match="nothing is published for tf_mvp"):
        calibrated([], unpublished)
