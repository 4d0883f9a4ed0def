"""SIGMA in plain Python, multiplier by multiplier, from docs/rivals.md §9 alone."""

from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.sigma import SigmaArray


@dataclass
class Pass:
    """pairs: (output, input, token) of each multiplied weight whose activation is not zero.

    continued: how often an output goes on in another fill; pieces: outputs of all fills.
    """

    cycles: int
    causes: dict[str, int]
    states: dict[str, int]
    pairs: list[tuple[int, int, int]]
    continued: int
    pieces: int


def run_pass(keep: NDArray[np.bool_], nonzero: NDArray[np.bool_], machine: SigmaArray) -> Pass:
    """One tile (outputs, inputs), all tokens (tokens, inputs)."""
    (outputs, inputs), tokens = keep.shape, len(nonzero)
    multipliers = machine.dpes * machine.dpe_multipliers
    waiting = [
        (r, c)
        for r in range(outputs)
        for c in range(inputs)
        if keep[r, c] and any(nonzero[t, c] for t in range(tokens))
    ]
    spent: dict[str, int] = dict.fromkeys(("tokens", "extra", "fill", "pipeline"), 0)
    states: dict[str, int] = dict.fromkeys(("busy", "streamed_zeros", "array_edge"), 0)
    pairs: list[tuple[int, int, int]] = []
    pieces = 0
    seen: set[int] = set()
    continued = 0
    while waiting:
        held, waiting = waiting[:multipliers], waiting[multipliers:]
        in_fill = {r for r, _ in held}
        pieces += len(in_fill)
        continued += len(in_fill & seen)
        seen |= in_fill
        spent["fill"] += 1 + ceil(len(held) / machine.fill_words)
        busiest_engine = max(
            len(held[first : first + machine.dpe_multipliers])
            for first in range(0, len(held), machine.dpe_multipliers)
        )
        for t in range(tokens):
            spent["tokens"] += 1
            spent["extra"] += ceil(busiest_engine / machine.dpe_words) - 1
            states["array_edge"] += multipliers - len(held)
            for r, c in held:
                if nonzero[t, c]:
                    pairs.append((r, c, t))
                    states["busy"] += 1
                else:
                    states["streamed_zeros"] += 1
        spent["pipeline"] += (
            ceil(log2(machine.dpe_multipliers)) + ceil(log2(machine.dpes))
        ) + machine.pe_latency_cycles
    compute = ceil(len(pairs) / multipliers)
    streamed = ceil((len(pairs) + states["streamed_zeros"]) / multipliers)
    causes = {
        "compute": compute,
        "streamed_zeros": streamed - compute,
        "array_edge": spent["tokens"] - streamed,
        "bandwidth": spent["extra"],
        "fill": spent["fill"],
        "pipeline": spent["pipeline"],
    }
    for cause in ("bandwidth", "fill", "pipeline"):
        states[cause] = multipliers * causes[cause]
    return Pass(sum(spent.values()), causes, states, pairs, continued, pieces)
