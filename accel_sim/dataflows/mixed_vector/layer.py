"""One layer on the machine, seen alone: its tiles, passes and counters, before time is laid out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import LayerRun, Tile
from accel_sim.dataflows.mixed_vector.configuration import Configuration
from accel_sim.dataflows.mixed_vector.counts import EqualPasses, tile_of
from accel_sim.dataflows.mixed_vector.cycle_loop import Stepper, Steps
from accel_sim.dataflows.mixed_vector.liveness import all_live, liveness
from accel_sim.dataflows.mixed_vector.plan import plan_layer
from accel_sim.dataflows.mixed_vector.product import Issued, check_product
from accel_sim.dataflows.mixed_vector.stream import Stored
from accel_sim.inputs.activations import CHECKED_TOKENS, Inputs, Layer, group_tokens
from sparse_formats.masks.decompose import decompose


def run_layer(layer: Layer, inputs: Inputs, machine: Configuration, is_checked: bool) -> LayerRun:
    """Encode, schedule and step one layer; multiply it too where weights are known.

    Raises:
        InputError: the matrix does not fit the machine.
    """
    matrix = layer.matrix
    layout = matrix.vectors if matrix.vectors is not None else decompose(matrix.keep)
    stored = Stored(layout, matrix.shape)
    is_multiplied = is_checked and matrix.is_weighted and inputs.x is not None
    steppers = list(steppers_of(stored, machine, matrix.name, is_multiplied))
    passes = [list(_passes(stepper, inputs, machine)) for stepper in steppers]
    product, outputs = None, None
    if is_multiplied and inputs.x is not None:
        issued = [
            Issued(stepper.planned, _issuers(stepper, of_tile))
            for stepper, of_tile in zip(steppers, passes, strict=True)
        ]
        x = inputs.x[:CHECKED_TOKENS]
        product, outputs = check_product(issued, stored, matrix, x, machine)
    stepped = zip(steppers, passes, strict=True)
    run = _layer_run(layer, stored, stepped, inputs, machine)
    return replace(run, product=product, outputs=outputs)


def run_steppers(
    layer: Layer,
    inputs: Inputs,
    stored: Stored,
    steppers: Iterable[Stepper],
    machine: Configuration,
) -> LayerRun:
    """Only step the layer, as `stored`; `steppers`: of its tiles, on `machine`, one at a time."""
    stepped = ((stepper, list(_passes(stepper, inputs, machine))) for stepper in steppers)
    return _layer_run(layer, stored, stepped, inputs, machine)


def steppers_of(
    stored: Stored, machine: Configuration, name: str, is_multiplied: bool = False
) -> Iterator[Stepper]:
    """Encode and schedule: a stepper for each tile, when it is asked for.

    Raises:
        InputError: naming the matrix, if it does not fit the machine.
    """
    known: dict[tuple[int, int], dict[bytes, Steps]] = {}
    for planned in plan_layer(stored, machine, name):
        steps = known.setdefault(planned.tile.size, {}) if stored.is_dense else {}
        yield Stepper(planned, machine, is_multiplied, steps)


def _passes(stepper: Stepper, inputs: Inputs, machine: Configuration) -> Iterator[EqualPasses]:
    """The passes over one tile in the order of their groups."""
    entries, columns = stepper.planned.entries, machine.array.token_columns
    if inputs.nonzero is None or machine.zero_skip.entries_per_cycle == 0:
        full, rest = divmod(inputs.tokens, columns)
        for tokens, groups in ((columns, full), (rest, 1)):
            if tokens and groups:
                live = all_live(entries, tokens)
                yield EqualPasses(tokens, groups, live, stepper.steps(live))
        return
    for group, token_bits in enumerate(inputs.token_bits(columns)):
        tokens = min(columns, inputs.tokens - group * columns)
        live = liveness(entries, token_bits, tokens, machine.queue.per_column)
        yield EqualPasses(tokens, 1, live, stepper.steps(live))


def _issuers(
    stepper: Stepper, passes: Sequence[EqualPasses]
) -> list[tuple[int, NDArray[np.int32]]]:
    """Who issues each entry of a tile for how many of the tokens: see `Issued`."""
    scheduled = stepper.planned.queue[None]
    issuers: list[tuple[int, NDArray[np.int32]]] = []
    for each in passes:
        issuer = scheduled if each.steps.issuer is None else each.steps.issuer
        tokens = each.tokens * each.groups
        if issuers and issuers[-1][1] is issuer and len(issuer) == 1:
            tokens += issuers.pop()[0]
        issuers.append((tokens, issuer))
    return issuers


def _layer_run(
    layer: Layer,
    stored: Stored,
    stepped: Iterable[tuple[Stepper, Sequence[EqualPasses]]],
    inputs: Inputs,
    machine: Configuration,
) -> LayerRun:
    matrix, (rows, cols) = layer.matrix, stored.shape
    tiles: list[Tile] = []
    pe_load = np.zeros(machine.array.pe_rows, np.int64)
    for stepper, passes in stepped:
        tiles.append(tile_of(stepper.planned, passes, stored, machine))
        pe_load += _pe_load(passes)
    return LayerRun(
        name=matrix.name,
        kind=matrix.kind,
        shape=stored.shape,
        nnz=rows * cols if stored.is_dense else matrix.nnz,
        tiles=tuple(tiles),
        group_sizes=group_tokens(inputs.tokens, machine.array.token_columns),
        macs_effectual=_effectual(matrix.keep, stored, inputs),
        format="mixed_vectors",
        orientation=stored.layout.orientation,
        vectors=len(stored.layout),
        pe_load=pe_load.tolist(),
    )


def _effectual(keep: NDArray[np.bool_], stored: Stored, inputs: Inputs) -> int:
    """Kept weight × activation that is not zero, in all."""
    if not stored.is_dense:
        return inputs.macs_effectual(keep)
    rows, cols = stored.shape
    live = inputs.tokens * cols if inputs.nonzero is None else np.count_nonzero(inputs.nonzero)
    return rows * int(live)


def _pe_load(passes: Sequence[EqualPasses]) -> NDArray[np.int64]:
    """Entries issued by each PE row, once for each token or column that issued it: int64 (P,)."""
    # A row of `skippable` stands for as many columns as share it.
    columns = [each.groups * (each.tokens // len(each.live.skippable)) for each in passes]
    issued = np.array([each.steps.issued for each in passes], np.int64)
    return np.array(columns, np.int64) @ issued
