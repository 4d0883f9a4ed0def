"""Tensor cores: how much faster N of M is, on compute alone, on the shapes of GPT-2 small."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.tensor_core.array import TensorCoreArray
from accel_sim.dataflows.tensor_core.dataflow import run_tensor_core
from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.validation.agreement import Agreement
from sparse_formats.masks.matrix import MaskedMatrix

SHAPES = ((2304, 768), (768, 768), (3072, 768), (768, 3072))
TOKENS = 128


def speed_up(mode: tuple[int, int]) -> float:
    """Dense cycles over those of masks that keep exactly N of every M; no DRAM, no latency."""
    slots, length = mode
    vector = 0 if length == 4 else length
    machine = TensorCoreArray(modes=((2, 4), (1, 4)), vector_length=vector, pe_latency_cycles=0)
    cycles = {mode: 0, (1, 1): 0}
    for shape in SHAPES:
        first = np.arange(shape[1]) % length < slots
        for kept, row in ((mode, first), ((1, 1), np.ones_like(first))):
            tiles, sizes = run_tensor_core(np.tile(row, (shape[0], 1)), TOKENS, machine)
            cycles[kept] += total_cycles(tiles, len(sizes))
    return cycles[1, 1] / cycles[mode]


HIERARCHICAL = ((4, 8, 2, 4), (4, 8, 2, 2), (4, 4, 2, 4), (4, 5, 2, 3), (4, 7, 2, 4))
SUMS = (((2, 4), (1, 8)), ((4, 8), (1, 8)), ((1, 4), (2, 8)), ((1, 8), (1, 8)))


def compute_cycles(keep: NDArray[np.bool_], machine: TensorCoreArray) -> int:
    """Of `TOKENS` tokens; no DRAM."""
    tiles, sizes = run_tensor_core(keep, TOKENS, machine)
    return total_cycles(tiles, len(sizes))


def hierarchical_misses() -> float:
    """Of `HIERARCHICAL`, how many masks that fill G:H of N:M do not take G/H · N/M of dense."""
    misses = 0
    for mode in HIERARCHICAL:
        groups, of_groups, count, length = mode
        inputs = 16 * of_groups * length
        at = np.arange(inputs)
        row = (at // length % of_groups < groups) & (at % length < count)
        machine = TensorCoreArray(modes=(), hierarchical_modes=(mode,), pe_latency_cycles=0)
        found = compute_cycles(np.tile(row, (768, 1)), machine)
        dense = compute_cycles(np.ones((768, inputs), np.bool_), machine)
        misses += found * of_groups * length != dense * groups * count
    return misses


def sum_misses() -> float:
    """Of `SUMS`, how many masks that fill both terms do not take the cycles of both together."""
    misses = 0
    for terms in SUMS:
        row = np.zeros(768, np.bool_)
        for count, length in terms:
            left = np.flatnonzero(~row)
            of_group = left // length
            rank = np.arange(len(left)) - np.searchsorted(of_group, of_group)
            row[left[rank < count]] = True
        machine = TensorCoreArray(modes=terms, terms=2, pe_latency_cycles=0)
        found = compute_cycles(np.tile(row, (768, 1)), machine)
        dense = compute_cycles(np.ones((768, 768), np.bool_), machine)
        misses += found != sum(dense * count // length for count, length in terms)
    return misses


def dense_block_misses() -> float:
    """Of 49 shares f of dense blocks, how many do not take f + (1 − f)/2 of the dense cycles."""
    machine = TensorCoreArray(
        modes=((2, 4),), dense_blocks=True, pe_latency_cycles=0, strip_outputs=32
    )
    sparse = np.tile(np.arange(768) % 4 < 2, (768, 1))
    dense, misses = compute_cycles(np.ones_like(sparse), machine), 0
    for blocks in range(49):
        # Blocks from all over the matrix: 5 and 48 have no divisor in common.
        block = np.arange(768) // 16 * 5 % 48
        keep = sparse | (block < blocks)[:, None]
        misses += 96 * compute_cycles(keep, machine) != dense * (48 + blocks)
    return misses


def energy_delay_over_dense(name: str, rows: tuple[tuple[int, int], ...]) -> float:
    """Energy · delay of dense tensor cores over that of machine `name`, a product of 768 × 768.

    rows: (kept, of) of neighbouring inputs, each of what the one before it leaves out or, for
    `highlight`, of its groups.
    """
    at, row = np.arange(768), np.zeros(768, np.bool_)
    if name == "highlight":
        (groups, of_groups), (count, length) = rows
        row = (at // length % of_groups < groups) & (at % length < count)
    else:
        for kept, length in rows:
            left = np.flatnonzero(~row)
            of_group = left // length
            row[left[np.arange(len(left)) - np.searchsorted(of_group, of_group) < kept]] = True
    matrix = MaskedMatrix("m", np.tile(row, (768, 1)))
    workload = Workload.of([matrix], Activations(TOKENS))
    found = [
        simulate(workload, load_machine(each), threads=1).total
        for each in ("tensor_core_dense", name)
    ]
    dense, own = (total.energy_j * total.latency_s for total in found)
    return dense / own


_DENSE_BASELINE = "compute alone gives at most M/N: the rest is that their dense baseline is slower"

AGREEMENTS = (
    Agreement(
        "tensor_core",
        "2:4 over dense, compute alone",
        2,
        "published",
        "NVIDIA on Ampere's sparse tensor cores: twice the mathematics",
        partial(speed_up, (2, 4)),
        tolerance=0,
    ),
    Agreement(
        "tensor_core",
        "1:4 over dense, compute alone",
        4,
        "computed",
        "M/N",
        partial(speed_up, (1, 4)),
        tolerance=0,
    ),
    Agreement(
        "tensor_core",
        "vector-wise 4 of 16 over dense, compute alone",
        4,
        "computed",
        "L/K",
        partial(speed_up, (4, 16)),
        tolerance=0,
    ),
    Agreement(
        "tensor_core",
        f"G:H of N:M: modes, of {len(HIERARCHICAL)}, that do not take G/H · N/M of dense",
        0,
        "inferred",
        "HighLight (Wu et al., MICRO 2023): sparsity composed of two patterns, time of both",
        hierarchical_misses,
        tolerance=0,
    ),
    Agreement(
        "tensor_core",
        f"sums of two terms, of {len(SUMS)}, that do not take the cycles of both",
        0,
        "inferred",
        "TASD (Jeong et al., MLSys 2025): one product for each term",
        sum_misses,
        tolerance=0,
    ),
    Agreement(
        "tensor_core",
        "shares f of dense blocks beside 2:4, of 49, that do not take f + (1 − f)/2 of dense",
        0,
        "inferred",
        "Spense (Lee et al., arXiv 2606.10445): one product of each kind",
        dense_block_misses,
        tolerance=0,
    ),
    Agreement(
        "tensor_core",
        "HighLight, energy · delay of others over its own",
        6.4,
        "published",
        "Wu et al., MICRO 2023, abstract: geomean of up to 6.4",
        partial(energy_delay_over_dense, "highlight", ((4, 8), (2, 4))),
        note="ours: one product, 4:8 of 2:4, dense tensor cores over highlight, with DRAM",
    ),
    Agreement(
        "tensor_core",
        "TASD, energy · delay of dense over its own",
        1 / (1 - 0.83),
        "published",
        "Jeong et al., MLSys 2025, abstract: less by up to 83 %",
        partial(energy_delay_over_dense, "tasd", ((1, 4), (1, 8))),
        note="ours: one product, 1:4 + 1:8, with DRAM; theirs: whole networks",
    ),
    Agreement(
        "tensor_core",
        "Spense, speed-up over dense",
        1.2,
        "published",
        "Lee et al., arXiv 2606.10445, abstract: up to 1.2 in decoding, end to end, on B200",
        lambda: 1 / (1 / 4 + 3 / 4 / 2),
        note="ours: the closed form for a quarter of dense blocks, compute alone",
    ),
    Agreement(
        "tensor_core",
        "VEGETA 2:4 over its dense baseline",
        2.20,
        "secondary",
        "Jeong et al., HPCA 2023",
        partial(speed_up, (2, 4)),
        note=_DENSE_BASELINE,
    ),
    Agreement(
        "tensor_core",
        "VEGETA 1:4 over its dense baseline",
        3.74,
        "secondary",
        "Jeong et al., HPCA 2023",
        partial(speed_up, (1, 4)),
        note="ours has no overhead of decoding, filling and draining",
    ),
    Agreement(
        "tensor_core",
        "Sparse Tensor Core, vector-wise, over dense",
        1.63 * 1.58,
        "published",
        "Zhu et al., MICRO 2019, abstract: +63 % by pruning, +58 % by hardware",
        partial(speed_up, (4, 16)),
        note="theirs: whole networks on a GPU; ours: matrix products on compute alone",
    ),
)
