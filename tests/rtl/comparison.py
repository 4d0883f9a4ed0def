"""Drawn layers through the RTL and through the simulator, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel_sim import Activations, Workload, load_machine, simulate
from accel_sim.reports.results import LayerResult
from sparse_formats.masks.matrix import MaskedMatrix
from tests.rtl.account import Account, account, of_layer
from tests.rtl.encoding import SmallMachine, Tile, encode
from tests.rtl.hardware import Job, Run, run


@dataclass(frozen=True)
class Layer:
    """A drawn layer; weight: int8 (outputs, inputs); activations: int8 (tokens, inputs)."""

    keep: NDArray[np.bool_]
    weight: NDArray[np.int8]
    activations: NDArray[np.int8]


@dataclass(frozen=True)
class Expected:
    """What the simulator says of a layer; outputs: (tokens, outputs)."""

    layer: LayerResult
    outputs: NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """A layer, its machine, what the simulator says of it, and its bytes."""

    machine: SmallMachine
    layer: Layer
    expected: Expected
    tiles: Sequence[Tile]


def settings(machine: SmallMachine) -> list[str]:
    """The machine in the simulator's words."""
    values = {
        "array.pe_rows": machine.rows,
        "array.token_columns": machine.columns,
        "array.lanes": machine.lanes,
        "array.lane_groups": list(machine.lane_groups),
        "array.lane_select": machine.lane_select,
        "array.accumulators_per_pe": machine.accumulators,
        "array.pe_latency_cycles": machine.latency,
        "array.packing": machine.packing,
        "array.datatype": "int8",
        "scheduler.policy": machine.policy,
        "scheduler.sets": machine.sets,
        "queue.depth_entries": machine.queue,
        "queue.per_column": machine.per_column,
        "decompressor.word_bytes": machine.word_bytes,
        "decompressor.buffer_words": machine.buffer_words,
        "zero_skip.entries_per_cycle": machine.zero_skip,
        "matching.window_inputs": machine.window,
        "matching.inputs_per_cycle": machine.inputs_per_cycle,
        "weight_buffer.bytes": machine.weight_bytes,
        "weight_buffer.banks": machine.rows,
        "weight_buffer.port_bytes": machine.word_bytes,
        "output.words_per_cycle": machine.write_words,
        "dram.bytes_per_cycle": machine.dram_bytes,
        "dram.burst_bytes": machine.burst,
        "dram.first_latency_cycles": machine.first_latency,
        "dram.efficiency_run_bytes": list(machine.runs),
        "dram.efficiency_permille": list(machine.permille),
        "dram.resident": machine.resident,
    }
    return [f"{key}={str(value).lower()}" for key, value in values.items()]


