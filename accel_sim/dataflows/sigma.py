"""SIGMA: kept weights fill the multipliers whatever their places (docs/rivals.md §9).

Source: Qin et al., HPCA 2020 (abstract); the order of a fill as in STONNE.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import Tile, Unit, ranges
from accel_sim.dataflows.abstract.causes import ARRAY_EDGE, COMPUTE, PIPELINE, Cause
from accel_sim.dataflows.abstract.changes import AROUND_THE_ARRAY, scaled
from accel_sim.dataflows.abstract.dataflow import Change, WireSides
from accel_sim.dataflows.abstract.machine_sections import Bits, Size, SizeOrZero
from accel_sim.dataflows.abstract.mask_machine import Keep, MaskMachine, Tiles
from accel_sim.dataflows.abstract.product import Order
from accel_sim.inputs.activations import Inputs, group_tokens
from sparse_formats.storage import Storage, bits_for


@dataclass(frozen=True)
class SigmaArray:
    """dpes × dpe_multipliers multipliers.

    dpe_words: activations that an engine delivers in a cycle; fill_words: weights that all of them
    are given. strip_outputs: whose weights fill the multipliers one after the other.
    """

    dpes: Size = 128
    dpe_multipliers: Size = 128
    dpe_words: Size = 128
    fill_words: Size = 128
    strip_outputs: Size = 512
    pe_latency_cycles: SizeOrZero = 4
    value_bits: Bits = 16
    accumulator_bits: Bits = 32

    @property
    def macs(self) -> int:
        return self.dpes * self.dpe_multipliers

    @property
    def latency(self) -> int:
        """Cycles from the last activation of a fill to its last sum."""
        levels = bits_for(self.dpe_multipliers) + bits_for(self.dpes)
        return levels + self.pe_latency_cycles

    def fill_cycles(self, weights: int, tokens: int) -> dict[str, int]:
        """Cycles of a fill of 1 ≤ `weights` ≤ macs."""
        return {
            "fill": 1 + -(-weights // self.fill_words),
            "tokens": tokens * -(-min(weights, self.dpe_multipliers) // self.dpe_words),
            "pipeline": self.latency,
        }


CHANGES: Mapping[str, Change] = {
    **AROUND_THE_ARRAY,
    "fill": scaled("twice the weights loaded in a cycle", "array", fill_words=2),
    "network": scaled("half the activations that an engine delivers", "array", dpe_words=0.5),
    "strips": scaled("strips of twice the outputs", "array", strip_outputs=2),
    "engines": scaled("half the engines", "array", dpes=0.5),
    "narrower": scaled(
        "twice the engines of half the multipliers, with as many MACs",
        "array",
        dpes=2,
        dpe_multipliers=0.5,
        dpe_words=0.5,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Sigma(MaskMachine):
    """Dropped weights take no multiplier; zero activations are brought to those that wait."""

    array: SigmaArray

    dataflow = "sigma"
    causes: ClassVar[Mapping[str, Cause]] = {
        "compute": COMPUTE,
        "streamed_zeros": Cause("multiplying activations that are zero", "#EE6677"),
        "array_edge": ARRAY_EDGE,
        "bandwidth": Cause("waiting for the engines' networks to deliver activations", "#228833"),
        "fill": Cause("setting networks and loading weights into the multipliers", "#999933"),
        "pipeline": PIPELINE,
    }
    changes: ClassVar[Mapping[str, Change]] = CHANGES

    @property
    def skips_zeros(self) -> bool:
        return True

    def tiles(self, keep: Keep, inputs: Inputs) -> Tiles:
        return run_sigma(keep, inputs.nonzero, inputs.tokens, self.array)

    def orders(self, keep: Keep, weight: NDArray[Any]) -> Iterator[Order]:
        for first, last in strips(keep, self.array):
            yield fill_order(keep[first:last], weight[first:last], first, self.array)

    def format_of(self, keep: Keep) -> str:
        return "bitmap"

    def area_parts(self) -> dict[str, dict[str, float]]:
        array = self.array
        return {
            "mac": {f"mac_{self.numbers.name}": array.macs},
            "accumulators": {"register_bit": array.macs * array.accumulator_bits},
            "queues": {"register_bit": array.macs * 2 * array.value_bits},
            "decompressor": {"pick_of_16": array.macs},
            "zero_skip": {"zero_skip": array.dpes},
        }

    def wire_sides(self) -> WireSides:
        """Activations pass all engines; weights go to one of them, sums leave it."""
        return WireSides(weights=0.5, operands=1.0, sums=0.5)

    def resized(self, pes: int) -> Self:
        """`pes`: engines."""
        return replace(self, array=replace(self.array, dpes=pes))


def strips(keep: Keep, machine: SigmaArray) -> list[tuple[int, int]]:
    """Outputs of each tile."""
    outputs, inputs = keep.shape
    return ranges(outputs, machine.strip_outputs) if inputs else []


def run_sigma(keep: Keep, nonzero: Keep | None, tokens: int, machine: SigmaArray) -> Tiles:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of the one group.

    nonzero: bool (tokens, inputs); None where no activation is zero.
    """
    inputs = keep.shape[1]
    used = np.full(inputs, tokens) if nonzero is None else np.count_nonzero(nonzero, axis=0)
    tiles = tuple(
        _tile(strip, rows, keep[slice(*rows)], used.astype(np.int64), tokens, machine)
        for strip, rows in enumerate(strips(keep, machine))
    )
    return tiles, group_tokens(tokens, tokens)


