"""Do the factors of the waterfall multiply to the speed-up, and is a mask drawn as it is?"""

from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate
from accel_sim.reports.figures.mask_picture import mask_picture
from accel_sim.reports.figures.timeline import Timeline, Track
from accel_sim.reports.figures.waterfall import waterfall
from accel_sim.reports.report import as_json
from sparse_formats.masks.matrix import MaskedMatrix
from tests.accel_sim.workloads import random_matrix

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@pytest.mark.parametrize("name", builtin_accelerators())
def test_do_the_factors_multiply_exactly_to_the_speed_up_on_every_machine(name: str) -> None:
    masks = [random_matrix((96, 64), 0.25, 1, "a"), random_matrix((40, 72), 0.4, 2, "b")]
    data = as_json(simulate(Workload.of(masks, Activations(20, 0.6, 0)), load_machine(name)))
    for result in (*data["layers"], data["total"]):
        steps = waterfall(result)
        assert steps is not None
        speedup = Fraction(result["dense_cycles"], result["cycles"])
        assert prod(step.factor for step in steps) == speedup == steps[-1].speedup
        causes = [key for key, cycles in result["cycles_by_cause"].items() if cycles]
        lost = [step.key for step in steps if step.factor < 1 and step.key in causes]
        assert lost == [cause for cause in causes if cause != "compute"]
        # 1 / density, whatever the machine makes of it.
        kept = sum(int(mask.nnz) for mask in masks if result.get("name", mask.name) == mask.name)
        size = sum(mask.size for mask in masks if result.get("name", mask.name) == mask.name)
        assert steps[0].key == "kept_weights" and steps[0].factor == Fraction(size, kept)
        assert [step.as_data() for step in steps] == result["waterfall"]


def test_the_steps_of_one_matrix_on_paper() -> None:
    causes = {"compute": 40, "empty_lanes": 10, "imbalance": 0, "dram": 50}
    result = {"macs_dense": 1000, "macs_executed": 100, "macs_skipped": 100, "dense_cycles": 600}
    steps = waterfall({**result, "cycles": 100, "cycles_by_cause": causes})
    assert steps is not None
    assert [(step.key, step.factor, step.speedup) for step in steps] == [
        ("kept_weights", 5, 5),  # 1000 of 200
        ("skipped_zeros", 2, 10),  # 200 of 100
        ("dense_run", Fraction(3, 2), 15),  # 600 cycles, where 40 · 10 would do
        ("empty_lanes", Fraction(4, 5), 12),
        ("dram", Fraction(1, 2), 6),
    ]


@pytest.mark.parametrize("missing", ["macs_executed", "dense_cycles", "cycles"])
def test_without_work_there_is_no_waterfall(missing: str) -> None:
    result: dict[str, Any] = {"macs_dense": 8, "macs_executed": 4, "macs_skipped": 0}
    result |= {"dense_cycles": 8, "cycles": 4, "cycles_by_cause": {"compute": 4}}
    assert waterfall(result) is not None
    assert waterfall({**result, missing: 0}) is None


@given(
    rows=st.integers(1, 150),
    cols=st.integers(1, 150),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    orientation=st.sampled_from(["horizontal", "vertical", ""]),
)
def test_the_picture_is_the_mask(rows: int, cols: int, density: float, orientation: str) -> None:
    keep = np.random.default_rng(rows * 151 + cols).random((rows, cols)) < density
    picture = mask_picture(MaskedMatrix("m", keep), orientation)
    assert picture is not None
    assert picture.cells == (min(rows, 64), min(cols, 64))
    levels = np.array([DIGITS.index(digit) for digit in picture.density]).reshape(picture.cells)
    for row, col in np.ndindex(*picture.cells):
        down = [r for r in range(rows) if r in _cell(row, picture.cells[0], rows)]
        along = [c for c in range(cols) if c in _cell(col, picture.cells[1], cols)]
        shown = picture.top * levels[row, col] / 63
        assert abs(shown - keep[np.ix_(down, along)].mean()) <= picture.top / 126 + 1e-9
        if row + col > 6:
            break  # some cells are enough
    first_row, first_col, tall, wide = picture.part
    part = np.zeros((tall, wide), np.int64)
    numbers = [DIGITS.index(digit) for digit in picture.vectors]
    for line, start, more in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
        if orientation == "vertical":
            part[start : start + more + 1, line] += 1
        else:
            part[line, start : start + more + 1] += 1
    np.testing.assert_array_equal(
        part, keep[first_row : first_row + tall, first_col : first_col + wide]
    )


def _cell(index: int, count: int, length: int) -> range:
    return range(index * length // count, (index + 1) * length // count)


def test_a_timeline_numbers_its_states() -> None:
    tracks = [Track("DRAM", [(0, 8, "busy"), (8, 9, "idle")]), Track("PE", [(2, 5, "idle")])]
    assert Timeline("Said.", 0, 9, tracks).as_data() == {
        "words": "Said.",
        "first": 0,
        "last": 9,
        "states": ["busy", "idle"],
        "tracks": [
            {"name": "DRAM", "slices": [[0, 8, 0], [8, 1, 1]]},
            {"name": "PE", "slices": [[2, 3, 1]]},
        ],
    }
