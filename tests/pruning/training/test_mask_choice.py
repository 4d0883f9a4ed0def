"""Do masks made while a model learns follow pattern, budget, count and schedule?"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pruning.data.examples import Examples, text_windows
from pruning.models.opening import OpenModel, assemble
from pruning.patterns import make_pattern
from pruning.patterns.oriented_vectors import OrientedVectors
from pruning.recipe import Recipe, pattern_of
from pruning.training.loop import train
from pruning.training.pruner import prepare
from pruning.training.settings import Training
from sparse_formats.errors import InputError
from tests.tiers import slow

torch = pytest.importorskip("torch")

Tiny = Callable[..., Any]
TEXT = " ".join(f"w{(i * i + 3 * (i // 7)) % 44}" for i in range(400))
SHORT = Training(steps=12, batch=4, warmup=2, learning_rate=1e-2, initial_warmup=1, final_warmup=2)


def learner(model: Any, words: Any) -> tuple[OpenModel, Examples]:
    return assemble("tiny", "causal", model, words), text_windows(words, TEXT, 20, "causal")


@pytest.mark.parametrize("count", ["bits", "flops"])
def test_sparsity_of_bits_and_flops(count: str, tiny: Tiny, words: Any) -> None:
    from pruning.budgets import bytes_of

    opened, examples = learner(tiny("llama"), words)
    recipe = Recipe("mvp" if count == "bits" else "coupled", 0.6, count=count, budget="global")
    training = replace(SHORT, method="gradual_magnitude", every=4)
    masks = train(opened, prepare(opened, recipe, training), examples).masks.matrices
    pattern = pattern_of(recipe, {m.name: m.shape for m in masks}, opened.heads)
    size = sum(m.keep.size for m in masks)
    if count == "bits":
        stored = [bytes_of(pattern, m) for m in masks]
        assert None not in stored
        assert 0.38 * 2 * size < sum(n for n in stored if n is not None) <= 0.4 * 2 * size + 14
    else:
        # Two key-value heads of two 8-wide queries each: 128 tokens meet 128 keys and values.
        attention = 2 * 128 * 4 * 8
        heads = [m.keep[:, ::16].any(0).sum() for m in masks if m.kind == "attention out"]
        flops = sum(m.nnz for m in masks) + attention * sum(heads) // 2
        assert flops <= 0.4 * (size + 2 * attention)
    with pytest.raises(InputError, match="only counts weights"):
        prepare(opened, recipe, replace(SHORT, method="l0"))


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (Recipe("fine", 0.5, score="wanda"), "score is 'wanda', which has no effect"),
        (Recipe("fine", 0.5, update="obs"), "update is 'obs', which has no effect"),
    ],
)
def test_what_training_does_not_do_is_refused(
    recipe: Recipe, said: str, tiny: Tiny, words: Any
) -> None:
    with pytest.raises(InputError, match=said):
        prepare(learner(tiny("gpt2"), words)[0], recipe, SHORT)


@pytest.mark.parametrize("pattern", ["2:4", "1:4", "vector_wise:4:16"])
@pytest.mark.parametrize("budget", ["matrix", *slow("row")])
def test_patterns_of_one_density_are_come_to_from_above(
    pattern: str, budget: str, tiny: Tiny, words: Any
) -> None:
    opened, examples = learner(tiny("gpt2"), words)
    wanted = make_pattern(pattern, {})
    assert wanted.density is not None
    recipe = Recipe(pattern=pattern, sparsity=1 - wanted.density, budget=budget)
    pruner = prepare(opened, recipe, SHORT)
    run = train(opened, pruner, examples)
    asked = [1 - pruner.schedule.sparsity(step) for step in range(1, 13)]
    assert run.densities == pytest.approx(asked, abs=1e-3)
    assert len(set(run.densities)) > 4
    assert wanted.conforms(run.masks.matrices) is None
    # On the way the pattern's own weights are among those that stay.
    step = replace(SHORT, first_sparsity=0.3)
    half_way = prepare(learner(tiny("gpt2"), words)[0], replace(recipe, budget="matrix"), step)
    own = half_way.chosen(1 - wanted.density, pattern)
    for matrix, keep in zip(half_way.matrices, half_way.keep, strict=True):
        assert not (own[matrix.name].keep & ~matrix.to_file(keep)).any()
        assert keep.float().mean() == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize("pattern", ["lane_select:4:4", "two_level:4"])
def test_slots_are_come_to_from_above_and_stay_cut_as_they_were(
    pattern: str, tiny: Tiny, words: Any
) -> None:
    opened, examples = learner(tiny("gpt2"), words)
    recipe = Recipe(pattern, 0.8)
    pruner = prepare(opened, recipe, SHORT)
    run = train(opened, pruner, examples)
    asked = [1 - pruner.schedule.sparsity(step) for step in range(1, 13)]
    # Whole slots of 4 weights come within half a slot of what each matrix is to keep.
    assert run.densities == pytest.approx(asked, abs=5e-3)
    assert max(asked) > 0.25 and len(set(run.densities)) > 4
    assert make_pattern(pattern, {}).conforms(run.masks.matrices) is None
    cuts = [m.slots for m in run.masks.matrices]
    assert all(cut is not None and cut.lanes == 4 for cut in cuts)
    again = prepare(learner(tiny("gpt2"), words)[0], recipe, SHORT)
    again.restore(pruner.tensors(), pruner.state())
    assert [m.slots for m in again.finalize().matrices] == cuts


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (Recipe("2:4", 0.3), "2:4 keeps at most"),
        (Recipe("vector_wise:4:16", 0.8), "keeps exactly"),
        (Recipe("mvp", 0.5, budget="row"), "budget is row"),
        (Recipe("head", 0.5), "heads is 0"),
    ],
)
def test_a_pattern_that_does_not_fit_is_told_before_training(
    recipe: Recipe, said: str, tiny: Tiny, words: Any
) -> None:
    opened, _ = learner(tiny("gpt2"), words)
    with pytest.raises(InputError, match=said):
        prepare(replace(opened, heads=None), recipe, SHORT)


def test_patterns_change_from_stage_to_stage(tiny: Tiny, words: Any) -> None:
    opened, examples = learner(tiny("llama"), words)
    training = replace(SHORT, stages=("fine", "vector:4"))
    pruner = prepare(opened, Recipe(pattern="vector:8", sparsity=0.5), training)
    seen: list[str] = []
    while pruner.done < training.steps:
        opened.model(**examples.batch([pruner.done])).loss.backward()
        pruner.gradients()
        opened.model.zero_grad()
        pruner.step()
        seen.append(pruner.pattern)
    assert list(dict.fromkeys(seen)) == ["fine", "vector:4", "vector:8"]
    masks = pruner.finalize()
    assert make_pattern("vector:8", {}).conforms(masks.matrices) is None
    assert all(m.vectors is not None for m in masks.matrices)


@pytest.mark.parametrize("is_fixed", [True, False])
def test_vectors_turn_with_the_scores_unless_they_are_fixed(
    is_fixed: bool, tiny: Tiny, words: Any
) -> None:
    opened, _ = learner(tiny("llama"), words)
    training = replace(SHORT, method="gradual_magnitude", fix_vectors=is_fixed, initial_warmup=0)
    pruner = prepare(opened, Recipe(pattern="vector:4", sparsity=0.5), training)
    places = range(len(pruner.matrices))

    def stripes(direction: int) -> None:
        """Weights of whole rows (1) or columns (0) that are large or small."""
        for i in places:
            rows, cols = pruner.matrices[i].shape
            lines = torch.arange(rows if direction else cols) % 2 + 0.5
            pruner.dense[i].copy_((lines[:, None] if direction else lines).expand(rows, cols))

    def orientations() -> set[str | None]:
        found = pruner.chosen(0.5, "vector:4").values()
        return {None if p.layout is None else p.layout.orientation for p in found}

    before = pruner.patterns["vector:4"]
    stripes(1)
    seen = [orientations()]
    stripes(0)
    seen.append(orientations())
    if is_fixed:
        assert isinstance(before, OrientedVectors)
        assert before.settled.keys() == {m.name for m in pruner.matrices}
        assert seen[0] == seen[1] == set(before.settled.values())
    else:
        assert seen == [{"horizontal"}, {"vertical"}]


@pytest.mark.parametrize("pattern", ["vector:4", "mvp"])
def test_orientations_of_a_training_are_those_of_the_rule(
    pattern: str, tiny: Tiny, words: Any
) -> None:
    opened, examples = learner(tiny("llama"), words)
    recipe = Recipe(pattern=pattern, sparsity=0.5, orientation="kind")
    masks = train(opened, prepare(opened, recipe, SHORT), examples).masks
    assert {m.kind: m.vectors and m.vectors.orientation for m in masks.matrices} == {
        **dict.fromkeys(("Q", "K", "V", "down"), "horizontal"),
        **dict.fromkeys(("attention out", "gate", "up"), "vertical"),
    }
