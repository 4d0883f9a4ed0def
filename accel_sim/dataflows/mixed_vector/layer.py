"""One layer on the machine, seen alone: its tiles, passes and counters, before time is laid out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.account import Passes, Tile
from accel_sim.dataflows.mixed_vector.counts import Counts, added, pass_counts
from accel_sim.dataflows.mixed_vector.cycle_loop import Block, Stepper, Steps
from accel_sim.dataflows.mixed_vector.liveness import Liveness, all_live, liveness
from accel_sim.dataflows.mixed_vector.plan import plan_layer
from accel_sim.dataflows.mixed_vector.product import Issued, ProductCheck, check_product
from accel_sim.dataflows.mixed_vector.stream import Stored
from accel_sim.machines.description import Accelerator
from accel_sim.workload import CHECKED_TOKENS, Inputs, Layer, group_tokens
from sparse_formats.masks.decompose import decompose
from sparse_formats.masks.vectors import Orientation
from sparse_formats.storage import Storage


@dataclass(frozen=True, eq=False)
class TileRun(Tile):
    """A tile and what its passes counted.

    queue_bits: bits of all entries. counts: of all passes. pe_load: entries issued by each PE row,
    once for each token or column that issued it; int64 (P,).
    """

    queue_bits: int
    counts: Counts
    pe_load: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerRun(Passes):
    """All passes of one layer on the machine of mixed-length vectors.

    outputs: (rows, tokens) of the tokens that were multiplied, in the accumulators' type; None
    where they were not.
    """

    tiles: tuple[TileRun, ...]
    orientation: Orientation
    vectors: int
    product: ProductCheck | None = None
    outputs: NDArray[Any] | None = None

    @cached_property
    def counts(self) -> Counts:
        """Of all passes."""
        return added([Counts(), *(tile.counts for tile in self.tiles)])


@dataclass(frozen=True, eq=False)
class EqualPasses:
    """Equal passes over one tile: `groups` groups of `tokens` tokens, one behind the other."""

    tokens: int
    groups: int
    live: Liveness
    steps: Steps


def run_layer(layer: Layer, inputs: Inputs, machine: Accelerator, is_checked: bool) -> LayerRun:
    """Encode, schedule and step one layer; multiply it too where weights are known.

    Raises:
        InputError: the matrix does not fit the machine.
    """
    matrix = layer.matrix
    layout = matrix.vectors if matrix.vectors is not None else decompose(matrix.keep)
    stored = Stored(layout, matrix.shape)
    is_multiplied = is_checked and matrix.weight is not None and inputs.x is not None
    steppers = steppers_of(stored, machine, matrix.name, is_multiplied)
    passes = [list(_passes(stepper, inputs, machine)) for stepper in steppers]
    product, outputs = None, None
    if is_multiplied and inputs.x is not None:
        issued = [
            Issued(stepper.planned, _issuers(stepper, of_tile))
            for stepper, of_tile in zip(steppers, passes, strict=True)
        ]
        x = inputs.x[:CHECKED_TOKENS]
        product, outputs = check_product(issued, stored, matrix, x, machine)
    run = _layer_run(layer, stored, steppers, passes, inputs, machine)
    return replace(run, product=product, outputs=outputs)


def run_steppers(
    layer: Layer, inputs: Inputs, stored: Stored, steppers: Sequence[Stepper], machine: Accelerator
) -> LayerRun:
    """Only step the layer, as `stored`; `steppers`: of its tiles, on `machine`."""
    passes = [list(_passes(stepper, inputs, machine)) for stepper in steppers]
    return _layer_run(layer, stored, steppers, passes, inputs, machine)


def steppers_of(
    stored: Stored, machine: Accelerator, name: str, is_multiplied: bool = False
) -> list[Stepper]:
    """Encode and schedule: a stepper for each tile.

    Raises:
        InputError: naming the matrix, if it does not fit the machine.
    """
    known: dict[tuple[int, int], dict[bytes, Steps]] = {}
    return [
        Stepper(
            planned,
            machine,
            is_multiplied,
            known.setdefault(planned.tile.size, {}) if stored.is_dense else {},
        )
        for planned in plan_layer(stored, machine, name)
    ]


def _passes(stepper: Stepper, inputs: Inputs, machine: Accelerator) -> Iterator[EqualPasses]:
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
    steppers: Sequence[Stepper],
    passes: Sequence[Sequence[EqualPasses]],
    inputs: Inputs,
    machine: Accelerator,
) -> LayerRun:
    matrix = layer.matrix
    nnz = matrix.keep.size if stored.is_dense else matrix.nnz
    effectual = nnz * inputs.tokens
    if inputs.nonzero is not None:
        rows, cols = stored.shape
        kept = np.full(cols, rows) if stored.is_dense else np.count_nonzero(matrix.keep, axis=0)
        effectual = int(kept @ np.count_nonzero(inputs.nonzero, axis=0))
    tiles = [
        _tile_run(stepper, of_tile, stored.is_dense, machine)
        for stepper, of_tile in zip(steppers, passes, strict=True)
    ]
    return LayerRun(
        name=matrix.name,
        kind=matrix.kind,
        shape=stored.shape,
        nnz=nnz,
        orientation=stored.layout.orientation,
        vectors=len(stored.layout),
        tiles=tuple(tiles),
        group_sizes=group_tokens(inputs.tokens, machine.array.token_columns),
        macs_effectual=effectual,
    )


def _tile_run(
    stepper: Stepper, passes: Sequence[EqualPasses], is_dense: bool, machine: Accelerator
) -> TileRun:
    tile, entries = stepper.planned.tile, stepper.planned.entries
    counts = [
        pass_counts(each.steps, each.live, each.tokens, each.groups, machine) for each in passes
    ]
    cycles = np.array([each.steps.blocks[Block.CYCLES] for each in passes], np.int64)
    is_alike = bool((cycles == cycles[0]).all())
    # A row of `skippable` stands for as many columns as share it.
    columns = [each.groups * (each.tokens // len(each.live.skippable)) for each in passes]
    issued = np.array([each.steps.issued for each in passes], np.int64)
    storage = Storage(
        values=tile.nnz * machine.value_bits,
        indices=len(tile.lines) * tile.vector_bits + (not is_dense),
        pointers=max(tile.header_bits - 1, 0),
    )
    return TileRun(
        strip=tile.strip,
        rows=tile.rows,
        cols=tile.cols,
        bytes=tile.bytes,
        storage=storage,
        queue_bits=int(entries.bits.sum(dtype=np.int64)),
        pass_cycles=cycles[:1] if is_alike else cycles,
        counts=added(counts),
        pe_load=np.array(columns, np.int64) @ issued,
    )
