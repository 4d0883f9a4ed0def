"""Does the whole of K-prune keep its budget, make up for what went, and beat its parts?"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples
from pruning.retraining_free import METHODS
from pruning.retraining_free.knowledge import Knowledge, answer_of
from pruning.retraining_free.kprune import importance, kprune
from pruning.retraining_free.method import MethodSettings
from pruning.retraining_free.partial_run import batches_of, run
from pruning.retraining_free.sublayers import masks_of
from tests.tiers import slow

torch = pytest.importorskip("torch")

LENGTH = 12.0


def answers(encoder: Any, examples: Examples) -> Any:
    with torch.no_grad():
        return torch.cat(
            [answer_of(encoder, run(encoder, b, 0).output) for b in batches_of(examples)]
        )


@pytest.mark.parametrize("kind", ["bert", *slow("distilbert", "regression", "answer")])
@pytest.mark.parametrize("flops", [0.25, 0.6])
def test_is_the_budget_kept_and_nearly_used(
    kind: str, flops: float, encoder: Any, examples: Examples
) -> None:
    tiny = encoder(kind)
    pruned = kprune(tiny, batches_of(examples), LENGTH, flops, MethodSettings())
    kept = tiny.kept_flops(pruned.kept, LENGTH)
    assert kept <= flops * tiny.flops(LENGTH) * (1 + 1e-9)
    # The last sublayer's neurons are all that can fill the rest.
    if not pruned.kept[-1].all():
        assert kept > flops * tiny.flops(LENGTH) - tiny.sublayers[-1].flops(LENGTH)
    for tuned in pruned.tuned:
        assert tuned is not None
        assert tuned.error_after <= tuned.error_before * (1 + 1e-9)


def test_does_the_whole_budget_leave_the_model_as_it_is(encoder: Any, examples: Examples) -> None:
    tiny = encoder("bert")
    before = answers(tiny, examples)
    pruned = kprune(tiny, batches_of(examples), LENGTH, 1.0, MethodSettings())
    assert all(keep.all() for keep in pruned.kept)
    torch.testing.assert_close(answers(tiny, examples), before, atol=1e-5, rtol=1e-5)


def test_does_tuning_bring_the_answers_back(encoder: Any, examples: Examples) -> None:
    distances = {}
    for tuning in (True, False):
        tiny = encoder("bert")
        before = answers(tiny, examples)
        settings = MethodSettings(tuning=tuning)
        kprune(tiny, batches_of(examples), LENGTH, 0.4, settings)
        distances[tuning] = float((answers(tiny, examples) - before).square().mean())
    assert distances[True] < 0.5 * distances[False]


def test_is_at_once_the_search_of_a_dense_model(encoder: Any, examples: Examples) -> None:
    from pruning.retraining_free.knowledge import knowledge
    from pruning.retraining_free.unit_search import units_within

    tiny = encoder("bert")
    batches = batches_of(examples)
    settings = MethodSettings(at_once=True)
    worth = importance(knowledge(tiny, batches, 0, 2.0), tiny.sublayers, settings)
    costs = [each.flops(LENGTH) for each in tiny.sublayers]
    expected = units_within(worth, costs, 0.5 * tiny.flops(LENGTH))
    pruned = kprune(tiny, batches, LENGTH, 0.5, settings)
    assert [k.tolist() for k in pruned.kept] == [k.tolist() for k in expected]


def test_are_both_kinds_of_knowledge_weighed(encoder: Any) -> None:
    sublayers = encoder("bert").sublayers[:2]
    known = [
        Knowledge(np.array([1.0, 2.0]), np.array([10.0, 20.0])),
        Knowledge(np.array([3.0]), np.array([30.0])),
    ]
    settings = MethodSettings(predictive_weight=2, representational_weight=0.1, head_weight=3)
    heads, neurons = importance(known, sublayers, settings)
    assert heads.tolist() == [9.0, 18.0]
    assert neurons.tolist() == [9.0]
    assert importance(known, sublayers, replace(settings, head_weight=1))[0].tolist() == [3.0, 6.0]


@pytest.mark.parametrize("method", METHODS)
def test_do_masks_hold_the_model_a_method_leaves(
    method: str, encoder: Any, examples: Examples
) -> None:
    tiny = encoder("bert")
    pruned = METHODS[method](
        tiny, batches_of(examples), LENGTH, 0.5, MethodSettings(), lambda step: None
    )
    assert tiny.kept_flops(pruned.kept, LENGTH) <= 0.5 * tiny.flops(LENGTH) * (1 + 1e-9)
    after = answers(tiny, examples)
    for mask in masks_of(tiny, pruned.kept, {}).matrices:
        view = tiny.opened.by_name[mask.name].view
        assert not view[torch.from_numpy(~mask.keep)].any() or mask.kind in ("Q", "K", "V", "FFN1")
        assert mask.weight is not None
        view.copy_(torch.from_numpy(mask.weight))
    torch.testing.assert_close(answers(tiny, examples), after, atol=1e-5, rtol=1e-5)
