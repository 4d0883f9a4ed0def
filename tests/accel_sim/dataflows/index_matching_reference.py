"""Index matching in plain Python, entry by entry, from docs/rivals.md §8 alone."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accel_sim.dataflows.index_matching import IndexMatchingArray

Entry = tuple[int, int]
"""Input, and the output or the token."""


@dataclass
class Pass:
    """What a pass takes and how its PEs spend it; pairs: (output, token, input), each once."""

    cycles: int
    causes: dict[str, int]
    states: dict[str, int]
    pairs: list[tuple[int, int, int]]
    steps: int


def steps_of(
    weights: list[Entry], activations: list[Entry], machine: IndexMatchingArray
) -> list[list[tuple[Entry, Entry]]]:
    """The pairs of each step of a PE, from its two lists in order."""
    steps = []
    while weights and activations:
        seen_weights = weights[: machine.weight_window]
        seen_activations = activations[: machine.activation_window]
        # The first input whose entries do not all stand in the window it belongs to.
        beyond = [
            waiting[len(seen)][0]
            for waiting, seen in ((weights, seen_weights), (activations, seen_activations))
            if len(waiting) > len(seen)
        ]
        end = min(beyond, default=np.inf)
        taken_weights = [entry for entry in seen_weights if entry[0] < end]
        taken_activations = [entry for entry in seen_activations if entry[0] < end]
        steps.append([(w, a) for w in taken_weights for a in taken_activations if w[0] == a[0]])
        weights = weights[len(taken_weights) :]
        activations = activations[len(taken_activations) :]
    return steps


def run_pass(
    keep: NDArray[np.bool_], nonzero: NDArray[np.bool_], machine: IndexMatchingArray
) -> Pass:
    """One tile (outputs, inputs) and one group of tokens (tokens, inputs)."""
    (outputs, inputs), tokens = keep.shape, len(nonzero)
    lanes = machine.multipliers
    spent: list[Counter[str]] = []
    pairs = []
    steps = 0
    for core in range(machine.cores):
        for row in range(machine.pe_rows):
            for column in range(machine.pe_columns):
                mine = range(column, inputs, machine.pe_columns)
                weights = [
                    (c, r) for c in mine for r in range(core, outputs, machine.cores) if keep[r, c]
                ]
                activations = [
                    (c, t)
                    for c in mine
                    for t in range(row, tokens, machine.pe_rows)
                    if nonzero[t, c]
                ]
                states: Counter[str] = Counter()
                for step in steps_of(weights, activations, machine):
                    steps += 1
                    states["busy"] += -(-len(step) // lanes)
                    states["no_match"] += not step
                    pairs += [(w[1], a[1], w[0]) for w, a in step]
                spent.append(states)
    taken = [states["busy"] + states["no_match"] for states in spent]
    longest = max(taken)
    critical = spent[taken.index(longest)]
    busy = sum(states["busy"] for states in spent)
    latency = machine.pe_latency_cycles
    with_work = min(machine.cores, outputs) * min(machine.pe_rows, tokens)
    with_work *= min(machine.pe_columns, inputs)
    balanced = min(critical["busy"], -(-busy // with_work))
    filled = min(balanced, -(-len(pairs) // (with_work * lanes)))
    compute = min(filled, -(-len(pairs) // (len(spent) * lanes)))
    return Pass(
        cycles=longest + latency,
        causes={
            "compute": compute,
            "array_edge": filled - compute,
            "unmatched": balanced - filled,
            "imbalance": critical["busy"] - balanced,
            "no_match": critical["no_match"],
            "pipeline": latency,
        },
        states={
            "busy": busy,
            "no_match": sum(states["no_match"] for states in spent),
            "idle": sum(longest - cycles for cycles in taken),
            "pipeline": len(spent) * latency,
        },
        pairs=pairs,
        steps=steps,
    )
