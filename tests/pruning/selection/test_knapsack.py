"""Is one option for each item chosen so that little is lost within the budget?"""

from itertools import product

import numpy as np
import pytest

from pruning.selection.knapsack import least_loss


@pytest.mark.parametrize(
    ("budget", "chosen"),
    [
        (3, [0, 0]),
        (4, [1, 0]),  # The first item saves 5 for 1, the second 4 for 2.
        (5, [1, 0]),
        (6, [1, 2]),
        (9, [1, 2]),
        (10, [2, 2]),  # The last step saves 2 for 4.
    ],
)
def test_steps_are_taken_by_what_they_save(budget: float, chosen: list[int]) -> None:
    losses = np.array([[9.0, 4, 2], [5, 5, 1]])
    costs = np.array([[1.0, 2, 6], [2, 3, 4]])
    assert least_loss(losses, costs, budget) == chosen


def test_an_option_above_the_hull_is_never_taken() -> None:
    # Half of the way costs more than half: two thirds of the cost for a third of what is saved.
    losses, costs = np.array([[3.0, 2, 0]]), np.array([[0.0, 2, 3]])
    assert [least_loss(losses, costs, budget) for budget in (0, 2, 3)] == [[0], [0], [2]]


def test_an_option_of_infinite_cost_is_none() -> None:
    losses, costs = np.array([[0.0, 1, 2]]), np.array([[np.inf, 5, 1]])
    assert least_loss(losses, costs, 100) == [1]
    with pytest.raises(ValueError, match="cheapest options cost 1, more than 0"):
        least_loss(losses, costs, 0)


@pytest.mark.parametrize("seed", range(20))
def test_no_choice_loses_less_by_more_than_one_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses, costs = rng.random((4, 4)), rng.integers(1, 9, (4, 4)).astype(float)
    budget = costs.min(1).sum() + rng.integers(0, 12)
    best = min(
        sum(losses[i, option] for i, option in enumerate(choice))
        for choice in product(range(4), repeat=4)
        if sum(costs[i, option] for i, option in enumerate(choice)) <= budget
    )
    chosen = least_loss(losses, costs, budget)
    places = np.arange(4), chosen
    assert costs[places].sum() <= budget
    assert best <= losses[places].sum() + 1e-12
    assert losses[places].sum() <= best + np.ptp(losses, axis=1).max()
