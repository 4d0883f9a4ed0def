"""Are floors, fronts and choices those that a person would find on paper?"""

from dataclasses import replace

import numpy as np
import pytest

from pruning.frontier.machines import MachineFigures
from pruning.frontier.plan import Kind
from pruning.frontier.results import Quality, Result
from pruning.frontier.verdict import difference, judge
from pruning.frontier.words import sentences

NOISE = np.tile([-1.0, 1.0], 50)
"""Of 100 texts: mean 0, variance 100/99."""


def quality(figure: float, noise: float = 0.0, seeds: tuple[float, ...] = (0.0,)) -> Quality:
    samples = np.array([figure + seed + noise * NOISE for seed in seeds])
    return Quality({"accuracy": float(samples.mean())}, "accuracy", False, samples)


def result(
    kind: Kind,
    pattern: str,
    sparsity: float,
    measured: Quality | None,
    latency: float,
    energy: float,
) -> Result:
    machines = (
        {}
        if kind not in ("dense", "pruned")
        else {"chip": MachineFigures(latency, energy, round(latency))}
    )
    return Result(kind, pattern, sparsity, (0,), (), (), 1 - sparsity, None, measured, machines)


def study(*points: Result) -> list[Result]:
    return [
        result("dense", "", 0, quality(0.9), 100, 100),
        result("zeroed", "", 1, quality(0.2), 0, 0),
        result("random mask", "", 0.5, quality(0.5), 0, 0),
        result("random mask", "", 0.8, quality(0.3), 0, 0),
        *points,
    ]


def test_a_difference_has_the_error_of_its_texts_and_its_seeds() -> None:
    # The noise of one side stays, that of both sides cancels text by text.
    one = difference(quality(0.6, 0.1), quality(0.5), 0)
    assert one.mean == pytest.approx(0.1)
    assert one.error == pytest.approx(0.1 * np.sqrt(1 / 99))
    both = difference(quality(0.6, 0.1), quality(0.5, 0.1), 0)
    assert both.error == pytest.approx(0)
    # Two seeds 0.02 apart: a variance of 0.0002, and half of it for their mean.
    seeds = difference(quality(0.6, seeds=(-0.01, 0.01)), quality(0.5), 0)
    assert seeds.error == pytest.approx(np.sqrt(0.0001))
    # Where other points spread more, this is believed of these seeds too.
    pooled = difference(quality(0.6, seeds=(-0.01, 0.01)), quality(0.5), 0.0008)
    assert pooled.error == pytest.approx(np.sqrt(0.0004))


@pytest.mark.parametrize(("above", "is_better"), [(2.9, False), (3.2, True)])
def test_a_point_must_be_three_errors_above_its_floor(above: float, is_better: bool) -> None:
    # One error is 0.01; Student's t for 99 degrees of freedom puts the bar at 3.08 of them.
    noise = 0.01 * np.sqrt(99)
    point = result("pruned", "fine", 0.5, quality(0.5 + 0.01 * above, noise), 10, 10)
    verdict = judge(study(point), [0.99])
    (candidate,) = (c for c in verdict.candidates if not c.is_dense)
    assert candidate.can_be_chosen == is_better
    assert candidate.beaten_by == ("" if is_better else "random mask")
    assert (candidate in verdict.fronts["chip"]) == is_better
    assert (verdict.choices[0].fastest is candidate) == is_better


def test_a_point_is_compared_with_the_random_mask_of_its_own_sparsity() -> None:
    point = result("pruned", "fine", 0.8, quality(0.4, 0.01), 10, 10)
    (candidate,) = (c for c in judge(study(point), []).candidates if not c.is_dense)
    assert candidate.can_be_chosen  # above 0.3, though below the 0.5 of half the weights


def test_two_texts_tell_little() -> None:
    samples = np.array([[0.5, 0.7]])
    point = Quality({"accuracy": 0.6}, "accuracy", False, samples)
    floor = Quality({"accuracy": 0.3}, "accuracy", False, np.array([[0.3, 0.3]]))
    assert not difference(point, floor, 0).is_certain
    one = Quality({"accuracy": 0.6}, "accuracy", False, samples[:, :1])
    assert not difference(one, Quality({}, "", False, floor.samples[:, :1]), 0).is_certain


def test_the_front_leaves_out_what_is_worse_in_everything() -> None:
    good = result("pruned", "mvp", 0.5, quality(0.8), 50, 60)
    thrifty = result("pruned", "vector:8", 0.5, quality(0.75), 60, 40)
    beaten = result("pruned", "fine", 0.5, quality(0.74), 61, 60)
    verdict = judge(study(good, thrifty, beaten), [0.2])
    front = [c.result for c in verdict.fronts["chip"]]
    assert [r.pattern for r in front] == ["", "mvp", "vector:8"]
    (choice,) = verdict.choices
    assert choice.fastest is not None and choice.fastest.result is good
    assert choice.thriftiest is not None and choice.thriftiest.result is thrifty


