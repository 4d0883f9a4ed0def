"""What a run found out: one result per layer, their total, and the JSON that holds them.

The words are those of docs/microarchitecture.md §7 and mean the same wherever they appear.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from accel_sim.accelerator import Accelerator, resolved
from accel_sim.area import machine_area
from accel_sim.energy import layer_energy
from accel_sim.layer_run import LayerRun
from accel_sim.tables import table_rows
from accel_sim.timeline import LayerTime

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
"""Where a cycle of the critical path may go, in the order of docs/microarchitecture.md §7."""


@dataclass(frozen=True)
class Unit:
    """One kind of unit: busy + stalled + idle = count · cycles of the layer."""

    count: int
    busy: int
    stalled: Mapping[str, int]
    idle: int


@dataclass(frozen=True)
class LayerResult:
    """One row of the table; field names are the keys of report.json."""

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


@dataclass(frozen=True)
class Report:
    """A whole run. header: command, versions, mask, notes; everything but time stamps is pure."""

    machine: Accelerator
    header: Mapping[str, Any]
    layers: Sequence[LayerResult]
    area_mm2: Mapping[str, float]

    @property
    def total(self) -> dict[str, Any]:
        return totals(self.layers, self.machine)


def layer_result(
    run: LayerRun, time: LayerTime, dense_cycles: int, machine: Accelerator
) -> LayerResult:
    """One layer's figures from its counters and its place in time."""
    rows, cols = run.shape
    executed = run.counts.executed
    energy = layer_energy(run, time, machine)
    energy_j = sum(energy["chosen"].values())
    causes = cycles_by_cause(run, time, machine)
    dram_bytes = time.dram_read_bytes + time.dram_write_bytes
    # What no machine can leave out; one without zero-skip must multiply the zeros too.
    is_skipping = machine.zero_skip.entries_per_cycle > 0
    needed = run.macs_effectual if is_skipping else run.nnz * run.tokens
    ideal_compute = -(-needed // machine.macs)
    ideal_dram = -(-1000 * dram_bytes // machine.dram.bytes_per_1000_cycles)
    idle = np.zeros(machine.array.pe_rows, np.int64)
    pe_load = np.sum([idle, *(tile.pe_load for tile in run.tiles)], axis=0).tolist()
    mean_load = sum(pe_load) / len(pe_load)
    storage = {
        part: sum(getattr(tile.storage, part) for tile in run.tiles)
        for part in ("values", "indices", "pointers", "padding")
    }
    product = None
    if run.product is not None:
        product = {**asdict(run.product), "is_equal": run.product.is_equal}
    return LayerResult(
        name=run.name,
        kind=run.kind,
        rows=rows,
        cols=cols,
        nnz=run.nnz,
        density=_ratio(run.nnz, rows * cols),
        tokens=run.tokens,
        orientation=run.orientation,
        vectors=run.vectors,
        mean_vector_length=_ratio(run.nnz, run.vectors),
        format="mixed_vectors",
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
        macs_padding=run.counts.pe_busy * machine.array.lanes - executed,
        macs_effectual=run.macs_effectual,
        dram_bytes=dram_bytes,
        cycles_by_cause=causes,
        units=units_of(run, time, machine),
        pe_load=pe_load,
        imbalance=_ratio(max(pe_load), mean_load),
        product=product,
    )


def cycles_by_cause(run: LayerRun, time: LayerTime, machine: Accelerator) -> dict[str, int]:
    """The layer's critical path by cause; sums to its cycles (§7)."""
    passes = len(run.tiles) * len(run.group_sizes)
    return {
        "compute": run.counts.path_compute,
        "empty_lanes": run.counts.path_empty_lanes,
        "lockstep": run.counts.path_lockstep,
        "imbalance": run.counts.path_imbalance,
        "zero_skip": run.counts.path_zero_skip,
        "window": run.counts.path_window,
        "decompressor": run.counts.path_decompressor,
        "pipeline": passes * machine.array.pe_latency_cycles,
        "dram": time.wait_dram,
        "writeback": time.wait_writeback + time.tail,
    }


def bound_by(causes: Mapping[str, int]) -> str | None:
    """The cause with the most cycles; None where there are no cycles."""
    return max(CAUSES, key=lambda cause: causes[cause]) if any(causes.values()) else None


def units_of(run: LayerRun, time: LayerTime, machine: Accelerator) -> dict[str, Unit]:
    """Busy, stalled and idle cycles of each kind of unit (§7).

    Every figure is counted, none is a remainder, so that the sums can be checked.
    """
    array, passes = machine.array, len(run.tiles) * len(run.group_sizes)
    pes = array.pe_rows * array.token_columns
    in_passes = run.counts.cycles
    latency = passes * array.pe_latency_cycles
    stepped = in_passes - latency
    between = time.wait_dram + time.wait_writeback + time.tail
    tokenless = in_passes * array.token_columns - run.counts.cycles_for_tokens
    executed = run.counts.executed
    pe = Unit(
        count=pes,
        busy=run.counts.pe_busy,
        stalled={
            "lockstep": run.counts.pe_lockstep,
            "zero_skip": run.counts.pe_zero_skip,
            "window": run.counts.pe_window,
            "decompressor": run.counts.pe_decompressor,
            "pipeline": array.pe_latency_cycles * len(run.tiles) * run.tokens * array.pe_rows,
            "dram": time.wait_dram * pes,
            "writeback": (time.wait_writeback + time.tail) * pes,
        },
        idle=run.counts.pe_idle + tokenless * array.pe_rows,
    )
    waiting = (sum(pe.stalled.values()) + pe.idle) * array.lanes
    empty = pe.busy * array.lanes - executed
    drops, decodes = run.counts.drop_cycles, run.counts.decode_busy
    full, starved = run.counts.decode_queue_full, run.counts.decode_starved
    loads, loads_full = run.counts.load_busy, run.counts.load_window_full
    outside = latency + between
    controllers = pes if machine.queue.per_column else array.pe_rows
    return {
        "pe": pe,
        "lane": Unit(machine.macs, executed, {"empty_lanes": empty, "pe": waiting}, 0),
        "zero_skip": Unit(controllers, drops, {}, time.cycles * controllers - drops),
        "decompressor": Unit(
            1,
            decodes,
            {"queue_full": full, "weight_buffer": starved},
            stepped - decodes - full - starved + outside,
        ),
        "matching": Unit(
            1, loads, {"window_full": loads_full}, stepped - loads - loads_full + outside
        ),
        "dram": Unit(
            1,
            time.dram_busy,
            {"first_latency": time.dram_latency},
            time.cycles - time.dram_busy - time.dram_latency,
        ),
        "writeback": Unit(1, time.write_busy, {}, time.cycles - time.write_busy),
    }


def totals(layers: Sequence[LayerResult], machine: Accelerator) -> dict[str, Any]:
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
        "imbalance": _ratio(
            sum(max(layer.pe_load) for layer in layers),
            sum(sum(layer.pe_load) for layer in layers) / machine.array.pe_rows,
        ),
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
        "tables": table_rows(),
    }


def make_report(
    results: Sequence[LayerResult], machine: Accelerator, header: Mapping[str, Any]
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
