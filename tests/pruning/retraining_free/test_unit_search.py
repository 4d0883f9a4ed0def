"""Do the units that fit stay, the worthiest first?"""

import numpy as np

from pruning.retraining_free.unit_search import units_within


def test_is_the_threshold_on_importance_per_flop() -> None:
    heads, neurons = np.array([9.0, 30.0]), np.array([1.0, 4.0, 2.0])
    # Per FLOP: heads .9 and 3, neurons 1, 4 and 2. Budget 12 takes 4 (1), 3 (10), 2 (1).
    keep = units_within([heads, neurons], [10.0, 1.0], 12.0)
    assert [k.tolist() for k in keep] == [[False, True], [False, True, True]]


def test_does_what_comes_behind_the_first_misfit_go() -> None:
    # The head (3 per FLOP) does not fit into 5: neurons below the threshold do not slip in.
    keep = units_within([np.array([30.0]), np.array([4.0, 1.0])], [10.0, 1.0], 5.0)
    assert [k.tolist() for k in keep] == [[False], [True, False]]


def test_does_the_whole_budget_keep_all_and_none_nothing() -> None:
    rng = np.random.default_rng(0)
    importance = [rng.random(12), np.zeros(3072)]
    costs = [74_245_120.0, 522_240.0]
    whole = 12 * costs[0] + 3072 * costs[1]
    assert all(k.all() for k in units_within(importance, costs, whole))
    assert not any(k.any() for k in units_within(importance, costs, 0.0))


def test_are_equals_taken_from_the_bottom_up() -> None:
    keep = units_within([np.ones(3), np.ones(3)], [1.0, 1.0], 4.0)
    assert [k.tolist() for k in keep] == [[True] * 3, [True, False, False]]


def test_is_it_the_best_of_all_thresholds() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        importance = [rng.random(3), rng.random(4)]
        costs, budget = [4.0, 1.0], float(rng.integers(1, 17))
        keep = np.concatenate(units_within(importance, costs, budget))
        worth = np.concatenate([importance[0] / 4, importance[1]])
        cost = np.repeat(costs, [3, 4])
        # By trying: of the sets "all above a threshold" that fit, the largest.
        fitting = [worth >= t for t in [*worth, np.inf] if cost[worth >= t].sum() <= budget]
        assert keep.tolist() == max(fitting, key=lambda kept: kept.sum()).tolist()
