"""Does channel merging count what its contract says (docs/rivals.md §12)?"""

from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from accel_sim.dataflows.abstract.account import total_cycles
from accel_sim.dataflows.channel_merging import ChannelMergingArray, merge, run_channel_merging
from tests.accel_sim.dataflows.sums import check_sums

pytestmark = pytest.mark.rule(rivals=12)


def merged(keep: NDArray[np.bool_], most: int) -> list[list[int]]:
    """Inputs of each group of a tile, with sets of outputs, from the contract alone."""
    outputs_of = {c: {r for r in range(len(keep)) if keep[r, c]} for c in range(keep.shape[1])}
    groups: list[list[int]] = []
    held: list[set[int]] = []
    for c in sorted((c for c in outputs_of if outputs_of[c]), key=lambda c: -len(outputs_of[c])):
        possible = [
            g for g in range(len(groups)) if len(groups[g]) < most and not held[g] & outputs_of[c]
        ]
        if possible:
            best = max(possible, key=lambda g: (len(held[g]), -g))
        else:
            best = len(groups)
            groups.append([])
            held.append(set())
        groups[best].append(c)
        held[best] |= outputs_of[c]
    return groups


@given(
    outputs=st.integers(1, 9),
    inputs=st.integers(1, 24),
    tokens=st.integers(1, 7),
    machine=st.builds(
        ChannelMergingArray,
        outputs=st.integers(1, 5),
        tokens=st.integers(1, 4),
        merged_inputs=st.integers(1, 4),
        pe_latency_cycles=st.integers(0, 2),
    ),
    density=st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0]),
    seed=st.integers(0, 99),
)
def test_is_every_pass_that_of_the_plain_machine(
    outputs: int,
    inputs: int,
    tokens: int,
    machine: ChannelMergingArray,
    density: float,
    seed: int,
) -> None:
    keep = np.random.default_rng(seed).random((outputs, inputs)) < density
    tiles, sizes = run_channel_merging(keep, tokens, machine)
    check_sums(tiles, sizes, int(keep.sum()))
    for tile in tiles:
        part = keep[slice(*tile.rows)]
        groups = merged(part, machine.merged_inputs)
        found = [[int(c) for c in row if c >= 0] for row in merge(part, machine)]
        assert found == groups
        assert (tile.cycles == len(groups) + machine.pe_latency_cycles).all()
        nnz, cells = int(part.sum()), len(part) * len(groups)
        multipliers = machine.outputs * machine.tokens
        for g, size in enumerate(sizes.tolist()):
            compute, filled = ceil(nnz * size / multipliers), ceil(cells * size / multipliers)
            assert {cause: n[g] for cause, n in tile.causes.items()} == {
                "compute": compute,
                "unused_cells": filled - compute,
                "array_edge": len(groups) - filled,
                "pipeline": machine.pe_latency_cycles,
            }
            assert tile.executed[g] == nnz * size
            assert tile.padding[g] == (cells - nnz) * size
        choice = ceil(log2(machine.merged_inputs))
        index = len(groups) * machine.merged_inputs * ceil(log2(inputs))
        assert tile.storage.bits == cells * (16 + choice) + index


def speed_up_and_packing(keep: NDArray[np.bool_], outputs: int) -> tuple[float, float]:
    machine = ChannelMergingArray(outputs=outputs, tokens=1, pe_latency_cycles=0)
    tiles, sizes = run_channel_merging(keep, 1, machine)
    cycles = total_cycles(tiles, len(sizes))
    return len(tiles) * keep.shape[1] / cycles, keep.sum() / (cycles * outputs)


@pytest.mark.parametrize(
    ("outputs", "kind", "theirs"),
    [
        (16, "random .2", (4.4, 0.88)),
        (16, "horizontal", (3.1, 0.63)),
        (16, "vertical", (4.9, 1.0)),
        (16, "random .1", (8.2, 0.81)),
        (64, "random .2", (2.5, 0.50)),
        (64, "horizontal", (1.65, 0.33)),
        (64, "vertical", (4.7, 0.93)),
        (64, "random .1", (6.7, 0.66)),
    ],
)
def test_does_merging_pack_as_another_program_did(
    outputs: int, kind: str, theirs: tuple[float, float]
) -> None:
    # Its masks, 768 × 768, were others of the same kinds: vectors of 16 weights, a fifth kept.
    rng = np.random.default_rng(1)
    keep = {
        "random .2": lambda: rng.random((768, 768)) < 0.2,
        "horizontal": lambda: np.repeat(rng.random((768, 48)) < 0.2, 16, axis=1),
        "vertical": lambda: np.repeat(rng.random((48, 768)) < 0.2, 16, axis=0),
        "random .1": lambda: rng.random((768, 768)) < 0.1,
    }[kind]()
    assert speed_up_and_packing(keep, outputs) == pytest.approx(theirs, rel=0.05)


def test_does_a_dense_matrix_merge_nothing() -> None:
    (tile,), _ = run_channel_merging(np.ones((16, 40), np.bool_), 256, ChannelMergingArray())
    assert tile.cycles.tolist() == [40 + 4]
