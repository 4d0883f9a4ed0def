"""One layer on the machine, seen alone: its tiles, passes and counters, before time is laid out."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.counts import counted_tile, counts_of, timed_tile
from accel_sim.dataflows.mixed_vector.lines import Lines
from accel_sim.dataflows.mixed_vector.passes import Stepped, Stepper, pe_load_of
from accel_sim.dataflows.mixed_vector.product import check_product
from accel_sim.dataflows.mixed_vector.stream import EncodedTile, Way
from accel_sim.inputs.activations import CHECKED_TOKENS, Inputs, Layer, group_tokens


def run_tiles(
    layer: Layer,
    inputs: Inputs,
    lines: Lines,
    tiles: Sequence[EncodedTile],
    machine: Configuration,
    way: Way,
) -> LayerRun:
    """Step the layer, stored in `way` as `tiles`."""
    stepped = step_tiles(inputs, lines, tiles, machine)
    return counted_run(layer, inputs, lines, tiles, stepped, machine, way)


def step_tiles(
    inputs: Inputs, lines: Lines, tiles: Sequence[EncodedTile], machine: Configuration
) -> list[Stepped]:
    """The passes over each tile."""
    stepper = Stepper(inputs, machine, are_tiles_alike=lines.are_tiles_alike)
    return [stepper.step(tile) for tile in tiles]


def timed_run(
    layer: Layer,
    inputs: Inputs,
    lines: Lines,
    tiles: Sequence[EncodedTile],
    cycles: Iterable[NDArray[np.int64]],
    machine: Configuration,
) -> LayerRun:
    """As much of a run as its time follows from; cycles: of the passes over each tile."""
    return LayerRun(
        name=layer.matrix.name,
        kind=layer.matrix.kind,
        shape=lines.shape,
        nnz=lines.nnz,
        tiles=tuple(timed_tile(*each, machine) for each in zip(tiles, cycles, strict=True)),
        group_sizes=group_tokens(inputs.tokens, machine.array.token_columns),
        macs_effectual=0,
        format="sub_streams",
    )


def counted_run(
    layer: Layer,
    inputs: Inputs,
    lines: Lines,
    tiles: Sequence[EncodedTile],
    stepped: Sequence[Stepped],
    machine: Configuration,
    way: Way,
) -> LayerRun:
    """The run with all that its passes counted."""
    timed = timed_run(layer, inputs, lines, tiles, (each.cycles for each in stepped), machine)
    counts = counts_of(tiles, stepped, machine)
    return replace(
        timed,
        tiles=tuple(
            counted_tile(*each, lines, machine)
            for each in zip(timed.tiles, tiles, stepped, counts, strict=True)
        ),
        macs_effectual=_effectual(layer.matrix.keep, lines, inputs),
        orientation=lines.mode,
        lane_groups=way.groups,
        lane_select=way.select,
        entries=sum(len(tile.stream.entries) for tile in tiles),
        pe_load=pe_load_of(stepped, machine),
    )


def with_product(
    run: LayerRun,
    layer: Layer,
    inputs: Inputs,
    lines: Lines,
    tiles: Sequence[EncodedTile],
    machine: Configuration,
) -> LayerRun:
    """The run with its product, where weights and activations are known."""
    if not layer.matrix.is_weighted or inputs.x is None:
        return run
    x = inputs.x[:CHECKED_TOKENS]
    product, outputs = check_product(tiles, lines, layer.matrix, x, machine)
    return replace(run, product=product, outputs=outputs)


def _effectual(keep: NDArray[np.bool_], lines: Lines, inputs: Inputs) -> int:
    """Kept weight × activation that is not zero, in all."""
    rows, cols = lines.shape
    kept = np.full(cols, rows) if lines.is_dense else np.count_nonzero(keep, axis=0)
    return inputs.macs_effectual(kept)
