"""Are mode, lane groups and select width of a matrix the fastest, whatever the bounds leave out?"""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sim.dataflows.abstract.timeline import alone
from accel_sim.dataflows.mixed_vector.choice import MODES, Encodings
from accel_sim.dataflows.mixed_vector.dataflow import MixedVector
from accel_sim.dataflows.mixed_vector.layer import run_tiles
from accel_sim.dataflows.mixed_vector.lines import Lines, dense_lines, lines_of
from accel_sim.dataflows.mixed_vector.stream import Way
from accel_sim.inputs.activations import Activations, Layer
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix
from sparse_formats.masks.vectors import Orientation
from tests.accel_sim.workloads import random_matrix, roomy, simulated, vector_matrix

pytestmark = pytest.mark.rule(microarchitecture=2)

TIGHT = (
    "dram.bytes_per_cycle=2",
    "dram.bytes_per_cycle=4096",
    "packing=false",
    "policy=snake",
    "queue.per_column=true",
    "words_per_cycle=1",
    "window_inputs=4",
    "inputs_per_cycle=1",
    "decompressor.word_bytes=9",
    "weight_buffer.bytes=4000",
    "accumulators_per_pe=4",
)
GROUPS = (1, 2, 4)

Key = tuple[int, int, int, int, int]


def all_ways(
    machine: MixedVector, matrix: MaskedMatrix, activations: Activations, *, is_dense: bool
) -> list[Key]:
    """(cycles, bytes of tiles, select width, lane groups, place of the mode) of all that fit."""

    def lines_in(mode: Orientation) -> Lines:
        if is_dense:
            return dense_lines(matrix.shape, mode)
        return lines_of(matrix, mode, machine.array.packing)

    layer = Layer(0, matrix, activations.tokens)
    inputs = activations.inputs(layer, machine.numbers, is_multiplied=False)
    encodings, found = Encodings(machine, "m", lines_in), []
    widths = (1,) if is_dense else machine.select_widths
    for (place, mode), groups, select in product(enumerate(MODES), GROUPS, widths):
        way = Way(select, groups, mode)
        try:
            tiles = encodings.tiles(way)
        except InputError:
            continue
        run = run_tiles(layer, inputs, encodings.lines(mode), tiles, machine, way)
        time = alone(run, machine)
        bytes_ = sum(tile.stream.bytes for tile in tiles)
        found.append((time.cycles, bytes_, select, groups, place))
    return found


@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 150)),
    pattern=st.sampled_from(["random", "horizontal", "vertical"]),
    density=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    tokens=st.integers(1, 5),
    activation_density=st.sampled_from([0.3, 1.0]),
    settings=st.lists(st.sampled_from(TIGHT), unique=True, max_size=4),
    select=st.sampled_from([1, 2, 4]),
)
def test_is_no_other_choice_faster(
    seed: int,
    shape: tuple[int, int],
    pattern: str,
    density: float,
    tokens: int,
    activation_density: float,
    settings: list[str],
    select: int,
) -> None:
    if pattern == "random":
        matrix = random_matrix(shape, density, seed)
    else:
        matrix = vector_matrix(shape, "vertical", 4, density, seed)
        if pattern == "horizontal":
            matrix = vector_matrix(shape, "horizontal", 4, density, seed)
    selects = select > 1 and "packing=false" not in settings
    if selects:
        settings = [*(s for s in settings if "window" not in s), f"lane_select={select}"]
        settings.append(f"window_inputs={4 * select}")
    machine = roomy(f"lane_groups={list(GROUPS)}", *settings)
    activations = Activations(tokens, activation_density, seed % 1000)
    (layer,) = simulated([matrix], machine, activations, is_checked=False)
    found = all_ways(machine, matrix, activations, is_dense=False)
    best = min(found)
    mode = ("horizontal", "vertical").index(layer.orientation)
    assert (layer.cycles, layer.lane_select, layer.lane_groups, mode) == (best[0], *best[2:])
    # The dense stream tries fewer, but never less than one of each mode.
    dense = all_ways(machine, matrix, activations, is_dense=True)
    assert min(dense)[0] <= layer.dense_cycles
    assert layer.dense_cycles <= min(key[0] for key in dense if key[3] == 1)


@pytest.mark.parametrize(("length", "groups"), [(4, 1), (2, 2), (1, 4)])
def test_are_groups_as_wide_as_vectors(length: int, groups: int) -> None:
    # Vertical vectors of this length, one in each block of 4 outputs, at every other input. Slots
    # of as many lanes have full entries in column mode; wider ones have empty lanes, and narrower
    # ones as many more entries as there are more slots, with more index.
    keep = np.zeros((32, 64), np.bool_)
    for row in range(0, 32, 4):
        keep[row : row + length, ::2] = True
    machine = roomy(f"lane_groups={list(GROUPS)}")
    (layer,) = simulated([MaskedMatrix("m", keep)], machine, Activations(64))
    assert layer.lane_groups == groups
    assert layer.orientation == "vertical" or length == 1
    assert layer.mean_entry_weights == length
    assert layer.macs_padding == 0