def draw(
    machine: SmallMachine, rng: np.random.Generator, least: int, most: int, tokens: int
) -> Layer:
    """A layer of `least` to `most` outputs and inputs: scattered weights, vectors, or a mixture.

    For a machine whose lanes choose, half of the layers keep one of the candidates of each lane.
    """
    rows, cols = rng.integers(least, most + 1, 2).tolist()
    density = rng.choice([0.0, 0.05, 0.2, 0.5, 1.0], p=[0.02, 0.28, 0.35, 0.25, 0.1])
    length = int(rng.choice([1, 4, 8]))
    if machine.lane_select > 1 and rng.integers(2):
        keep = chosen(machine, rng, rows, cols)
    elif rng.integers(2):
        keep = np.repeat(rng.random((rows, -(-cols // length))) < density, length, axis=1)[:, :cols]
    else:
        keep = np.repeat(rng.random((-(-rows // length), cols)) < density, length, axis=0)[:rows]
    keep = keep | (rng.random((rows, cols)) < rng.choice([0.0, 0.02]))
    # Some kept weights are zero: they stay entries.
    weight = np.where(keep, rng.integers(-128, 128, (rows, cols)), 0).astype(np.int8)
    x = rng.integers(-128, 128, (int(rng.integers(1, tokens + 1)), cols))
    x[rng.random(x.shape) < rng.choice([0.0, 0.5, 0.9])] = 0
    return Layer(keep, weight, x.astype(np.int8))


def chosen(
    machine: SmallMachine, rng: np.random.Generator, rows: int, cols: int
) -> NDArray[np.bool_]:
    """A mask of (position, unit) in which each lane keeps one of its candidates."""
    k, g = machine.lane_select, machine.lanes // int(rng.choice(machine.lane_groups))
    # Units × positions × candidates × lanes, in each mode in its own order.
    if rng.integers(2):
        shape, order, size = (rows, -(-cols // (k * g)), k, g), (0, 1, 2, 3), (rows, -1)
    else:
        shape, order = (-(-rows // g), -(-cols // k), k, g), (0, 3, 1, 2)
        size = (shape[0] * g, -1)
    one = rng.integers(k, size=(*shape[:2], 1, g)) == np.arange(k)[:, None]
    one &= rng.random((*shape[:2], 1, 1)) < rng.choice([0.3, 0.6, 1.0])
    return one.transpose(order).reshape(size)[:rows, :cols]


def drawn_cases(
    machine: SmallMachine,
    layers: int,
    rng: np.random.Generator,
    *,
    sizes: tuple[int, int],
    tokens: int,
) -> list[Case]:
    """Drawn layers: half of them with one number of lane groups, half with the host's choice."""
    cases = []
    for number in range(layers):
        n = int(rng.choice(machine.lane_groups))
        of = replace(machine, lane_groups=(n,)) if number % 2 else machine
        layer = draw(of, rng, *sizes, tokens)
        found = simulated(of, layer)
        tiles = encode(
            of,
            layer.keep,
            layer.weight,
            is_row=found.layer.orientation == "horizontal",
            n=found.layer.lane_groups,
            s=found.layer.lane_select,
        )
        cases.append(Case(of, layer, found, tiles))
    return cases


def simulated(machine: SmallMachine, layer: Layer) -> Expected:
    """What the simulator says of a layer alone."""
    outputs: dict[str, NDArray[np.int64]] = {}
    report = simulate(
        Workload.of(
            [MaskedMatrix("m", layer.keep, layer.weight)],
            Activations(len(layer.activations), recorded={"m": layer.activations}),
        ),
        load_machine("tf_mvp", settings(machine)),
        threads=1,
        on_outputs=outputs.__setitem__,
    )
    return Expected(report.layers[0], np.asarray(outputs["m"]).T)


def compared(
    program: Path, machine: SmallMachine, cases: Sequence[Case], most_cycles: int = 20_000
) -> tuple[list[str], list[Run]]:
    """What is different in which layer, and what the RTL did.

    Raises:
        Stuck: a layer takes more than `most_cycles`.
    """
    jobs = [
        Job(case.tiles, case.layer.activations, len(case.layer.keep), machine.resident)
        for case in cases
    ]
    runs = run(program, machine, jobs, most_cycles)
    found = [
        f"layer {number}, {case.layer.keep.shape}, {case.expected.layer.orientation}, "
        f"n = {case.expected.layer.lane_groups}, s = {case.expected.layer.lane_select}: "
        f"{difference}"
        for number, (case, one) in enumerate(zip(cases, runs, strict=True))
        for difference in differences(case.machine, case.layer, case.tiles, one, case.expected)
    ]
    return found, runs


def differences(
    machine: SmallMachine, layer: Layer, tiles: Sequence[Tile], run: Run, expected: Expected
) -> list[str]:
    """What is not equal, in words: cycles, counters, bytes and outputs."""
    result = expected.layer
    rtl = account(machine, run, len(layer.activations), result.lane_groups)
    theirs = of_layer(result)
    found = [
        f"{name.name}: RTL {getattr(rtl, name.name)}, simulator {getattr(theirs, name.name)}"
        for name in fields(Account)
        if getattr(rtl, name.name) != getattr(theirs, name.name)
    ]
    bits = 8 * sum(len(tile.data) for tile in tiles)
    loaded = 0 if machine.resident else sum(size for tile in tiles for size, _ in tile.parts)
    for name, ours, other in (
        ("tiles", len(tiles), result.tiles),
        ("bits", bits, sum(result.storage_bits.values())),
        ("dram_bytes", loaded, result.dram_bytes),
        ("faults", run.faults, 0),
    ):
        if ours != other:
            found.append(f"{name}: RTL {ours}, simulator {other}")
    if not np.array_equal(run.outputs, expected.outputs):
        found.append("outputs")
    product = layer.activations.astype(np.int64) @ np.where(layer.keep, layer.weight, 0).T.astype(
        np.int64
    )
    if not np.array_equal(run.outputs, product):
        found.append("outputs and the product")
    return found
