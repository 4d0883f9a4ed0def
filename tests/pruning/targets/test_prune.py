"""Does a model that is pruned for a machine meet its target there, and lose little?"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_sim import Activations, Machine, Workload, load_machine, simulate
from pruning.data.examples import Examples, text_windows
from pruning.models.opening import OpenModel, assemble
from pruning.patterns import PATTERNS, make_pattern
from pruning.recipe import Recipe, checked
from pruning.report import Pruning
from pruning.targets.judge import Judge
from pruning.targets.levels import DENSE, levels_of
from pruning.targets.prune import prune_for_machine
from pruning.targets.settings import Goal
from sparse_formats.errors import InputError
from sparse_formats.masks.matrix import MaskedMatrix, MaskSet
from tests.pruning.patterns.test_patterns import TEXTS

torch = pytest.importorskip("torch")

TEXT = " ".join(f"w{(5 * i * i + i) % 44}" for i in range(400))
QUICK = Goal(draws=2, densities=(1, 0.7, 0.5, 0.35, 0.25, 0.15), samples=8)


@pytest.fixture
def small(tiny: Callable[..., Any], words: Any) -> tuple[OpenModel, Examples]:
    model = tiny("llama", hidden_size=64, intermediate_size=96, num_hidden_layers=2)
    opened = assemble("tiny", "causal", model, words)
    return opened, text_windows(words, TEXT, 20, "causal")


def machine_of(name: str = "tf_mvp") -> Machine:
    # A slow memory makes small matrices take time, and their densities matter.
    return load_machine(name, ["dram.bytes_per_cycle=2"])


def pruned(small: tuple[OpenModel, Examples], machine: Machine, goal: Goal, **of: Any) -> Pruning:
    recipe = checked(Recipe(**{"pattern": "vector:4", "tokens": 16, "update": "none", **of}))
    return prune_for_machine(*small, recipe, goal, machine)


@pytest.mark.parametrize(
    ("machine", "speedup"), [("tf_mvp", 1.5), ("tf_mvp", 2.5), ("cambricon_x", 2.0)]
)
def test_the_simulator_says_that_the_target_is_met(
    small: tuple[OpenModel, Examples], machine: str, speedup: float
) -> None:
    found = pruned(small, machine_of(machine), replace(QUICK, speedup=speedup))
    report = simulate(Workload.of(found.masks, Activations(16)), machine_of(machine))
    target = report.total.dense_cycles / speedup
    assert 0.98 * target <= report.total.cycles <= target
    assert found.target["reached"] == report.total.latency_s


def test_an_energy_is_met_too(small: tuple[OpenModel, Examples]) -> None:
    machine = machine_of()
    found = pruned(small, machine, replace(QUICK, target_energy="6uJ"))
    total = simulate(Workload.of(found.masks, Activations(16)), machine).total
    assert 0.98 * 6e-6 <= total.energy_j <= 6e-6
    assert found.target["reached"] == pytest.approx(total.energy_j, rel=1e-12)


def test_the_whole_transformer_can_be_the_target(
    small: tuple[OpenModel, Examples],
) -> None:
    from accel_sim.models.config import transformer
    from accel_sim.models.simulate import Request, simulate_model
    from accel_sim.models.weights import masked

    machine = machine_of()
    found = pruned(small, machine, replace(QUICK, speedup=1.5, prefill=8, generate=3))
    model = transformer(small[0].model.config.to_dict(), "tiny")
    run = simulate_model(
        masked(model, found.masks.matrices, "masks"), Request(prefill=8, generate=3), machine
    )
    assert 0.98 * run.dense.all / 1.5 <= run.cycles.all <= run.dense.all / 1.5


@pytest.mark.parametrize("goal", [Goal(speedup=500), Goal(target_latency="1s")])
def test_what_cannot_be_reached_is_refused_with_what_can(
    small: tuple[OpenModel, Examples], goal: Goal
) -> None:
    with pytest.raises(InputError, match=r"out of reach: .* tf_mvp .* takes from .* to .*s "):
        pruned(small, machine_of(), replace(QUICK, **{k: v for k, v in vars(goal).items() if v}))


def test_masks_are_those_of_the_plan(small: tuple[OpenModel, Examples]) -> None:
    goal = replace(QUICK, speedup=2, alternatives=("vector:8", "fine"))
    found = pruned(small, machine_of(), goal)
    names = set()
    for matrix, row in zip(found.masks.matrices, found.target["plan"], strict=True):
        assert row["name"] == matrix.name
        assert row["density"] == pytest.approx(matrix.density)
        names.add(row["pattern"])
        if row["pattern"] == DENSE:
            assert matrix.keep.all()
        else:
            assert make_pattern(row["pattern"], {}).conforms([matrix]) is None
    assert names <= {DENSE, "vector:4", "vector:8", "fine"}
    assert found.masks.header["target"] == found.target


def test_the_model_is_left_as_it_was(small: tuple[OpenModel, Examples]) -> None:
    before = {m.name: m.weight() for m in small[0].matrices}
    pruned(small, machine_of(), replace(QUICK, speedup=2))
    assert all((m.weight() == before[m.name]).all() for m in small[0].matrices)


def test_the_same_seed_gives_the_same_masks(small: tuple[OpenModel, Examples]) -> None:
    one, two = (pruned(small, machine_of(), replace(QUICK, speedup=2)) for _ in range(2))
    assert one.target == two.target
    for a, b in zip(one.masks.matrices, two.masks.matrices, strict=True):
        assert (a.keep == b.keep).all()


class Weight:
    """What a judge takes of a matrix."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def weight(self) -> Any:
        return self.value


