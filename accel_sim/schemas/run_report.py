"""report.json of `accel_sim run`: its keys, what they mean, and its JSON schema.

A key that is new in a report needs a line in `MEANINGS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accel_sim.comparisons.advice import Costs
from accel_sim.dataflows.abstract.account import Unit
from accel_sim.dataflows.abstract.machine_sections import Mark
from accel_sim.reports.report import SCHEMA_VERSION, Calibration
from accel_sim.reports.results import LayerResult, Totals
from accel_sim.schemas.json_schema import Layout, schema_of


@dataclass(frozen=True)
class UnitStates:
    """A kind of unit: busy + stalled + idle = count · cycles."""

    count: int
    busy: int
    stalled: Mapping[str, int]
    idle: int


@dataclass(frozen=True)
class Product:
    """The product that was computed, beside the dense masked product: `ProductCheck` as data."""

    tokens: int
    max_abs_error: float | None
    max_error_over_bound: float | None
    note: str
    is_equal: bool | None


@dataclass(frozen=True)
class WaterfallStep:
    """A step from what pruning promises to what the run gets: `figures.waterfall`."""

    step: str
    factor: float
    speedup: float


@dataclass(frozen=True)
class Difference:
    """Of each cost, as a share of what it is without the change; negative is less."""

    cycles: float | None
    energy_j: float | None
    area_mm2: float | None
    energy_delay_js: float | None


@dataclass(frozen=True)
class AdvisedChange(Costs):
    """One change of the machine, simulated."""

    key: str
    change: str
    settings: Sequence[str] | None
    difference: Difference
    is_nothing: bool


@dataclass(frozen=True)
class Value:
    """A value of the machine, with its origin."""

    value: Any
    mark: Mark
    source: str


@dataclass(frozen=True)
class ReportFile:
    """A report of `accel_sim run`: report.json."""

    schema_version: int
    timestamp: str
    command: str
    versions: Mapping[str, str]
    mask: Mapping[str, Any]
    activations: Mapping[str, Any]
    notes: Sequence[str]
    advice: Sequence[AdvisedChange] | None
    mask_advice: Mapping[str, Any]
    calibration: Calibration | None
    accelerator: Mapping[str, str | int | Mapping[str, Value]]
    layers: Sequence[LayerResult]
    total: Totals
    area_mm2: Mapping[str, float]
    peak_macs_per_cycle: int
    tables: Mapping[str, Sequence[Mapping[str, str]]]


MEANINGS = {
    # The file.
    "schema_version": "Version of this layout. It rises when a key changes its meaning.",
    "timestamp": "Time of the run, in UTC. No other key differs between equal runs.",
    "command": "Command that repeats the run. It is empty where Python called the simulator.",
    "versions": "Versions of Python and of the packages that computed the report.",
    "mask": "Source of the masks, its SHA-256, and what was read of it and left out.",
    "activations": "Source of the inputs: drawn with a density and a seed, or read from a file.",
    "notes": "What a reader must know besides, in sentences.",
    "advice": "Single changes of the machine, each simulated. It is null if none was tried.",
    "mask_advice": "Commands that make other masks of the same density.",
    "calibration": "The one factor of --calibrated. It is null without that flag.",
    "accelerator": "Every value of the machine, by section and key, with its mark and source.",
    "layers": "The results, one for each matrix.",
    "total": "What adds up over the matrices, and ratios of the sums.",
    "area_mm2": "Area of the machine in mm², by component and in total.",
    "peak_macs_per_cycle": "Multiplications that the machine can do in a cycle.",
    "tables": "Rows of the cost tables behind energy and area.",
    # Layers and total.
    "name": "Name of the matrix in its model.",
    "kind": "What the matrix does in its model, such as Q or FFN1.",
    "rows": "Outputs of the matrix.",
    "cols": "Inputs of the matrix.",
    "nnz": "Kept weights.",
    "density": "Kept weights, as a share of all. It is null for a matrix without weights.",
    "tokens": "Tokens of one run of the matrix; in the total, the most of any matrix.",
    "runs": "How often the matrix runs. Cycles, energy, MACs and bytes are those of all runs.",
    "orientation": "Vectors along rows or columns: horizontal is row mode, vertical column mode.",
    "lane_groups": "Groups into which the lanes of a PE were divided.",
    "lane_select": "Inputs among which each lane chooses.",
    "entries": "Entries of the matrix: what slots issue, one in a cycle.",
    "mean_entry_weights": "Kept weights in an entry, on average.",
    "format": "Format in which the machine stores the matrix.",
    "storage_bits": "Bits of the stored matrix: values, indices, pointers and padding.",
    "tiles": "Tiles into which the matrix was cut.",
    "cycles": "Clock cycles.",
    "latency_s": "The same in seconds.",
    "ideal_cycles": "The larger of ideal_compute_cycles and ideal_dram_cycles.",
    "ideal_compute_cycles": "Cycles if every multiplier worked on what is needed in every cycle.",
    "ideal_dram_cycles": "Cycles that the moved bytes take at the peak rate of the DRAM.",
    "dense_cycles": "Cycles with every weight kept, on the same machine.",
    "speedup_vs_dense": "dense_cycles ÷ cycles.",
    "utilization": "macs_executed ÷ (multipliers · cycles).",
    "bound_by": "The cause with the most cycles.",
    "limited_by": "Kinds of units that are busy at least 95 % of the cycles, with that share.",
    "energy_j": "Energy in joules.",
    "energy_by_component_j": "The same by component.",
    "energy_band_j": "The same with the low and with the high column of the cost tables.",
    "pj_per_executed_mac": "Energy in pJ for each executed MAC.",
    "gops_per_watt": "10⁹ operations per joule, in four ways of counting. 1 MAC is 2 operations.",
    "gops_per_watt_band": "The same with the high and with the low cost tables.",
    "macs_dense": "Rows · columns · tokens.",
    "macs_executed": "Multiplications of kept weights that were done.",
    "macs_skipped": "Multiplications of kept weights that were left out, because of zero inputs.",
    "macs_padding": "Multipliers that were occupied without a kept weight.",
    "macs_effectual": "Kept weights times activations that are not zero.",
    "dram_bytes": "Bytes that are read from the DRAM and written to it.",
    "cycles_by_cause": "Each cycle of the critical path by its cause. The sum is cycles.",
    "units": "For each kind of unit, in which state it spent count · cycles.",
    "pe_load": "Work of each PE row.",
    "imbalance": "Heaviest load of a PE row ÷ mean load.",
    "product": "The computed product beside the dense masked one. It is null if none was computed.",
    "last_pass_cycle": "Number of the last cycle, from 0, if passes followed each other at once.",
    "product_is_equal": "Whether every compared product agreed. It is null if none was compared.",
    "waterfall": "Factors from kept weights to the speed-up. It is null without a dense run.",
    # Parts of them.
    "step": "Kept weights, skipped zeros, the dense run, or a cause of cycles.",
    "speedup": "Speed-up over the dense run, with this step and those before it.",
    "count": "Units of this kind.",
    "busy": "Unit-cycles in which they worked.",
    "stalled": "Unit-cycles in which they waited, by what they waited for.",
    "idle": "Unit-cycles in which they had nothing to do.",
    "max_abs_error": "Largest difference from the dense masked product.",
    "max_error_over_bound": "Largest ratio of a difference to the rounding bound. 1 is allowed.",
    "note": "Why nothing was compared, or what the comparison does not see.",
    "is_equal": "Whether the products agree. It is null if they were not compared.",
    "key": "Short name of the change.",
    "change": "The change in words.",
    "settings": "Options behind --set that repeat the change. It is null for a bound.",
    "difference": "Cost with the change ÷ cost without it − 1.",
    "is_nothing": "Whether the change saves and costs next to nothing.",
    "energy_delay_js": "Energy times latency, in joule seconds.",
    "value": "The value.",
    "mark": "Where the value comes from.",
    "source": "The source in words.",
    "basis": "What the published figure counts.",
    "published_gops_per_watt": "What the machine's authors publish.",
    "uncalibrated_gops_per_watt": "What the cost tables give.",
    "factor": "Factor of the step, or of --calibrated on all core energy.",
    "missing_pj_per_mac": "Published less tabulated energy, in pJ for each dense MAC.",
}
"""What each key of report.json means, in sentences."""

_STEPS = {"waterfall": Sequence[WaterfallStep] | None}

LAYOUT = Layout(
    MEANINGS,
    written_as={LayerResult: {"product": Product | None, **_STEPS}, Totals: _STEPS},
    instead={Unit: UnitStates},
)


def schema() -> dict[str, Any]:
    """The JSON schema of report.json."""
    return schema_of(ReportFile, "report.json of mvpsim", SCHEMA_VERSION, LAYOUT)
