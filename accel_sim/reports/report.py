"""The report of a run: its results, what they were found with, and the JSON that holds them."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_sim.costs.accelergy import estimated_rows
from accel_sim.costs.area import machine_area
from accel_sim.costs.tables import table_rows
from accel_sim.dataflows.abstract.dataflow import Machine
from accel_sim.machines.load import resolved
from accel_sim.reports.csv_table import as_csv, csv_rows
from accel_sim.reports.figures.mask_picture import MaskPicture
from accel_sim.reports.figures.timeline import Timeline
from accel_sim.reports.figures.waterfall import waterfall
from accel_sim.reports.results import LayerResult, Totals, totals
from sparse_formats.errors import InputError

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class Calibration:
    """factor: of core energy. missing_pj_per_mac: published less tabulated, per dense MAC."""

    basis: str
    published_gops_per_watt: float
    uncalibrated_gops_per_watt: float
    factor: float
    missing_pj_per_mac: float


@dataclass(frozen=True)
class Report:
    """A whole run.

    mask, activations: where the matrices and their inputs came from, as JSON-able data. notes: what
    a reader must know besides. advice: each change with what it costs, None if none was simulated;
    mask_advice: other masks of the same density, with the commands that make them.
    command: that does the run again, "" where it was called from Python.
    pictures, timelines: for the page, by name of the matrix, of those that have one.
    """

    machine: Machine
    layers: tuple[LayerResult, ...]
    mask: Mapping[str, Any] = field(default_factory=dict)
    activations: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    advice: Sequence[Mapping[str, Any]] | None = None
    mask_advice: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    command: str = ""
    pictures: Mapping[str, MaskPicture] = field(default_factory=dict)
    timelines: Mapping[str, Timeline] = field(default_factory=dict)

    @cached_property
    def total(self) -> Totals:
        return totals(self.layers, self.machine)

    @cached_property
    def area_mm2(self) -> dict[str, float]:
        """mm² by component."""
        return machine_area(self.machine)

    def frame(self) -> "DataFrame":
        """The table of layers.csv as a pandas DataFrame, one row a layer.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError:
            raise InputError(
                "report.frame() needs pandas, which is not installed; pip install pandas"
            ) from None
        header, rows = csv_rows(self.layers)
        return DataFrame(rows, columns=header)

    def save(self, folder: str | Path) -> None:
        """Write report.json, layers.csv, the pictures and report.html into `folder`.

        Raises:
            InputError: the folder cannot be made or written, or holds somebody else's files.
        """
        from accel_sim.reports.folder import NAMES, write_folder
        from sparse_formats.files.outputs import Output, check_outputs
        from sparse_formats.files.paths import as_path

        path = as_path(folder, "the folder")
        check_outputs([Output(path, "the report", "folder", "report", NAMES)], [])
        write_folder(path, as_json(self), as_csv(self.layers), self.pictures, self.timelines)

    def _repr_html_(self) -> str:
        """The table of the layers, as a notebook shows it."""
        from accel_sim.reports.html_tables import layers_table

        return layers_table(as_json(self))


def as_json(report: Report, timestamp: str | None = None) -> dict[str, Any]:
    """The whole report as JSON-able data; only `timestamp`, now if not given, differs."""
    return {
        "schema_version": SCHEMA_VERSION,
        "timestamp": timestamp or datetime.now(UTC).isoformat(timespec="seconds"),
        "command": report.command,
        "versions": versions(),
        "mask": report.mask,
        "activations": report.activations,
        "notes": list(report.notes),
        "advice": report.advice,
        "mask_advice": report.mask_advice,
        "calibration": None if report.calibration is None else asdict(report.calibration),
        "accelerator": resolved(report.machine),
        "layers": [_as_data(layer) for layer in report.layers],
        "total": _as_data(report.total),
        "area_mm2": {**report.area_mm2, "total": sum(report.area_mm2.values())},
        "peak_macs_per_cycle": report.machine.macs,
        "tables": {**table_rows(), **estimated_rows(report.machine.energy)},
    }


def versions() -> dict[str, str]:
    """Of what computed a report."""
    packages = {name: version(name) for name in ("mvpsim", "numpy", "numba")}
    return {"python": platform.python_version(), **packages}


def _as_data(result: LayerResult | Totals) -> dict[str, Any]:
    data = {each.name: getattr(result, each.name) for each in fields(result)}
    data["units"] = {kind: unit.as_data() for kind, unit in result.units.items()}
    steps = waterfall(data)
    return {**data, "waterfall": None if steps is None else [step.as_data() for step in steps]}
