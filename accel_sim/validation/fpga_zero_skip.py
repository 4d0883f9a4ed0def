"""Closed forms of a zero-skipping array of the size of an FPGA's: our own, nothing is published."""

from functools import partial

import numpy as np

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.inputs.activations import Inputs, Layer
from accel_sim.machines.load import load_machine
from accel_sim.validation.agreement import Agreement
from sparse_formats.masks.matrix import MaskedMatrix

OUTPUTS, COLUMNS, TOKENS = 256, 512, 256


def cycles(kept: int, live: int) -> int:
    """Of the array alone, where one of `kept` outputs and of `live` tokens is not zero."""
    machine = load_machine(
        "fpga_zero_skip", ["pe_latency_cycles=0", f"weight_buffer.bytes={2**22}"]
    )
    keep = np.zeros((OUTPUTS, COLUMNS), np.bool_)
    keep[::kept] = True
    nonzero = np.zeros((TOKENS, COLUMNS), np.bool_)
    nonzero[::live] = True
    run = machine.run(Layer(0, MaskedMatrix("m", keep)), Inputs(TOKENS, None, nonzero))
    return total_cycles(run.tiles, len(run.group_sizes))


def _agreement(kept: int, live: int) -> Agreement:
    share = "nothing zero" if kept == live == 1 else f"1/{kept} kept, 1/{live} not zero"
    return Agreement(
        "fpga_zero_skip",
        f"cycles of {OUTPUTS} x {COLUMNS} x {TOKENS}, {share}",
        OUTPUTS // kept * COLUMNS * TOKENS // live / 256,
        "inferred",
        "effectual products / 256 multipliers, where vectors are full and PEs have the same work",
        partial(cycles, kept, live),
        0.0,
    )


AGREEMENTS = (_agreement(1, 1), _agreement(1, 2), _agreement(4, 2))
