"""What a run found out about each matrix, and what that adds up to.

The words are those of docs/microarchitecture.md §7 and mean the same wherever they appear.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from accel_sim.costs.energy import layer_energy
from accel_sim.dataflows.abstract.account import LayerRun, LayerTime, Unit, together
from accel_sim.dataflows.abstract.dataflow import Machine


@dataclass(frozen=True)
class LayerResult:
    """One row of the table; field names are the keys of report.json.

    tokens: of one run. runs: how often the layer runs; cycles, latency, energy, MACs, bytes and
    units are those of all runs, what is stored counts once.
    bound_by, limited_by: see the functions of these names.
    last_pass_cycle: number, from 0, of the last cycle if all passes followed each other at once.
    """

    name: str
    kind: str
    rows: int
    cols: int
    nnz: int
    density: float | None
    tokens: int
    runs: int
    orientation: str
    lane_groups: int
    lane_select: int
    entries: int
    mean_entry_weights: float | None
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
    limited_by: Mapping[str, float]
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
class Totals:
    """What adds up over the layers, and the ratios of the sums; names as in report.json."""

    layers: int
    tokens: int
    nnz: int
    density: float | None
    entries: int
    mean_entry_weights: float | None
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
    limited_by: Mapping[str, float]
    energy_j: float
    energy_by_component_j: Mapping[str, float]
    energy_band_j: Mapping[str, Mapping[str, float]]
    pj_per_executed_mac: float | None
    gops_per_watt: Mapping[str, float | None]
    gops_per_watt_band: Mapping[str, Sequence[float | None]]
    macs_dense: int
    macs_executed: int
    macs_skipped: int
    macs_padding: int
    macs_effectual: int
    dram_bytes: int
    cycles_by_cause: Mapping[str, int]
    units: Mapping[str, Unit]
    imbalance: float | None
    product_is_equal: bool | None


def layer_result(
    run: LayerRun, times: Sequence[LayerTime], dense_cycles: int, machine: Machine
) -> LayerResult:
    """One layer's figures from its passes and its places in time, one for each time it runs."""
    (rows, cols), runs = run.shape, len(times)
    account = together([machine.account(run, time) for time in times])
    cycles = sum(time.cycles for time in times)
    executed, causes = account.executed, account.causes
    energy = layer_energy(account.actions, machine)
    energy_j = sum(energy["chosen"].values())
    dram_bytes = sum(time.dram_read_bytes + time.dram_write_bytes for time in times)
    # What no machine can leave out; one without zero-skip must multiply the zeros too.
    # A machine that rounds further activations to zero need not multiply those either.
    effectual = min(run.macs_effectual, executed // runs)
    needed = effectual if machine.skips_zeros else run.nnz * run.tokens
    ideal_compute = -(-needed // machine.macs) * runs
    ideal_dram = -(-1000 * dram_bytes // machine.dram.bytes_per_1000_cycles)
    storage = {
        part: sum(getattr(tile.storage, part) for tile in run.tiles)
        for part in ("values", "indices", "pointers", "padding")
    }
    product = run.product
    return LayerResult(
        name=run.name,
        kind=run.kind,
        rows=rows,
        cols=cols,
        nnz=run.nnz,
        density=_ratio(run.nnz, rows * cols),
        tokens=run.tokens,
        runs=runs,
        orientation=run.orientation,
        lane_groups=run.lane_groups,
        lane_select=run.lane_select,
        entries=run.entries,
        mean_entry_weights=_ratio(run.nnz, run.entries),
        format=run.format,
        storage_bits=storage,
        tiles=len(run.tiles),
        cycles=cycles,
        latency_s=cycles / machine.clock.clock_hz,
        ideal_cycles=max(ideal_compute, ideal_dram),
        ideal_compute_cycles=ideal_compute,
        ideal_dram_cycles=ideal_dram,
        dense_cycles=dense_cycles,
        speedup_vs_dense=_ratio(dense_cycles, cycles),
        utilization=_ratio(executed, machine.macs * cycles),
        bound_by=bound_by(causes),
        # While a layer runs, the DRAM loads for others too: only of the whole run it is the limit.
        limited_by=limited_by(
            {kind: unit for kind, unit in account.units.items() if kind != "dram"}, cycles
        ),
        energy_j=energy_j,
        energy_by_component_j=energy["chosen"],
        energy_band_j={"low": energy["low"], "high": energy["high"]},
        pj_per_executed_mac=_ratio(energy_j * 1e12, executed),
        macs_dense=rows * cols * run.tokens * runs,
        macs_executed=executed,
        macs_skipped=run.nnz * run.tokens * runs - executed,
        macs_padding=account.padding,
        macs_effectual=run.macs_effectual * runs,
        dram_bytes=dram_bytes,
        cycles_by_cause=causes,
        units=account.units,
        pe_load=run.pe_load,
        imbalance=_imbalance([run.pe_load]),
        product=None if product is None else {**asdict(product), "is_equal": product.is_equal},
        last_pass_cycle=run.pass_cycles - 1 if run.tiles else None,
    )


def bound_by(causes: Mapping[str, int]) -> str | None:
    """The cause with the most cycles, ties to the first; None where there are no cycles."""
    return max(causes, key=lambda cause: causes[cause]) if any(causes.values()) else None


SATURATED = 0.95
"""Share of the cycles from which on a busy unit is said to limit a run."""


def limited_by(units: Mapping[str, Unit], cycles: int) -> dict[str, float]:
    """Kinds of units that are busy at least `SATURATED` of the cycles, and how much; most first.

    The units of a kind count together. With the same work for them, at the same speed, no change of
    anything else can save more than the rest of the cycles.
    """
    shares = {kind: unit.busy / (unit.count * cycles) for kind, unit in units.items() if cycles}
    found = {kind: share for kind, share in shares.items() if share >= SATURATED}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


_ADDED = (
    *("nnz", "entries", "tiles", "cycles", "dense_cycles", "energy_j"),
    *("ideal_compute_cycles", "ideal_dram_cycles"),
    *("macs_dense", "macs_executed", "macs_skipped", "macs_padding", "macs_effectual"),
    "dram_bytes",
)
_ADDED_BY_PART = ("storage_bits", "energy_by_component_j", "cycles_by_cause")


def totals(layers: Sequence[LayerResult], machine: Machine) -> Totals:
    """What adds up over the layers, and the ratios of the sums."""
    sums: dict[str, Any] = {key: sum(getattr(layer, key) for layer in layers) for key in _ADDED}
    for key in _ADDED_BY_PART:
        sums[key] = _added([getattr(layer, key) for layer in layers])
    band = {
        case: _added([layer.energy_band_j[case] for layer in layers]) for case in ("low", "high")
    }
    low, high = (_efficiency(sums, band[case]) for case in ("high", "low"))
    cycles, executed, units = sums["cycles"], sums["macs_executed"], _added_units(layers)
    return Totals(
        **sums,
        layers=len(layers),
        tokens=max(layer.tokens for layer in layers),
        ideal_cycles=max(sums["ideal_compute_cycles"], sums["ideal_dram_cycles"]),
        density=_ratio(sums["nnz"], sum(layer.rows * layer.cols for layer in layers)),
        mean_entry_weights=_ratio(sums["nnz"], sums["entries"]),
        product_is_equal=is_product_equal(layers),
        imbalance=_imbalance([layer.pe_load for layer in layers]),
        latency_s=cycles / machine.clock.clock_hz,
        speedup_vs_dense=_ratio(sums["dense_cycles"], cycles),
        utilization=_ratio(executed, machine.macs * cycles),
        pj_per_executed_mac=_ratio(sums["energy_j"] * 1e12, executed),
        bound_by=bound_by(sums["cycles_by_cause"]),
        limited_by=limited_by(units, cycles),
        units=units,
        energy_band_j=band,
        gops_per_watt=_efficiency(sums, sums["energy_by_component_j"]),
        gops_per_watt_band={key: [low[key], high[key]] for key in low},
    )


def _efficiency(total: Mapping[str, Any], energy: Mapping[str, float]) -> dict[str, float | None]:
    """GOPS/W by what counts as an operation and whose energy counts; "dram" is off the core."""
    whole, core = sum(energy.values()), sum(energy.values()) - energy["dram"]
    return {
        "dense_equivalent_core": _gops_per_watt(total["macs_dense"], core),
        "dense_equivalent_with_dram": _gops_per_watt(total["macs_dense"], whole),
        "executed_core": _gops_per_watt(total["macs_executed"], core),
        "executed_with_dram": _gops_per_watt(total["macs_executed"], whole),
    }


def notes_on_loads(layers: Sequence[LayerResult]) -> list[str]:
    """Where matrices take fewer cycles than the DRAM needs for them; nothing where none does."""
    early = [layer.name for layer in layers if layer.ideal_dram_cycles > layer.cycles]
    if not early:
        return []
    return [
        f"{len(early)} of {len(layers)} matrices take fewer cycles than the DRAM needs for their "
        f"bytes ({early[0]}, …): part of these was loaded while another matrix was running."
    ]


def notes_on_use(layers: Sequence[LayerResult], machine: Machine) -> list[str]:
    """What a machine that cannot use every pattern makes of the mask; nothing for one that can."""
    if machine.stores_any_mask:
        return []
    formats = Counter(layer.format for layer in layers)
    executed, padding = (
        sum(getattr(layer, key) for layer in layers) for key in ("macs_executed", "macs_padding")
    )
    stored = ", ".join(
        f"{count} of {len(layers)} matrices as {name}" for name, count in formats.items()
    )
    note = f"This machine stores the mask as follows: {stored}."
    if padding:
        note += (
            f" A kept weight needs {_percent(executed, padding)} of the issued multiplications; "
            "the rest is the cost of this pattern on this machine."
        )
    return [note]


def _percent(part: int, rest: int) -> str:
    return f"{100 * part / (part + rest):.1f} %"


def is_product_equal(layers: Iterable[LayerResult]) -> bool | None:
    """Whether every compared product agreed; None if none was compared."""
    verdicts = [layer.product["is_equal"] for layer in layers if layer.product is not None]
    compared = [verdict for verdict in verdicts if verdict is not None]
    return all(compared) if compared else None


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
        kind: Unit(unit.count, _added([layer.units[kind].states for layer in layers]))
        for kind, unit in layers[0].units.items()
    }