def test_choices_keep_within_the_tolerance_and_are_said_once() -> None:
    near = result("pruned", "vector:8", 0.5, quality(0.9 * 0.995), 100 / 1.5, 100 / 1.25)
    far = result("pruned", "vector:8", 0.8, quality(0.9 * 0.93), 100 / 3.1, 100 / 2.4)
    verdict = judge(study(near, far), [0.001, 0.01, 0.05, 0.1])
    assert sentences(verdict) == (
        "Within 0.1 % of dense on chip: nothing that can be recommended is faster than dense or "
        "takes less energy; beyond that the least loss is that of vectors of 8 at 50 %: 0.5 %, "
        "1.5× faster, 1.2× less energy.",
        "Within 1 and 5 % of dense on chip: vectors of 8 at 50 %, 1.5× faster, 1.2× less energy.",
        "Within 10 % of dense on chip: vectors of 8 at 80 %, 3.1× faster, 2.4× less energy.",
    )


def test_what_cannot_be_told_from_a_floor_is_not_said_to_gain_nothing() -> None:
    fast = result("pruned", "2:4", 0.5, quality(0.5), 50, 50)
    verdict = judge(study(fast), [0.99])
    (candidate,) = (c for c in verdict.candidates if not c.is_dense)
    assert candidate.beaten_by == "random mask" and candidate.speedup["chip"] == 2
    assert sentences(verdict) == (
        "Within 99 % of dense on chip: nothing that can be recommended is faster than dense or "
        "takes less energy.",
    )


def test_losses_of_perplexities_are_shares_of_the_dense_one() -> None:
    def perplexity(value: float) -> Quality:
        return Quality({"per_token": value}, "per_token", True, -np.log(value) * np.ones((1, 9)))

    points = [
        result("dense", "", 0, perplexity(20), 100, 100),
        result("zeroed", "", 1, perplexity(9000), 0, 0),
        result("pruned", "fine", 0.5, perplexity(21), 50, 50),
    ]
    (candidate,) = (c for c in judge(points, []).candidates if not c.is_dense)
    assert candidate.loss == pytest.approx(0.05)
    assert candidate.can_be_chosen


def test_the_better_of_two_dense_models_is_the_reference() -> None:
    trained = result("trained dense", "", 0, quality(0.95), 0, 0)
    verdict = judge([*study(), trained], [])
    assert verdict.reference is trained
    (dense,) = verdict.candidates
    assert dense.loss == pytest.approx(1 - 0.9 / 0.95)


def test_without_quality_patterns_are_compared_at_one_sparsity() -> None:
    points = [
        result("dense", "", 0, None, 100, 100),
        result("pruned", "fine", 0.5, None, 80, 90),
        result("pruned", "vector:8", 0.5, None, 50, 70),
        result("pruned", "fine", 0.8, None, 40, 40),
    ]
    verdict = judge(points, [0.01])
    assert sentences(verdict) == (
        "At 50 % on chip the fastest are vectors of 8: 50.0 s, 2.0× as fast as dense, with 1.4× "
        "less energy.",
        "At 80 % on chip the fastest are single weights: 40.0 s, 2.5× as fast as dense, with 2.5× "
        "less energy.",
    )


def test_of_several_machines_it_is_said_which_is_best_also_with_the_dense_model() -> None:
    # The second machine takes ten times as long and half the energy of the first, but for the mask.
    def on_two(result: Result, slow_energy: float) -> Result:
        if not result.machines:
            return result
        chip = result.machines["chip"]
        slow = MachineFigures(10 * chip.latency_s, slow_energy, 10 * chip.cycles)
        return replace(result, machines={"chip": chip, "slow": slow})

    point = result("pruned", "vector:8", 0.5, quality(0.9 * 0.96), 0.05, 0.11)
    dense, *rest = study(point)
    dense = replace(dense, machines={"chip": MachineFigures(0.1, 0.1, 100)})
    points = [on_two(dense, 0.05), *(on_two(each, 0.06) for each in rest)]
    verdict = judge(points, [0.01, 0.05])
    assert sentences(verdict)[-2:] == (
        "Within 1 % of dense, of all machines: chip is fastest, with the dense model in 100 ms; "
        "slow takes least energy, with the dense model for 50.0 mJ.",
        "Within 5 % of dense, of all machines: chip is fastest, with vectors of 8 at 50 % in "
        "50.0 ms; slow takes least energy, with the dense model for 50.0 mJ.",
    )
    # What is faster and takes more energy than dense is not what takes least.
    on_chip = verdict.choices[1]
    assert on_chip.fastest is not None and on_chip.fastest.result.pattern == "vector:8"
    assert on_chip.least_energy is None
