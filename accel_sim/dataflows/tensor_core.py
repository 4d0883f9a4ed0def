"""Tensor cores: dense tiles, and N of M kept in every group of inputs (docs/rivals.md §5).

Source: NVIDIA's Ampere (2:4: half the operand, twice the mathematics); vector-wise K of L: Zhu et
al., Sparse Tensor Core, MICRO 2019.
"""

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.parameters import Mode, TensorCore
from accel_sim.dataflows.passes import Counted, TilePasses, Unit, ranges
from accel_sim.workload import group_tokens
from sparse_formats.storage import Storage, bits_for


def mode_of(keep: NDArray[np.bool_], machine: TensorCore) -> Mode:
    """The mode with the fewest slots that holds every group of bool mask `keep`, ties to dense."""
    possible: list[Mode] = [(1, 1)]
    for slots, length in machine.modes:
        if most_kept(keep, length) <= slots:
            possible.append((slots, length))
    if machine.vector_length:
        most = most_kept(keep, machine.vector_length)
        possible.append((max(most, 1), machine.vector_length))
    return min(possible, key=lambda mode: slots_of(keep.shape[1], mode))


def most_kept(keep: NDArray[np.bool_], length: int) -> int:
    """The most that any `length` neighbouring inputs of a row keep, groups counted from input 0."""
    outputs, inputs = keep.shape
    if not keep.size:
        return 0
    groups = -(-inputs // length)
    padded = np.zeros((outputs, groups * length), np.bool_)
    padded[:, :inputs] = keep
    return int(np.count_nonzero(padded.reshape(outputs, groups, length), axis=2).max())


def slots_of(inputs: int, mode: Mode) -> int:
    """Slots of a row: N for every M inputs, a last short group counting whole."""
    slots, length = mode
    return -(-inputs // length) * slots


def run_tensor_core(
    keep: NDArray[np.bool_], tokens: int, machine: TensorCore
) -> tuple[tuple[TilePasses, ...], Counted]:
    """Tiles of bool mask `keep` (outputs × inputs), and the tokens of each group."""
    outputs, inputs = keep.shape
    mode = mode_of(keep, machine)
    sizes = group_tokens(tokens, machine.tokens)
    strips = ranges(outputs, machine.strip_outputs) if inputs else []
    tiles = [
        _tile(strip, rows, keep[rows[0] : rows[1]], mode, sizes, machine)
        for strip, rows in enumerate(strips)
    ]
    return tuple(tiles), sizes


def _tile(
    strip: int,
    rows: tuple[int, int],
    keep: NDArray[np.bool_],
    mode: Mode,
    sizes: Counted,
    machine: TensorCore,
) -> TilePasses:
    outputs, inputs = keep.shape
    nnz, slots = int(np.count_nonzero(keep)), slots_of(inputs, mode)
    multipliers = machine.outputs * machine.tokens * machine.slots
    blocks = -(-outputs // machine.outputs)
    steps = np.full_like(sizes, blocks * -(-slots // machine.slots))
    latency = np.full_like(sizes, machine.pe_latency_cycles)
    filled = -(-outputs * slots * sizes // multipliers)
    # A dense product multiplies dropped weights like kept ones: they are padding.
    compute = -(-nnz * sizes // multipliers)
    v, a = machine.value_bits, machine.accumulator_bits
    index_bits = bits_for(mode[1])
    offered_slots = outputs * slots
    storage = Storage(nnz * v, offered_slots * index_bits, 0, (offered_slots - nnz) * v)
    executed, offered = nnz * sizes, outputs * slots * sizes
    return TilePasses(
        strip=strip,
        rows=rows,
        cols=(0, inputs),
        storage=storage,
        cycles=steps + latency,
        causes={
            "compute": compute,
            "unused_slots": filled - compute,
            "array_edge": steps - filled,
            "pipeline": latency,
        },
        executed=executed,
        skipped=np.zeros_like(sizes),
        padding=offered - executed,
        units={
            "multiplier": Unit(
                multipliers,
                {
                    "busy": executed,
                    "unused_slots": offered - executed,
                    "array_edge": multipliers * steps - offered,
                    "pipeline": multipliers * latency,
                },
            )
        },
        actions={
            "weight_bits_read": np.full_like(sizes, storage.bits),
            # Every block of outputs reads the tokens' inputs anew.
            "activation_bits_read": blocks * inputs * sizes * v,
            "activation_bits_written": outputs * sizes * a,
            "decoded_bits": np.full_like(sizes, outputs * slots * index_bits),
            # An operand is latched once for each row or column of multipliers it serves.
            "register_bits": 2 * v * (outputs * slots + blocks * slots * sizes),
            "macs": offered,
            "accumulator_bits": 2 * a * outputs * sizes * -(-slots // machine.slots),
        },
    )