def test_a_language_model_is_judged_by_its_divergence(
    small: tuple[OpenModel, Examples],
) -> None:
    opened, examples = small
    batch = examples.batch(range(len(examples)))

    def probabilities() -> Any:
        with torch.no_grad():
            return torch.softmax(opened.model(**batch).logits.double(), -1)

    before, changed = probabilities(), {m.name: 2 * m.weight() for m in opened.matrices}
    with Judge(opened, examples) as judge:
        told = judge({name: Weight(value) for name, value in changed.items()})
        after = probabilities()
    apart = (before * (before / after).log()).sum(-1).mean()
    assert told == pytest.approx(float(apart), rel=1e-3) and told > 0


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_has_levels_or_says_why_not(name: str) -> None:
    text = "2:4" if name == "n_m" else next(t for t in TEXTS if t.split(":")[0] == name)
    if name in ("channel", "head", "coupled", "hybrid"):
        with pytest.raises(InputError, match="prunes several matrices together"):
            levels_of((text,), {}, Goal(speedup=2))
        return
    levels = levels_of((text,), {}, Goal(speedup=2))
    assert levels[0].name == DENSE
    assert len(levels) > 1


def test_an_encoder_is_judged_by_its_hidden_states(tiny: Callable[..., Any], words: Any) -> None:
    opened = assemble("tiny", "encode", tiny("bert_encoder"), words)
    rows = [{"input_ids": [2, *range(4 + i, 16 + i), 3]} for i in range(6)]
    judge = Judge(opened, Examples(rows))
    own = {m.name: m.weight() for m in opened.matrices}

    with judge:
        assert judge({name: Weight(value) for name, value in own.items()}) == pytest.approx(
            0, abs=1e-12
        )
        assert judge({name: Weight(3 * value) for name, value in own.items()}) > 0.001
    assert all((m.weight() == own[m.name]).all() for m in opened.matrices)


def test_masks_without_a_model_have_no_target(tmp_path: Path, run: Callable[..., Any]) -> None:
    masks = MaskSet((MaskedMatrix("a", np.ones((8, 8), np.bool_)),))
    from sparse_formats.files.mask_file import write_masks

    write_masks(tmp_path / "mask.npz", masks)
    status, _, error = run(
        "prune", "--from-mask", tmp_path / "mask.npz", "--speedup", 2, "--out", tmp_path / "o.npz"
    )
    assert status == 2 and "a target goes with --model" in error
