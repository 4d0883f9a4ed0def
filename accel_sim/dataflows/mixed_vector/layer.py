"""One layer on the machine, seen alone: its tiles, passes and counters, before time is laid out."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import LayerRun
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.counts import EqualPasses, tile_of
from accel_sim.dataflows.mixed_vector.cycle_loop import Stepper, Steps
from accel_sim.dataflows.mixed_vector.lines import Lines
from accel_sim.dataflows.mixed_vector.liveness import all_live, liveness
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
    known: dict[tuple[int, int], dict[bytes, Steps]] = {}
    passes = []
    for tile in tiles:
        # Dense tiles of one size hold the same.
        shared = known.setdefault(tile.size, {}) if lines.is_dense else {}
        passes.append(list(_passes(Stepper(tile, machine, shared), inputs, machine)))
    loads = [_pe_load(of_tile) for of_tile in passes]
    idle = np.zeros(machine.array.pe_rows, np.int64)
    return LayerRun(
        name=layer.matrix.name,
        kind=layer.matrix.kind,
        shape=lines.shape,
        nnz=lines.nnz,
        tiles=tuple(
            tile_of(tile, of_tile, lines, machine)
            for tile, of_tile in zip(tiles, passes, strict=True)
        ),
        group_sizes=group_tokens(inputs.tokens, machine.array.token_columns),
        macs_effectual=_effectual(layer.matrix.keep, lines, inputs),
        format="sub_streams",
        orientation=lines.mode,
        lane_groups=way.groups,
        lane_select=way.select,
        entries=sum(len(tile.stream.entries) for tile in tiles),
        pe_load=np.sum([idle, *loads], axis=0).tolist(),
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


def _passes(stepper: Stepper, inputs: Inputs, machine: Configuration) -> Iterator[EqualPasses]:
    """The passes over one tile in the order of their groups."""
    entries, columns = stepper.tile.stream.entries, machine.array.token_columns
    col0, col1 = stepper.tile.cols
    if inputs.nonzero is None or not machine.skips_zeros:
        full, rest = divmod(inputs.tokens, columns)
        for tokens, groups in ((columns, full), (rest, 1)):
            if tokens and groups:
                live = all_live(entries, tokens)
                yield EqualPasses(tokens, groups, live, stepper.steps(live))
        return
    for group, token_bits in enumerate(inputs.token_bits(columns)):
        tokens = min(columns, inputs.tokens - group * columns)
        live = liveness(entries, token_bits[col0:col1], tokens, machine.queue.per_column)
        yield EqualPasses(tokens, 1, live, stepper.steps(live))


def _effectual(keep: NDArray[np.bool_], lines: Lines, inputs: Inputs) -> int:
    """Kept weight × activation that is not zero, in all."""
    rows, cols = lines.shape
    kept = np.full(cols, rows) if lines.is_dense else np.count_nonzero(keep, axis=0)
    return inputs.macs_effectual(kept)


def _pe_load(passes: Sequence[EqualPasses]) -> NDArray[np.int64]:
    """Entries issued by each PE row, once for each token or column that issued it: int64 (P,)."""
    # A row of `dead` stands for as many columns as share it.
    columns = [each.groups * (each.tokens // len(each.live.dead)) for each in passes]
    issued = np.array([each.steps.issued for each in passes], np.int64)
    return np.array(columns, np.int64) @ issued
