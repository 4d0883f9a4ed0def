"""One factor on the core's energy, so that a published efficiency comes out.

A published GOPS/W does not say which operations and whose energy it counts. Here it is taken as
dense-equivalent operations on core energy: a chip's authors count the work it replaces, and at
8 pJ/bit fetching the weights of one token costs more than 377 GOPS/W allows for everything, so
DRAM cannot be in it. The factor holds the control logic that the tables leave out,
and every other gap between our machine, our workload and theirs.
"""

from collections.abc import Mapping
from dataclasses import replace

from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.dataflows.abstract.machine_sections import Origin
from accel_sim.reports.report import Calibration, Report
from accel_sim.reports.results import LayerResult
from sparse_formats.errors import SettingError

BASIS = "dense_equivalent_core"
"""Which of the report's GOPS/W is set equal to the published one."""


def check_calibratable(machine: Machine) -> None:
    """SettingError unless the machine has a published efficiency and no factor of its own."""
    if machine.published.gops_per_watt is None:
        raise SettingError(
            "calibrated",
            f"needs a published efficiency, and {machine.name} has none; leave it out, or write "
            "[published] gops_per_watt into the accelerator file",
        )
    if machine.energy.scale != 1:
        raise SettingError(
            "calibrated",
            f"sets energy.scale, but energy.scale is already {machine.energy.scale:g}; use only "
            "one of the two",
        )


def calibrated(report: Report) -> Report:
    """The report with the factor on its core energy, marked calibrated, and what it hides.

    Raises:
        SettingError: nothing is published for the machine, it has a factor already, or no core
            energy was spent.
    """
    machine = report.machine
    check_calibratable(machine)
    published = machine.published.gops_per_watt or 0.0
    found = report.total.gops_per_watt[BASIS]
    if not found:
        raise SettingError("calibrated", "needs energy in the core, and this run has none")
    calibration = Calibration(
        BASIS, published, found, found / published, 2e3 / published - 2e3 / found
    )
    origin = Origin(
        "calibrated",
        f"--calibrated: {BASIS.replace('_', ' ')} GOPS/W of this run, {found:,.4g}, "
        f"set to the published {published:g}",
    )
    energy = replace(machine.energy, scale=calibration.factor)
    origins = {**machine.origins, "energy.scale": origin}
    return replace(
        report,
        layers=tuple(_scaled(layer, calibration.factor) for layer in report.layers),
        machine=replace(machine, energy=energy, origins=origins),
        calibration=calibration,
    )


def _scaled(result: LayerResult, factor: float) -> LayerResult:
    by_component = _core_scaled(result.energy_by_component_j, factor)
    energy = sum(by_component.values())
    executed = result.macs_executed
    return replace(
        result,
        energy_j=energy,
        energy_by_component_j=by_component,
        energy_band_j={
            case: _core_scaled(parts, factor) for case, parts in result.energy_band_j.items()
        },
        pj_per_executed_mac=energy * 1e12 / executed if executed else None,
    )


def _core_scaled(parts: Mapping[str, float], factor: float) -> dict[str, float]:
    return {part: joule * (1 if part == "dram" else factor) for part, joule in parts.items()}
