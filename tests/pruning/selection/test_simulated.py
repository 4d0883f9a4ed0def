"""Does algorithm D of mvp weigh simulated cycles against what is lost?"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_sim import Activations, Workload, load_machine, simulate
from pruning import prune
from pruning.patterns import make_pattern
from pruning.patterns.pattern import Target
from pruning.report import Pruning
from pruning.selection.vectors.candidates import Candidate
from pruning.selection.vectors.simulated import Machine, Uncut, simulated
from pruning.statistics.matrix_statistics import Statistics, generator, write_statistics
from sparse_formats.masks.vectors import ORIENTATIONS, Orientation

MENU = (1, 4, 16)
RNG = np.random.default_rng(0)
MODEL = {
    "layers.0.mlp.up_proj": RNG.lognormal(size=(128, 1)) * RNG.lognormal(size=(128, 128)),
    "layers.0.mlp.down_proj": RNG.lognormal(size=(1, 128)) * RNG.lognormal(size=(128, 128)),
    "layers.0.attn.o_proj": RNG.lognormal(size=(128, 128)),
}


def cycles(pruning: Pruning, accelerator: str = "tf_mvp") -> list[int]:
    workload = Workload.of(pruning.masks, Activations(64))
    report = simulate(workload, load_machine(accelerator), is_checked=False)
    return [layer.cycles for layer in report.layers]


def by_algorithm_d(factor: float, **settings: Any) -> Pruning:
    return prune(
        MODEL, pattern="mvp", algorithm="D", menu=MENU, cycles=factor, tokens=64, **settings
    )


@pytest.mark.parametrize("accelerator", ["tf_mvp", "eie"])
def test_without_a_cycle_to_spare_every_matrix_is_cut_the_fastest_way(accelerator: str) -> None:
    every = [
        cycles(prune(MODEL, pattern=f"vector:{length}", orientation=o), accelerator)
        for length in MENU[1:]
        for o in ORIENTATIONS
    ]
    every += [cycles(prune(MODEL, pattern="fine"), accelerator)]
    found = by_algorithm_d(1, accelerator=accelerator)
    fastest = np.min(every, axis=0).sum()
    # Two cuts may take the same cycles, and beside other neighbours a little more or less.
    assert sum(cycles(found, accelerator)) == pytest.approx(fastest, rel=0.03)


def test_more_cycles_lose_less_importance_up_to_none() -> None:
    found = [by_algorithm_d(factor) for factor in (1, 1.1, 1.3, 100)]
    kept = [pruning.total.retention or 0.0 for pruning in found]
    assert kept == sorted(kept) and kept[0] < 0.9 and kept[-1] == pytest.approx(1)
    taken = [sum(cycles(pruning)) for pruning in found]
    assert taken == sorted(taken)
    assert taken[1] <= 1.03 * 1.1 * taken[0] and taken[2] <= 1.03 * 1.3 * taken[0]


def test_each_matrix_has_one_length_and_the_note_tells_what_it_takes() -> None:
    found = by_algorithm_d(1.1)
    for matrix in found.masks.matrices:
        assert matrix.vectors is not None
        assert len(set(matrix.vectors.lengths.tolist())) == 1
    (note,) = [note for note in found.notes if "algorithm D" in note]
    said = re.search(r"with 64 tokens on tf_mvp the chosen vectors take ([\d,]+) cycles", note)
    assert said is not None
    assert int(said[1].replace(",", "")) == pytest.approx(sum(cycles(found)), rel=0.01)
    assert "of the importance that these hold" in note


def test_the_rule_leaves_only_its_orientation() -> None:
    found = by_algorithm_d(1.2, orientation="kind")
    assert {m.kind: m.vectors and m.vectors.orientation for m in found.masks.matrices} == {
        "up": "vertical",
        "down": "horizontal",
        "attention out": "vertical",
    }


def test_the_error_of_the_outputs_decides_where_it_is_known() -> None:
    scores = RNG.lognormal(size=(64, 64)).astype(np.float32)
    uncut = [Uncut("a", "other", scores, 800, ORIENTATIONS)]

    def error_of(name: str) -> Any:
        """Whole columns of 16 leave no error, all else does."""
        assert name == "a"
        blocks = (4, 16, 64)
        return lambda keep: float((keep.reshape(blocks) != keep.reshape(blocks)[:, :1]).any())

    found = simulated(uncut, MENU, Machine("tf_mvp", 16, 100), error_of)
    assert found.candidates == (Candidate("vertical", (16,), 0.0),)
    assert "lose 0.000 of the outputs" in found.said
    free = simulated(uncut, MENU, Machine("tf_mvp", 16, 100), None)
    assert free.candidates[0].menu == (1,)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_what_is_settled_is_kept_on_other_scores(orientation: Orientation) -> None:
    free: Any = make_pattern(
        "mvp", {"algorithm": "D", "menu": (16,), "orientation": orientation, "tokens": 16}
    )
    before, after = (
        Target("a", "other", RNG.lognormal(size=(64, 64)).astype(np.float32)) for _ in range(2)
    )
    settled = free.settle([([before], 800)])
    assert settled.cuts == {"a": Candidate(orientation, (16,), 0.0)}
    (pruned,) = settled.masks([after], 800)
    assert pruned.layout is not None and pruned.layout.orientation == orientation
    assert np.array_equal(free.masks([after], 800)[0].keep, pruned.keep)


def test_statistics_make_the_error_of_the_outputs_count(tmp_path: Path) -> None:
    # Half of the inputs are always 0: weights are large there, and make no output.
    weight = RNG.lognormal(size=(64, 64)).astype(np.float32)
    weight[:, :32] *= 100
    gram = np.diag(np.repeat([0.0, 1.0], 32))
    write_statistics(tmp_path / "s.npz", {"a": Statistics(weight, generator("a", 0), gram=gram)})
    settings = {"pattern": "mvp", "algorithm": "D", "menu": (16,), "tokens": 16, "update": "none"}
    found = prune({"a": weight}, statistics=tmp_path / "s.npz", **settings)
    blind = prune({"a": weight}, **settings)
    ((note,), (of_blind,)) = (
        [note for note in pruning.notes if "algorithm D" in note] for pruning in (found, blind)
    )
    # What is kept by importance, all lies on the inputs that are 0: the whole output is lost.
    assert "lose 1.000 of the outputs" in note
    assert "of the importance that these hold" in of_blind
