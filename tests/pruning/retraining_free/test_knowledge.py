"""Does knowledge tell what a unit's removal does, measured by removing it?"""

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from pruning.data.examples import Examples
from pruning.retraining_free.knowledge import answer_of, knowledge
from pruning.retraining_free.partial_run import Batch, batches_of, run
from pruning.retraining_free.sublayers import Encoder, Sublayer
from tests.tiers import slow

torch = pytest.importorskip("torch")

T = 2.0


def removed(encoder: Encoder, batch: Batch, sublayer: Sublayer, unit: int) -> Any:
    gate = torch.ones(sublayer.count * sublayer.width)
    gate[unit * sublayer.width : (unit + 1) * sublayer.width] = 0
    with torch.no_grad():
        return answer_of(encoder, run(encoder, batch, 0, gates={sublayer: gate}).output)


def distance(dense: Any, pruned: Any, batch: Batch) -> float:
    """Σ over examples of T²·KL, of the mean of both ends, or of the squared difference."""
    if dense.shape[1:] == (1,):
        return float((pruned - dense).double().square().sum())
    if dense.dim() == 3:
        dense, pruned = (z.masked_fill(~batch.taken[:, None], -1e30) for z in (dense, pruned))
    p, q = (torch.log_softmax(z.double() / T, -1) for z in (dense, pruned))
    ends = dense.shape[1] if dense.dim() == 3 else 1
    return float(T**2 * (p.exp() * (p - q)).sum()) / ends


@pytest.mark.parametrize("kind", ["bert", *slow("distilbert", "regression", "answer")])
def test_is_predictive_knowledge_the_distance_after_removal(
    kind: str, encoder: Any, examples: Examples, monkeypatch: Any
) -> None:
    # Spans are drawn; more draws than in use, to see the mean they estimate.
    monkeypatch.setattr("pruning.retraining_free.knowledge.DRAWS", 40)
    tiny = encoder(kind)
    batches = batches_of(examples)
    with torch.no_grad():
        dense = [answer_of(tiny, run(tiny, batch, 0).output) for batch in batches]
    truths, found = [], knowledge(tiny, batches, 0, T)
    for sublayer, known in zip(tiny.sublayers, found, strict=True):
        truth = np.zeros(sublayer.count)
        for unit in range(sublayer.count):
            for batch, before in zip(batches, dense, strict=True):
                truth[unit] += distance(before, removed(tiny, batch, sublayer, unit), batch) / 60
        truths.append(truth)
        assert 0.85 < np.median(known.predictive / truth) < 1.2
    every = np.concatenate([known.predictive for known in found])
    # Not 1: a whole head bends the answer beyond the second order.
    rank_correlation: Any = spearmanr(np.concatenate(truths), every)[0]
    assert rank_correlation > 0.99


def test_do_many_classes_drawn_agree_with_all_of_them(
    encoder: Any, examples: Examples, monkeypatch: Any
) -> None:
    tiny = encoder("bert", num_labels=8)
    batches = batches_of(examples)
    exact = knowledge(tiny, batches, 0, T)
    monkeypatch.setattr("pruning.retraining_free.knowledge.EXACT_CLASSES", 7)
    monkeypatch.setattr("pruning.retraining_free.knowledge.DRAWS", 60)
    for one, other in zip(exact, knowledge(tiny, batches, 0, T), strict=True):
        np.testing.assert_allclose(other.predictive.sum(), one.predictive.sum(), rtol=0.1)


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_is_representational_knowledge_the_change_of_the_output(
    family: str, encoder: Any, examples: Examples
) -> None:
    tiny = encoder(family)
    batches = batches_of(examples)
    found = knowledge(tiny, batches, 0, T)
    tokens = sum(int(batch.taken.sum()) for batch in batches)
    for sublayer, known in zip(tiny.sublayers[:2], found, strict=False):
        for unit in range(0, sublayer.count, 3):
            gate = torch.ones(sublayer.count * sublayer.width)
            gate[unit * sublayer.width : (unit + 1) * sublayer.width] = 0
            change = 0.0
            for batch in batches:
                with torch.no_grad():
                    whole = run(tiny, batch, 0, 1, watched=[sublayer]).sums[0]
                    without = run(tiny, batch, 0, 1, {sublayer: gate}, [sublayer]).sums[0]
                change += float(batch.rows_of(whole - without).double().square().sum())
            expected = change / (tokens * 32)
            assert known.representational[unit] == pytest.approx(expected, rel=1e-3)


def test_is_the_published_score_zero_on_the_first_sublayer(
    encoder: Any, examples: Examples
) -> None:
    tiny = encoder("bert")
    batches = batches_of(examples)
    with torch.no_grad():
        dense = [answer_of(tiny, run(tiny, batch, 0).output) for batch in batches]
    published = knowledge(tiny, batches, 0, T, "squared_gradient", dense)
    corrected = knowledge(tiny, batches, 0, T)
    for one, other in zip(published, corrected, strict=True):
        assert one.predictive.max() < 1e-9 * other.predictive.max()


def test_is_the_published_score_half_the_squared_gradient_of_a_batch(
    encoder: Any, examples: Examples
) -> None:
    tiny = encoder("bert")
    batches = batches_of(examples)
    with torch.no_grad():
        # Another model's answers: the gradient is not zero.
        dense = [answer_of(tiny, run(tiny, b, 0).output).flip(1) for b in batches]
    (found, *_) = knowledge(tiny, batches, 0, T, "squared_gradient", dense)
    heads = tiny.sublayers[0]
    expected = np.zeros(heads.count)
    step = 1e-2
    for batch, wanted in zip(batches, dense, strict=True):
        for feature in range(32):
            losses = []
            for sign in (1, -1):
                gate = torch.ones(32)
                gate[feature] += sign * step
                with torch.no_grad():
                    output = run(tiny, batch, 0, gates={heads: gate}).output
                losses.append(distance(wanted, answer_of(tiny, output), batch) / len(batch.taken))
            expected[feature // 8] += 0.5 * ((losses[0] - losses[1]) / (2 * step)) ** 2 / 60
    np.testing.assert_allclose(found.predictive, expected, rtol=0.03)


def test_does_a_padded_place_change_nothing(encoder: Any, examples: Examples) -> None:
    tiny = encoder("bert")
    short = Examples([row for row in examples.rows if len(row["input_ids"]) < 12])
    together = knowledge(tiny, batches_of(short), 0, T)
    alone = [knowledge(tiny, batches_of(Examples([row])), 0, T) for row in short.rows]
    for place, known in enumerate(together):
        mean = np.mean([one[place].predictive for one in alone], 0)
        np.testing.assert_allclose(known.predictive, mean, rtol=1e-3)
