"""Are the parts of Kwon et al. what trying everything gives, on models small enough for it?"""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from pruning.data.examples import Examples
from pruning.retraining_free.kwon import gate_slopes, rearranged, search, tuned_scales
from pruning.retraining_free.partial_run import batches_of, run

torch = pytest.importorskip("torch")


def test_are_slopes_the_gradient_of_each_example(encoder: Any, examples: Examples) -> None:
    tiny = encoder("bert")
    batches = batches_of(examples)
    slopes = gate_slopes(tiny, batches)
    heads = tiny.sublayers[2]
    (batch, *_) = batches
    losses = []
    for gate in (1.01, 0.99):
        gates = torch.ones(32)
        gates[8:16] = gate
        with torch.no_grad():
            logits = run(tiny, batch, 0, gates={heads: gates}).output.logits.double()
        losses.append(
            torch.nn.functional.cross_entropy(logits, batch.inputs["labels"], reduction="none")
        )
    expected = (losses[0] - losses[1]) / 0.02
    np.testing.assert_allclose(slopes[2][: len(expected), 1], expected, atol=2e-3, rtol=2e-2)


def test_is_no_choice_within_the_budget_more_informative(encoder: Any) -> None:
    tiny = encoder("bert", intermediate_size=4, num_hidden_layers=1)
    heads, neurons = tiny.sublayers
    costs = np.repeat([heads.flops(12), neurons.flops(12)], [4, 4])
    rng = np.random.default_rng(0)
    for flops in (0.2, 0.5, 0.77):
        slopes = [rng.standard_normal((20, 4)).astype(np.float32) for _ in range(2)]
        slopes[1] *= 0.1
        worth = np.concatenate([np.square(g).mean(0) for g in slopes])
        keep = np.concatenate(search(tiny, slopes, 12, flops))
        budget = flops * tiny.flops(12)
        best = max(
            worth[list(chosen)].sum()
            for size in range(9)
            for chosen in combinations(range(8), size)
            if costs[list(chosen)].sum() <= budget
        )
        assert costs[keep].sum() <= budget
        assert worth[keep].sum() == pytest.approx(best)


def test_do_units_whose_slopes_cancel_go_together() -> None:
    # Alone the slopes 1 and 2 are cheapest, together they cost 3² = 9; 2 and −3 cost 1.
    slopes = np.array([[3.0, -3.0, 2.0, 1.0]], np.float32)
    keep = np.array([True, True, False, False])
    assert rearranged(keep, slopes).tolist() == [True, False, False, True]
    assert rearranged(np.ones(4, np.bool_), slopes).all()


def test_does_rearranging_follow_its_definition() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        slopes = rng.standard_normal((6, 9)).astype(np.float32)
        keep = rng.random(9) < 0.5
        if keep.all() or not keep.any():
            continue
        # Word for word: units from the least informative on, sums from scratch.
        order = np.argsort(np.square(slopes).sum(0), kind="stable").tolist()
        count = int((~keep).sum())
        gone = order[:count]
        for unit in order[count:]:
            gone.append(unit)
            norms = [
                np.square(slopes[:, [g for g in gone if g != out]].sum(1)).sum() for out in gone
            ]
            gone.remove(gone[int(np.argmin(norms))])
        assert np.flatnonzero(~rearranged(keep, slopes)).tolist() == sorted(gone)


def test_do_scales_close_the_gap_to_the_teacher(encoder: Any, examples: Examples) -> None:
    tiny = encoder("bert")
    batches = batches_of(examples)
    kept = [np.arange(s.count) % 2 == 0 for s in tiny.sublayers]
    halfway = [np.arange(s.count) % 4 != 3 for s in tiny.sublayers]
    scales, tuned = tuned_scales(tiny, batches, kept, halfway, lambda step: None)
    assert tuned[0] is None
    assert scales[0].tolist() == kept[0].tolist()
    for scale, keep, done in zip(scales[1:], kept[1:], tuned[1:], strict=True):
        assert not scale[~keep].any()
        assert done is not None
        assert done.error_after < done.error_before
    # The gaps of the first feed-forward and of the attention above it, measured from the bottom
    # up: the teacher's residual sum against the student's, before and after this one is scaled.
    for i in (1, 2):
        through = tiny.sublayers[: i + 1]
        teacher = _gates(through, halfway)
        before = _gates(through, [*scales[:i], kept[i].astype(float)])
        gaps, sizes = [], []
        for student in (before, _gates(through, scales)):
            wanted, found = [], []
            for batch in batches:
                with torch.no_grad():
                    for gates, into in ((teacher, wanted), (student, found)):
                        sums = run(tiny, batch, 0, 1 + i // 2, gates, [through[-1]]).sums[0]
                        into.append(batch.rows_of(sums).double())
            target = torch.cat(wanted)
            gaps.append(float((target - torch.cat(found)).square().sum()))
            sizes.append(float((target - target.mean()).square().sum()))
        done = tuned[i]
        assert done is not None
        assert done.error_before == pytest.approx(gaps[0] / sizes[0], rel=1e-3)
        assert done.error_after == pytest.approx(gaps[1] / sizes[1], rel=1e-2)


def _gates(sublayers: Any, values: Any) -> Any:
    return {
        each: torch.from_numpy(np.repeat(value, each.width).astype(np.float32))
        for each, value in zip(sublayers, values, strict=False)
    }
