"""Is the choice the best one that a budget allows?"""

from itertools import product

import numpy as np
import pytest

from pruning.targets.dynamic_program import least_error


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_best_of_all_choices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors = rng.random((4, 5))
    # Whole numbers below the number of buckets: rounding up to a bucket changes nothing.
    costs = rng.integers(0, 40, (4, 5)).astype(float)
    costs[0, 2] = np.inf
    budget = 80
    every = [c for c in product(range(5), repeat=4) if cost(costs, c) <= budget]
    best = min(sum(errors[i, level] for i, level in enumerate(c)) for c in every)
    chosen = least_error(errors, costs, budget, buckets=budget)
    assert chosen is not None
    assert cost(costs, tuple(chosen)) <= budget
    assert sum(errors[i, level] for i, level in enumerate(chosen)) == pytest.approx(best)


def test_what_is_chosen_is_never_dearer_than_the_budget() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        costs = rng.random((7, 6))
        budget = float(rng.uniform(costs.min(1).sum(), 7))
        chosen = least_error(rng.random((7, 6)), costs, budget, buckets=100)
        assert chosen is None or cost(costs, tuple(chosen)) <= budget


def test_more_costs_may_lose_more() -> None:
    """A dearer level with a larger error is never taken: the table need not be monotone."""
    chosen = least_error(np.array([[0.0, 2.0, 1.0]]), np.array([[9.0, 5.0, 3.0]]), 6)
    assert chosen is not None and list(chosen) == [2]


@pytest.mark.parametrize("budget", [2.9, 0.0, -1.0])
def test_nothing_is_chosen_where_nothing_is_within_the_budget(budget: float) -> None:
    assert least_error(np.zeros((2, 2)), np.array([[1.0, 2.0], [2.0, 9.0]]), budget) is None


def test_what_costs_nothing_needs_no_budget() -> None:
    chosen = least_error(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]), 0)
    assert chosen is not None and list(chosen) == [1]


def cost(costs: np.ndarray, choice: tuple[int, ...]) -> float:
    return sum(costs[i, level] for i, level in enumerate(choice))
