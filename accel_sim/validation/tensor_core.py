"""Tensor cores: how much faster N of M is, on compute alone, on the shapes of GPT-2 small."""

from functools import partial

import numpy as np

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.tensor_core import Mode, TensorCoreArray, run_tensor_core
from accel_sim.validation.agreement import Agreement

SHAPES = ((2304, 768), (768, 768), (3072, 768), (768, 3072))
TOKENS = 128


def speed_up(mode: Mode) -> float:
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
