"""What a run found out: one result per layer, their total, and the JSON that holds them.

The words are those of docs/microarchitecture.md §7 and mean the same wherever they appear.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from accel_sim.costs.area import machine_area
from accel_sim.costs.energy import layer_energy
from accel_sim.costs.tables import table_rows
from accel_sim.costs.timeline import LayerTime
from accel_sim.dataflows.account import Passes, Unit
from accel_sim.dataflows.families import account_of
from accel_sim.dataflows.mixed_vector.layer import LayerRun
from accel_sim.machines.description import Machine
from accel_sim.machines.load import resolved

SCHEMA_VERSION = 1

CAUSES = (
    "compute",
    "empty_lanes",
    "lockstep",
    "imbalance",
    "zero_skip",
    "window",
    "decompressor",
    "pipeline",
    "dram",
    "writeback",
)
"""Where a cycle may go with mixed-length vectors: docs/microarchitecture.md §7, in its order."""


@dataclass(frozen=True)
class LayerResult:
    """One row of the table; field names are the keys of report.json.

    last_pass_cycle: number, from 0, of the last cycle if all passes followed each other at once.
    """

    name: str
    kind: str
    rows: int
    cols: int
    nnz: int
    density: float | None
    tokens: int
    orientation: str
    vectors: int
    mean_vector_length: float | None
    format: str
    storage_bits: Mapping[str, int]
    tiles: int
    cycles: int
    latency_s: float
    ideal_cycles: int
    ideal_compute_cycles: int
    ideal_dram_cycles: int
    dense_cycles: int
    speedup_vs_dense: float | None
    utilization: float | None
    bound_by: str | None
    energy_j: float
    energy_by_component_j: Mapping[str, float]
    energy_band_j: Mapping[str, Mapping[str, float]]
    pj_per_executed_mac: float | None
    macs_dense: int
    macs_executed: int
    macs_skipped: int
    macs_padding: int
    macs_effectual: int
    dram_bytes: int
    cycles_by_cause: Mapping[str, int]
    units: Mapping[str, Unit]
    pe_load: Sequence[int]
    imbalance: float | None
    product: Mapping[str, Any] | None
    last_pass_cycle: int | None = None


@dataclass(frozen=True)
class Report:
    """A whole run. header: command, versions, mask, notes; everything but time stamps is pure."""

    machine: Machine
    header: Mapping[str, Any]
    layers: Sequence[LayerResult]
    area_mm2: Mapping[str, float]

    @property
    def total(self) -> dict[str, Any]:
        return totals(self.layers, self.machine)


def layer_result(run: Passes, time: LayerTime, dense_cycles: int, machine: Machine) -> LayerResult:
    """One layer's figures from its passes and its place in time."""
    rows, cols = run.shape
    account = account_of(run, time, machine)
    executed, causes = account.executed, account.causes
    energy = layer_energy(account.actions, machine)
    energy_j = sum(energy["chosen"].values())
    dram_bytes = time.dram_read_bytes + time.dram_write_bytes
    # What no machine can leave out; one without zero-skip must multiply the zeros too.
    needed = run.macs_effectual if machine.skips_zeros else run.nnz * run.tokens
    ideal_compute = -(-needed // machine.macs)
    ideal_dram = -(-1000 * dram_bytes // machine.dram.bytes_per_1000_cycles)
    storage = {
        part: sum(getattr(tile.storage, part) for tile in run.tiles)
        for part in ("values", "indices", "pointers", "padding")
    }
    product = run.product if isinstance(run, LayerRun) else None
    loads = account.pe_load
    return LayerResult(
        name=run.name,
        kind=run.kind,
        rows=rows,
        cols=cols,
        nnz=run.nnz,
        density=_ratio(run.nnz, rows * cols),
        tokens=run.tokens,
        orientation=account.orientation,
        vectors=account.vectors,
        mean_vector_length=_ratio(run.nnz, account.vectors),
        format=account.format,
        storage_bits=storage,
        tiles=len(run.tiles),
        cycles=time.cycles,
        latency_s=time.cycles / machine.clock.clock_hz,
        ideal_cycles=max(ideal_compute, ideal_dram),
        ideal_compute_cycles=ideal_compute,
        ideal_dram_cycles=ideal_dram,
        dense_cycles=dense_cycles,
        speedup_vs_dense=_ratio(dense_cycles, time.cycles),
        utilization=_ratio(executed, machine.macs * time.cycles),
        bound_by=bound_by(causes),
        energy_j=energy_j,
        energy_by_component_j=energy["chosen"],
        energy_band_j={"low": energy["low"], "high": energy["high"]},
        pj_per_executed_mac=_ratio(energy_j * 1e12, executed),
        macs_dense=rows * cols * run.tokens,
        macs_executed=executed,
        macs_skipped=run.nnz * run.tokens - executed,
        macs_padding=account.padding,
        macs_effectual=run.macs_effectual,
        dram_bytes=dram_bytes,
        cycles_by_cause=causes,
        units=account.units,
        pe_load=loads,
        imbalance=_imbalance([loads]),
        product=None if product is None else {**asdict(product), "is_equal": product.is_equal},
        last_pass_cycle=run.pass_cycles - 1 if run.tiles else None,
    )


def bound_by(causes: Mapping[str, int]) -> str | None:
    """The cause with the most cycles, ties to the first; None where there are no cycles."""
    return max(causes, key=lambda cause: causes[cause]) if any(causes.values()) else None


def totals(layers: Sequence[LayerResult], machine: Machine) -> dict[str, Any]:
    """What adds up over the layers, and the ratios of the sums."""
    added = (
        *("nnz", "vectors", "tiles", "cycles", "dense_cycles", "energy_j"),
        *("ideal_compute_cycles", "ideal_dram_cycles"),
        *("macs_dense", "macs_executed", "macs_skipped", "macs_padding", "macs_effectual"),
        "dram_bytes",
    )
    total: dict[str, Any] = {key: sum(getattr(layer, key) for layer in layers) for key in added}
    for key in ("storage_bits", "energy_by_component_j", "cycles_by_cause"):
        total[key] = _added([getattr(layer, key) for layer in layers])
    total["energy_band_j"] = {
        case: _added([layer.energy_band_j[case] for layer in layers]) for case in ("low", "high")
    }
    low, high = (_efficiency(total, total["energy_band_j"][case]) for case in ("high", "low"))
    weights = sum(layer.rows * layer.cols for layer in layers)
    total |= {
        "layers": len(layers),
        "tokens": layers[0].tokens,
        "ideal_cycles": max(total["ideal_compute_cycles"], total["ideal_dram_cycles"]),
        "density": _ratio(total["nnz"], weights),
        "mean_vector_length": _ratio(total["nnz"], total["vectors"]),
        "product_is_equal": is_product_equal(layers),
        "imbalance": _imbalance([layer.pe_load for layer in layers]),
        "latency_s": total["cycles"] / machine.clock.clock_hz,
        "speedup_vs_dense": _ratio(total["dense_cycles"], total["cycles"]),
        "utilization": _ratio(total["macs_executed"], machine.macs * total["cycles"]),
        "pj_per_executed_mac": _ratio(total["energy_j"] * 1e12, total["macs_executed"]),
        "bound_by": bound_by(total["cycles_by_cause"]),
        "units": _added_units(layers),
        "gops_per_watt": _efficiency(total, total["energy_by_component_j"]),
        "gops_per_watt_band": {key: [low[key], high[key]] for key in low},
    }
    return total


def _efficiency(total: Mapping[str, Any], energy: Mapping[str, float]) -> dict[str, float | None]:
    """GOPS/W by what counts as an operation and whose energy counts; "dram" is off the core."""
    whole, core = sum(energy.values()), sum(energy.values()) - energy["dram"]
    return {
        "dense_equivalent_core": _gops_per_watt(total["macs_dense"], core),
        "dense_equivalent_with_dram": _gops_per_watt(total["macs_dense"], whole),
        "executed_core": _gops_per_watt(total["macs_executed"], core),
        "executed_with_dram": _gops_per_watt(total["macs_executed"], whole),
    }


def of_use(layers: Sequence[LayerResult]) -> list[str]:
    """What a machine that cannot use a pattern makes of it; nothing with mixed-length vectors."""
    formats = Counter(layer.format for layer in layers)
    if "mixed_vectors" in formats:
        return []
    executed, padding = (
        sum(getattr(layer, key) for layer in layers) for key in ("macs_executed", "macs_padding")
    )
    stored = ", ".join(
        f"{count} of {len(layers)} matrices as {name}" for name, count in formats.items()
    )
    note = f"Here the mask is stored: {stored}."
    if padding:
        note += (
            f" Of the multiplications that lanes are held for {_percent(executed, padding)} are of "
            "kept weights: the rest is what the pattern costs here."
        )
    return [note]


def _percent(part: int, rest: int) -> str:
    return f"{100 * part / (part + rest):.1f} %"


def is_product_equal(layers: Iterable[LayerResult]) -> bool | None:
    """Whether every compared product agreed; None if none was compared."""
    verdicts = [layer.product["is_equal"] for layer in layers if layer.product is not None]
    compared = [verdict for verdict in verdicts if verdict is not None]
    return all(compared) if compared else None


def as_json(report: Report, timestamp: str) -> dict[str, Any]:
    """The whole report as JSON-able data; only `timestamp` differs between equal runs."""
    return {
        "schema_version": SCHEMA_VERSION,
        "timestamp": timestamp,
        **report.header,
        "accelerator": resolved(report.machine),
        "layers": [asdict(layer) for layer in report.layers],
        "total": {**report.total, "units": _plain(report.total["units"])},
        "area_mm2": {**report.area_mm2, "total": sum(report.area_mm2.values())},
        "peak_macs_per_cycle": report.machine.macs,
        "tables": table_rows(),
    }


def make_report(
    results: Sequence[LayerResult], machine: Machine, header: Mapping[str, Any]
) -> Report:
    """The report of a finished run."""
    return Report(machine, header, results, machine_area(machine))


def csv_rows(layers: Sequence[LayerResult]) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of layers.csv: the plain fields, then cycles and energy by cause."""
    nested = ("storage_bits", "cycles_by_cause", "energy_by_component_j")
    left_out = (*nested, "energy_band_j", "units", "pe_load", "product")
    plain = [field.name for field in fields(LayerResult) if field.name not in left_out]
    parts = [(key, part) for key in nested for part in getattr(layers[0], key)]
    header = plain + [f"{key}.{part}" for key, part in parts]
    rows = [
        [getattr(layer, key) for key in plain] + [getattr(layer, key)[part] for key, part in parts]
        for layer in layers
    ]
    return header, rows


def _ratio(above: float, below: float) -> float | None:
    """above / below; None where it is undefined."""
    return above / below if below else None


def _imbalance(loads: Sequence[Sequence[int]]) -> float | None:
    """Heaviest over mean load of a PE row, summed over layers; None where nothing is dealt out."""
    if not all(loads):
        return None
    return _ratio(sum(max(load) for load in loads), sum(sum(load) / len(load) for load in loads))


def _gops_per_watt(macs: int, joule: float) -> float | None:
    """1 MAC = 2 operations; operations per joule = GOPS/W × 10⁹."""
    return _ratio(2 * macs / 1e9, joule)


def _added(maps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: sum(part[key] for part in maps) for key in maps[0]}


def _added_units(layers: Sequence[LayerResult]) -> dict[str, Unit]:
    return {
        kind: Unit(
            unit.count,
            sum(layer.units[kind].busy for layer in layers),
            _added([layer.units[kind].stalled for layer in layers]) if unit.stalled else {},
            sum(layer.units[kind].idle for layer in layers),
        )
        for kind, unit in layers[0].units.items()
    }


def _plain(units: Mapping[str, Unit]) -> dict[str, Any]:
    return {kind: asdict(unit) for kind, unit in units.items()}
