"""One layer on the machine, seen alone: its tiles, passes and counters, before time is laid out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.counts import counts_of, tile_of
from accel_sim.dataflows.mixed_vector.lines import Lines
from accel_sim.dataflows.mixed_vector.passes import Stepper, pe_load_of
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
    stepper = Stepper(inputs, machine, is_dense=lines.is_dense)
    stepped = [stepper.step(tile) for tile in tiles]
    counts = counts_of(tiles, stepped, machine)
    return LayerRun(
        name=layer.matrix.name,
        kind=layer.matrix.kind,
        shape=lines.shape,
        nnz=lines.nnz,
        tiles=tuple(
            tile_of(*each, lines, machine) for each in zip(tiles, stepped, counts, strict=True)
        ),
        group_sizes=group_tokens(inputs.tokens, machine.array.token_columns),
        macs_effectual=_effectual(layer.matrix.keep, lines, inputs),
        format="sub_streams",
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
