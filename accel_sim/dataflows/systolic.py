"""A dense systolic array with one of the three operands held in place (docs/rivals.md §2).

Source: the dataflows as SCALE-Sim 3.0.0 counts them (Samajdar et al., ISPASS 2020).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit, ranges
from accel_sim.dataflows.abstract.causes import ARRAY_EDGE, COMPUTE, Cause
from accel_sim.dataflows.abstract.changes import AROUND_THE_ARRAY, scaled, set_to
from accel_sim.dataflows.abstract.dataflow import Change, WireSides
from accel_sim.dataflows.abstract.machine_sections import Bits, Size
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine, Tiles
from accel_sim.dataflows.abstract.product import Order
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.storage import Storage

Stationary = Literal["weight", "output", "input"]
STATIONARY: tuple[Stationary, ...] = get_args(Stationary)


@dataclass(frozen=True)
class SystolicArray:
    """rows × cols PEs of one MAC. accumulator_bits: of a partial sum on its way."""

    rows: Size
    cols: Size
    stationary: Stationary
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def macs(self) -> int:
        return self.rows * self.cols


CHANGES = {
    **AROUND_THE_ARRAY,
    **{
        f"{operand}s_stay": set_to(f"{operand}s stay in the PEs", "array", stationary=operand)
        for operand in STATIONARY
    },
    "taller": scaled("twice the rows, half the columns", "array", rows=2, cols=0.5),
    "wider": scaled("half the rows, twice the columns", "array", rows=0.5, cols=2),
    "smaller": scaled("half the rows, half the columns", "array", rows=0.5, cols=0.5),
    "larger": scaled("twice the rows, twice the columns", "array", rows=2, cols=2),
}
"""What would help, by its short name, in the order in which ties are broken."""


@dataclass(frozen=True, kw_only=True)
class Systolic(MaskMachine):
    """Dropped weights are multiplied like kept ones: the mask tells only what was of use."""

    array: SystolicArray

    dataflow = "systolic"
    numbers_last_cycle = True
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "dropped_weights": Cause("multiplying weights that the mask drops", "#A50026"),
        "array_edge": ARRAY_EDGE,
        "preload": Cause("loading the stationary operand into the array", "#AAAA00"),
        "skew": Cause("operands moving into the array and results out of it", "#44BB99"),
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        return run_systolic(keep, inputs.tokens, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        """A sum moves down a column of PEs, or stays in one, from the first input of a fold on.

        The sums of later folds are added to those of earlier ones. Dropped weights add 0.
        """
        for _, outputs, inputs in blocks(keep, self.array):
            fold = (slice(*outputs), slice(*inputs))
            output, input_ = np.nonzero(keep[fold])
            yield Order(
                outputs[0] + output,
                inputs[0] + input_,
                weight[fold][output, input_],
                part=np.zeros_like(output),
            )

    def format_of(self, keep: Keep) -> str:
        return "dense"

    def area_parts(self) -> dict[str, dict[str, float]]:
        array = self.array
        return {
            "mac": {f"mac_{self.numbers.name}": array.macs},
            "queues": {"register_bit": array.macs * 2 * array.value_bits},
            "accumulators": {"register_bit": array.macs * array.accumulator_bits},
        }

    def wire_sides(self) -> WireSides:
        """From PE to neighbour; sums that stay in their PEs leave over wires of their own."""
        hop = 1 / sqrt(self.array.macs)
        return WireSides(hop, hop, 0.5 if self.array.stationary == "output" else hop)

    def resized(self, pes: int) -> Self:
        """`pes`: columns."""
        return replace(self, array=replace(self.array, cols=pes))


def fold_cycles(machine: SystolicArray, tokens: int, outputs: int, inputs: int) -> int:
    """Cycles of one fold of the product tokens × inputs by inputs × outputs.

    A stationary operand enters row by row, R cycles. The stream of S elements then passes: the
    element s reaches the PE in row r and column c in cycle s + r + c, so that the last MAC is done
    after S + (R − 1) + (C − 1) cycles. The array is as wide for a short fold as for a full one.
    """
    preload = 0 if machine.stationary == "output" else machine.rows
    return preload + _stream(machine, tokens, outputs, inputs) + machine.rows + machine.cols - 2


def folds(machine: SystolicArray, tokens: int, outputs: int, inputs: int) -> int:
    """How often the array is filled anew: ⌈·/R⌉·⌈·/C⌉ of the two operands that lie on it."""
    on_rows, on_cols = {
        "weight": (inputs, outputs),
        "output": (tokens, outputs),
        "input": (inputs, tokens),
    }[machine.stationary]
    return -(-on_rows // machine.rows) * -(-on_cols // machine.cols)


def last_cycle(machine: SystolicArray, tokens: int, outputs: int, inputs: int) -> int:
    """The number, counted from 0, of the cycle of the last MAC: SCALE-Sim's "Total Cycles"."""
    cycles = fold_cycles(machine, tokens, outputs, inputs)
    return folds(machine, tokens, outputs, inputs) * cycles - 1


