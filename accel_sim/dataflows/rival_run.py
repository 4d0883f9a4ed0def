"""One layer on a machine of another dataflow: its tiles, its passes, and what they come to.

docs/rivals.md. The dataflows are pure functions of a mask; here a matrix is cut until its tiles fit
the weight buffer, and what the passes counted is put into the words of the report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from accel_sim.costs.timeline import LayerTime
from accel_sim.dataflows import cambricon_x, eie, rcsc, systolic, tensor_core
from accel_sim.dataflows.account import Account, Passes, Tile, Unit
from accel_sim.dataflows.parameters import (
    CambriconX,
    Eie,
    Parameters,
    Rcsc,
    Systolic,
    TensorCore,
)
from accel_sim.dataflows.passes import Counted, TilePasses, summed
from accel_sim.machines.description import Machine, Rival
from accel_sim.workload import Inputs, Layer
from sparse_formats.errors import InputError

Keep = NDArray[np.bool_]
Run = Callable[[Keep], tuple[tuple[TilePasses, ...], Counted]]


@dataclass(frozen=True, eq=False)
class RivalTile(Tile):
    """A tile and what its passes counted."""

    passes: TilePasses


@dataclass(frozen=True, eq=False)
class RivalRun(Passes):
    """All passes of one layer. format: how its weights are stored.

    like: a tile of one weight, for the names of what is counted where there is no tile.
    """

    tiles: tuple[RivalTile, ...]
    format: str
    like: TilePasses


def run_rival(layer: Layer, inputs: Inputs, machine: Rival) -> RivalRun:
    """The passes of one layer.

    Raises:
        InputError: naming the matrix, if a tile of one output does not fit the weight buffer.
    """
    matrix = layer.matrix
    run = _runner(machine.array, inputs)
    tiles, sizes = _cut(matrix.keep, run, machine, matrix.name)
    effectual = matrix.nnz * inputs.tokens
    if inputs.nonzero is not None:
        kept = np.count_nonzero(matrix.keep, axis=0)
        effectual = int(kept @ np.count_nonzero(inputs.nonzero, axis=0))
    one = _runner(machine.array, Inputs(inputs.tokens, None, None))
    return RivalRun(
        name=matrix.name,
        kind=matrix.kind,
        shape=matrix.shape,
        nnz=matrix.nnz,
        tiles=tiles,
        group_sizes=sizes,
        macs_effectual=effectual,
        format=format_of(matrix.keep, machine.array),
        like=one(np.ones((1, 1), np.bool_))[0][0],
    )


def format_of(keep: Keep, array: Parameters) -> str:
    """How a machine of these parameters stores the weights that bool mask `keep` keeps."""
    match array:
        case Systolic():
            return "dense"
        case Rcsc():
            return "sa_rcsc" if array.policy == "set_associative" else "rcsc"
        case Eie():
            return "relative_csc"
        case CambriconX():
            return "step_indices"
        case TensorCore():
            slots, length = tensor_core.mode_of(keep, array)
            return "dense" if length == 1 else f"{slots}:{length}"


def _runner(array: Parameters, inputs: Inputs) -> Run:
    """The dataflow of `array` for these inputs, a function of the mask."""
    tokens = inputs.tokens
    match array:
        case Systolic():
            return partial(systolic.run_systolic, tokens=tokens, machine=array)
        case Rcsc():
            return partial(rcsc.run_rcsc, tokens=tokens, machine=array)
        case Eie():
            return partial(eie.run_eie, nonzero=inputs.nonzero, tokens=tokens, machine=array)
        case CambriconX():
            return partial(cambricon_x.run_cambricon_x, tokens=tokens, machine=array)
        case TensorCore():
            return partial(tensor_core.run_tensor_core, tokens=tokens, machine=array)


def _cut(
    keep: Keep, run: Run, machine: Rival, name: str
) -> tuple[tuple[RivalTile, ...], NDArray[np.int64]]:
    """Tiles of the whole matrix, or of blocks of its outputs so small that each tile fits.

    A tile fits if the next one finds room beside it: half the weight buffer.
    """
    room, block = machine.weight_buffer.bytes // 2, max(len(keep), 1)
    while True:
        tiles: list[RivalTile] = []
        sizes: NDArray[np.int64] = np.zeros(0, np.int64)
        for first in range(0, max(len(keep), 1), block):
            strips = tiles[-1].strip + 1 if tiles else 0
            passes, sizes = run(keep[first : first + block])
            tiles += [_tile(tile, first, strips) for tile in passes]
            largest = max((tile.bytes for tile in tiles), default=0)
            if largest > room:
                break
        else:
            return tuple(tiles), sizes
        if block == 1:
            raise InputError(
                f"matrix {name}: a tile of one output takes {largest} bytes, more than half of "
                f"{machine.name}'s weight buffer; set weight_buffer.bytes to {2 * largest} or more"
            )
        tallest = max(tile.outputs for tile in tiles)
        block = max(1, min(tallest * room // largest, tallest - 1))


def _tile(passes: TilePasses, first: int, strips: int) -> RivalTile:
    """`passes` of a block of outputs that begins at `first`, behind `strips` strips."""
    return RivalTile(
        strip=passes.strip + strips,
        rows=(passes.rows[0] + first, passes.rows[1] + first),
        cols=passes.cols,
        bytes=-(-passes.stored_bits // 8),
        storage=passes.storage,
        pass_cycles=passes.cycles,
        passes=passes,
    )


def rival_account(run: RivalRun, time: LayerTime, machine: Machine) -> Account:
    """The account of one layer from what its passes counted and its place in time."""
    groups = len(run.group_sizes)
    tiles = [tile.passes for tile in run.tiles]

    def added(counted: Sequence[Counted]) -> int:
        return sum(summed(item, groups) for item in counted)

    causes = {cause: added([tile.causes[cause] for tile in tiles]) for cause in run.like.causes}
    units = {
        kind: _unit(
            unit.count,
            {
                state: added([tile.units[kind].states[state] for tile in tiles])
                for state in unit.states
            },
            time,
        )
        for kind, unit in run.like.units.items()
    }
    actions = {
        action: added([tile.actions[action] for tile in tiles]) for action in run.like.actions
    }
    return Account(
        format=run.format,
        orientation="",
        vectors=0,
        executed=added([tile.executed for tile in tiles]),
        padding=added([tile.padding for tile in tiles]),
        causes={
            **causes,
            "dram": time.wait_dram,
            "writeback": time.wait_writeback + time.tail,
        },
        units={**units, **_behind(time)},
        actions=_by_component(actions, sum(tile.bytes for tile in run.tiles), time),
        pe_load=(),
    )


def _unit(count: int, states: Mapping[str, int], time: LayerTime) -> Unit:
    stalled = {state: cycles for state, cycles in states.items() if state not in ("busy", "idle")}
    stalled["dram"] = count * time.wait_dram
    stalled["writeback"] = count * (time.wait_writeback + time.tail)
    return Unit(count, states["busy"], stalled, states.get("idle", 0))


def _behind(time: LayerTime) -> dict[str, Unit]:
    """The units behind every array."""
    dram_idle = time.cycles - time.dram_busy - time.dram_latency
    return {
        "dram": Unit(1, time.dram_busy, {"first_latency": time.dram_latency}, dram_idle),
        "writeback": Unit(1, time.write_busy, {}, time.cycles - time.write_busy),
    }


def _by_component(
    actions: Mapping[str, int], stored_bytes: int, time: LayerTime
) -> dict[str, dict[str, float]]:
    """The actions of `passes.ACTIONS` as those of `energy.prices_pj`, by component."""

    def of(action: str) -> int:
        return actions.get(action, 0)

    return {
        "dram": {
            "dram_byte": time.dram_read_bytes + time.dram_write_bytes,
            "dram_activation": time.dram_activations,
        },
        "weight_buffer": {
            "weight_byte_written": stored_bytes,
            "weight_byte_read": of("weight_bits_read") / 8,
        },
        "decompressor": {"decoded_bit": of("decoded_bits")},
        "queues": {"register_bit": of("register_bits")},
        "zero_skip": {},
        "matching": {"comparison": of("compares")},
        "activation_buffer": {"activation_byte_read": of("activation_bits_read") / 8},
        "mac": {"mac": of("macs"), "gated_lane": of("gated_lanes")},
        "accumulators": {"register_bit": of("accumulator_bits")},
        "writeback": {
            "add": of("adds"),
            "activation_byte_written": of("activation_bits_written") / 8,
        },
        "leakage": {"leaking_cycle": time.cycles},
    }
