"""Is a walk from a layer on the model's own forward pass, and is what it watches what it says?"""

from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples
from pruning.retraining_free.partial_run import advance, batches_of, run, sampled

torch = pytest.importorskip("torch")

FAMILIES = ("bert", "distilbert")


def logits(encoder: Any, batch: Any) -> Any:
    keys = ("input_ids", "attention_mask")
    with torch.no_grad():
        return encoder.opened.model(**{key: batch.inputs[key] for key in keys}).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_is_the_answer_the_same_from_every_layer_on(
    family: str, encoder: Any, examples: Examples
) -> None:
    tiny = encoder(family)
    batches = batches_of(examples)
    assert sum(len(batch.taken) for batch in batches) == 60
    for layer in range(2):
        for batch in batches:
            with torch.no_grad():
                found = run(tiny, batch, layer).output.logits
            torch.testing.assert_close(found, logits(tiny, batch))
        advance(tiny, batches, layer)


@pytest.mark.parametrize("family", FAMILIES)
def test_is_a_residual_sum_input_plus_projection(
    family: str, encoder: Any, examples: Examples
) -> None:
    tiny = encoder(family)
    (batch, *_) = batches_of(examples)
    heads, neurons = tiny.sublayers[:2]
    with torch.no_grad():
        seen = run(tiny, batch, 0, 1, watched=[heads, neurons])
        out = heads.out.module
        base = tiny.opened.model.base_model
        embedded = base.embeddings(input_ids=batch.inputs["input_ids"])
        by_hand = embedded + seen.features[0] @ out.weight.T + out.bias
        torch.testing.assert_close(seen.sums[0], by_hand)
        # What enters the feed-forward is the normalised sum of the attention.
        norms = [m for m in tiny.layers[0].modules() if isinstance(m, torch.nn.LayerNorm)]
        entering = norms[0](seen.sums[0])
        out = neurons.out.module
        by_hand = entering + seen.features[1] @ out.weight.T + out.bias
        torch.testing.assert_close(seen.sums[1], by_hand)
        torch.testing.assert_close(seen.hidden, norms[1](seen.sums[1]))


def test_is_a_gate_a_factor_on_features(encoder: Any, examples: Examples) -> None:
    tiny = encoder("bert")
    (batch, *_) = batches_of(examples)
    heads = tiny.sublayers[2]
    gate = torch.ones(32)
    gate[8:16] = 0.5
    with torch.no_grad():
        found = run(tiny, batch, 0, gates={heads: gate}).output.logits
        heads.out.view[:, 8:16] *= 0.5
        torch.testing.assert_close(found, logits(tiny, batch))


def test_are_examples_drawn_once_and_as_many_as_asked(examples: Examples) -> None:
    drawn, mean = sampled(examples, 100, seed=3)
    lengths = [len(row["input_ids"]) for row in drawn.rows]
    assert sum(lengths) >= 100 > sum(lengths[:-1])
    assert mean == pytest.approx(np.mean(lengths))
    every, _ = sampled(examples, 10**6, seed=3)
    assert sorted(id(row) for row in every.rows) == sorted(id(row) for row in examples.rows)
    assert [r["input_ids"] for r in sampled(examples, 100, 4)[0].rows] != [
        r["input_ids"] for r in drawn.rows
    ]