def run_systolic(keep: Keep, tokens: int, machine: SystolicArray) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group.

    Dropped weights are multiplied like kept ones: the mask tells only what was of use.
    """
    at_once = {"weight": tokens, "output": machine.rows, "input": machine.cols}
    sizes = group_tokens(tokens, at_once[machine.stationary])
    tiles = tuple(
        _tile(machine, sizes, strip, out, part, keep[slice(*out), slice(*part)])
        for strip, out, part in blocks(keep, machine)
    )
    return tiles, sizes


def blocks(
    keep: Keep, machine: SystolicArray
) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
    """Strip, outputs and inputs of each tile."""
    outputs, inputs = keep.shape
    strips = ranges(outputs, machine.cols)
    if machine.stationary == "weight":
        parts = ranges(inputs, machine.rows)
        return [(strip, out, part) for strip, out in enumerate(strips) for part in parts]
    if machine.stationary == "output":
        return [(strip, out, (0, inputs)) for strip, out in enumerate(strips) if inputs]
    return [(0, (0, outputs), part) for part in ranges(inputs, machine.rows) if outputs]


def _stream(machine: SystolicArray, tokens: int, outputs: int, inputs: int) -> int:
    """Elements that stream through the array in one fold."""
    return {"weight": tokens, "output": inputs, "input": outputs}[machine.stationary]


def _tile(
    machine: SystolicArray,
    sizes: NDArray[np.int64],
    strip: int,
    rows: tuple[int, int],
    cols: tuple[int, int],
    keep: Keep,
) -> Tile:
    outputs, inputs = keep.shape
    pes, v, a = machine.rows * machine.cols, machine.value_bits, machine.accumulator_bits
    weights = outputs * inputs
    kept = int(np.count_nonzero(keep))
    macs, executed = weights * sizes, kept * sizes
    # The streams' lengths are those of one fold: a group of tokens is what lies on the array.
    stream = np.full(len(sizes), _stream(machine, int(sizes[0]), outputs, inputs), np.int64)
    preload = np.full_like(sizes, 0 if machine.stationary == "output" else machine.rows)
    skew = np.full_like(sizes, machine.rows + machine.cols - 2)
    cycles = preload + stream + skew
    filled, compute = -(-macs // pes), -(-executed // pes)
    # Partial sums of an earlier range of inputs come back to be added to.
    later = int(cols[0] > 0)
    # A value steps through the PEs that use it, a partial sum through those that add to it; a
    # stationary operand steps down to its row.
    down = inputs * (inputs + 1) // 2
    weights_moved, operands_moved, sums_moved = {
        "weight": (np.full_like(sizes, outputs * down * v), macs * v, macs * a),
        "output": (macs * v, macs * v, np.zeros_like(sizes)),
        "input": (macs * v, sizes * down * v, macs * a),
    }[machine.stationary]
    sums_left = outputs * sizes * a if machine.stationary == "output" else sums_moved
    return Tile(
        strip=strip,
        rows=rows,
        cols=cols,
        storage=Storage(kept * v, 0, 0, (weights - kept) * v),
        cycles=cycles,
        causes={
            "compute": compute,
            "dropped_weights": filled - compute,
            "array_edge": stream - filled,
            "preload": preload,
            "skew": skew,
        },
        executed=executed,
        skipped=np.zeros_like(sizes),
        padding=macs - executed,
        units={
            "pe": Unit(
                pes,
                {
                    "busy": executed,
                    "dropped_weights": macs - executed,
                    "array_edge": pes * stream - macs,
                    "preload": pes * preload,
                    "skew": pes * skew,
                },
            )
        },
        actions={
            "weight_bits_read": np.full_like(sizes, weights * v),
            "activation_bits_read": inputs * sizes * v + later * outputs * sizes * a,
            "activation_bits_written": outputs * sizes * a,
            "register_bits": 2 * (weights_moved + operands_moved + sums_moved),
            "macs": macs,
            "accumulator_bits": macs * 2 * a * (machine.stationary == "output"),
            "adds": later * outputs * sizes,
            "weight_wire_bits": weights_moved,
            "operand_wire_bits": operands_moved,
            "sum_wire_bits": sums_left,
        },
    )