@dataclass(frozen=True, eq=False)
class Places:
    """Where the kept weights of a tile are held, in the order in which they are stored.

    Of each: its output and input, as the bitmap says; its fill and the multiplier in it.
    """

    output: NDArray[np.int64]
    input: NDArray[np.int64]
    fill: NDArray[np.int64]
    multiplier: NDArray[np.int64]


def places(keep: Keep, machine: SigmaArray) -> Places:
    """Output by output, as if no input were dead."""
    output, input_ = np.divmod(np.flatnonzero(keep), keep.shape[1])
    return Places(output, input_, *np.divmod(np.arange(len(output)), machine.macs))


def fill_order(keep: Keep, weight: NDArray[Any], first: int, machine: SigmaArray) -> Order:
    """The products of an output in one engine meet in its tree; engines, then fills, in turn.

    first: output of the tile, with which `keep` and `weight` begin.
    """
    held = places(keep, machine)
    engine, lane = np.divmod(held.multiplier, machine.dpe_multipliers)
    return Order(
        first + held.output,
        held.input,
        weight[keep],
        part=held.fill,
        step=held.fill * machine.dpes + engine,
        lane=lane,
        lanes=machine.dpe_multipliers,
    )


def _tile(
    strip: int,
    rows: tuple[int, int],
    keep: Keep,
    used: NDArray[np.int64],
    tokens: int,
    machine: SigmaArray,
) -> Tile:
    """used: non-zero activations of each input."""
    (outputs, inputs), pes = keep.shape, machine.macs
    kept = np.count_nonzero(keep, axis=0)
    live = used > 0
    nnz, weights, executed = int(kept.sum()), int(kept[live].sum()), int(kept @ used)
    fills, rest = -(-weights // pes), weights % pes
    full = machine.fill_cycles(pes, tokens)
    last = machine.fill_cycles(rest, tokens) if rest else dict.fromkeys(full, 0)
    spent = {key: weights // pes * full[key] + last[key] for key in full}
    delivered = weights * tokens
    compute = -(-executed // pes)
    streamed = -(-delivered // pes)
    bandwidth = spent["tokens"] - fills * tokens
    # An output goes on in another fill where a fill ends inside of it.
    ends = np.cumsum(np.count_nonzero(keep[:, live], axis=1))
    split = sum(1 for edge in range(pes, weights, pes) if edge not in ends) if fills > 1 else 0
    pieces = int(np.count_nonzero(np.diff(ends, prepend=0))) + split
    v, a = machine.value_bits, machine.accumulator_bits
    storage = Storage(nnz * v, outputs * inputs, 0)
    weight_bits = weights * v + outputs * inputs
    written = (outputs + split) * tokens * a
    return Tile(
        strip=strip,
        rows=rows,
        cols=(0, inputs),
        storage=storage,
        cycles=_once(sum(spent.values())),
        causes={
            "compute": _once(compute),
            "streamed_zeros": _once(streamed - compute),
            "array_edge": _once(fills * tokens - streamed),
            "bandwidth": _once(bandwidth),
            "fill": _once(spent["fill"]),
            "pipeline": _once(spent["pipeline"]),
        },
        executed=_once(executed),
        skipped=_once(nnz * tokens - executed),
        padding=_once(delivered - executed),
        units={
            "multiplier": Unit(
                pes,
                {
                    "busy": _once(executed),
                    "streamed_zeros": _once(delivered - executed),
                    "array_edge": _once(pes * fills * tokens - delivered),
                    "bandwidth": _once(pes * bandwidth),
                    "fill": _once(pes * spent["fill"]),
                    "pipeline": _once(pes * spent["pipeline"]),
                },
            )
        },
        actions={
            "weight_bits_read": _once(weight_bits),
            "activation_bits_read": _once(fills * (int(used.sum()) * v + inputs * tokens)),
            "partial_bits_read": _once(split * tokens * a),
            "activation_bits_written": _once(written),
            "decoded_bits": _once(delivered * v),
            "register_bits": _once(2 * v * (weights + delivered)),
            "macs": _once(executed),
            "gated_lanes": _once(delivered - executed),
            "accumulator_bits": _once(2 * a * pieces * tokens),
            "adds": _once(split * tokens),
            "weight_wire_bits": _once(weights * v),
            "operand_wire_bits": _once(fills * int(np.count_nonzero(live)) * tokens * v),
            "sum_wire_bits": _once(written),
        },
    )


def _once(count: int) -> NDArray[np.int64]:
    """A count of the one group."""
    return np.array([count], np.int64)
