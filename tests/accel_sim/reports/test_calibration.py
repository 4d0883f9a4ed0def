"""Does calibration fit one factor, say what it hides, and touch nothing else?"""

import dataclasses

import pytest

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine, resolved
from accel_sim.pipeline import simulate
from accel_sim.reports.calibration import calibrated
from accel_sim.reports.report import Report, as_json
from accel_sim.reports.results import LayerResult
from sparse_formats.errors import InputError
from tests.accel_sim.workloads import random_matrix, roomy

pytestmark = pytest.mark.rule(microarchitecture=9)


def run(machine: Machine) -> Report:
    matrices = [random_matrix((24, 40), 0.3, 1, "a"), random_matrix((40, 24), 0.2, 2, "b")]
    return simulate(Workload.of(matrices, Activations(6)), machine)


def test_does_the_factor_make_the_published_figure_come_out() -> None:
    machine = roomy()
    plain = run(machine)
    fitted = calibrated(plain)
    calibration = fitted.calibration
    assert calibration is not None
    before, after = plain.total.gops_per_watt, fitted.total.gops_per_watt
    assert before["dense_equivalent_core"]
    assert after["dense_equivalent_core"] == pytest.approx(377)
    assert calibration.uncalibrated_gops_per_watt == before["dense_equivalent_core"]
    # 377 GOPS/W is 2/377 nJ for a multiply-accumulate of two operations; the rest is missing.
    tabulated = 2000 / before["dense_equivalent_core"]
    assert calibration.missing_pj_per_mac == pytest.approx(2000 / 377 - tabulated)
    assert calibration.factor == pytest.approx(2000 / 377 / tabulated)
    # The same as saying the factor beforehand, in every figure of energy and in no other.
    for one, other in zip(fitted.layers, run(fitted.machine).layers, strict=True):
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
    fitted = calibrated(run(machine))
    scale = resolved(fitted.machine)["energy"]["scale"]
    assert fitted.calibration is not None
    assert (scale["value"], scale["mark"]) == (fitted.calibration.factor, "calibrated")
    assert "377" in scale["source"]
    # Nothing is calibrated unasked.
    marks = [
        item["mark"]
        for section in resolved(machine).values()
        if isinstance(section, dict)
        for item in section.values()
    ]
    assert "calibrated" not in marks
    data = as_json(run(machine))
    assert data["calibration"] is None


def test_is_calibration_refused_without_a_published_figure() -> None:
    machine = load_machine("tf_mvp", ["energy.scale=2"])
    with pytest.raises(InputError, match=r"energy\.scale is already 2"):
        calibrated(Report(machine, ()))
    unpublished = dataclasses.replace(
        machine, published=dataclasses.replace(machine.published, gops_per_watt=None)
    )
    with pytest.raises(InputError, match="calibrated needs a published efficiency"):
        calibrated(Report(unpublished, ()))
