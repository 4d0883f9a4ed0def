"""A search: which points were tried, what they came to, which of them nobody beats."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from accel_sim.exploration import pareto
from accel_sim.exploration.measures import Goal
from accel_sim.exploration.samplers import Sampler, Told
from accel_sim.exploration.space import Choice, Space

Result = Mapping[str, Any]


class Results(Protocol):
    """What was computed before, by key, and where what is new is kept: a `Record`."""

    def __contains__(self, key: object, /) -> bool: ...
    def __getitem__(self, key: str, /) -> Result: ...
    def add(self, key: str, result: Result) -> None: ...


class InMemory(dict[str, Result]):
    """Results that nobody keeps."""

    def add(self, key: str, result: Result) -> None:
        self[key] = result


@dataclass(frozen=True)
class Trial:
    """A point that was tried. values: of all its axes and links; key: of its result.

    reason: why it does not count, "" where it does.
    """

    key: str
    choice: Choice
    values: Mapping[str, Any]
    result: Result
    reason: str

    @property
    def is_feasible(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class Study:
    """Trials in the order in which they were asked for, each point once."""

    space: Space
    goal: Goal
    trials: tuple[Trial, ...]

    @cached_property
    def feasible(self) -> tuple[Trial, ...]:
        return tuple(trial for trial in self.trials if trial.is_feasible)

    @cached_property
    def costs(self) -> pareto.Points:
        """Of the feasible trials: float64 (trials, objectives), less is better."""
        costs = [self.goal.costs(trial.result) for trial in self.feasible]
        return np.array(costs, np.float64).reshape(-1, len(self.goal.objectives))

    @cached_property
    def front(self) -> tuple[Trial, ...]:
        """The feasible trials that nobody beats, by the first objective; one of equal ones."""
        _, first = np.unique(self.costs, axis=0, return_index=True)
        on_front = pareto.front(self.costs)
        return tuple(self.feasible[i] for i in first if on_front[i])

    @cached_property
    def knee(self) -> Trial | None:
        index = pareto.knee(self.costs)
        return None if index is None else self.feasible[index]

    @cached_property
    def reference(self) -> tuple[float, ...]:
        """The worst of each objective that a feasible trial has: where hypervolumes end."""
        return tuple(self.costs.max(axis=0).tolist()) if len(self.costs) else ()

    @cached_property
    def hypervolumes(self) -> list[float]:
        """After each trial, the share of what lies between the best and the worst of all trials.

        Of each objective the scale runs from the least to the largest cost of a feasible trial.
        """
        if not len(self.costs):
            return [0.0] * len(self.trials)
        low, high = self.costs.min(axis=0), self.costs.max(axis=0)
        scaled = (self.costs - low) / np.where(high > low, high - low, 1.0)
        found: list[float] = []
        best = np.empty((0, scaled.shape[1]))
        volume, rows = 0.0, iter(scaled)
        for trial in self.trials:
            if trial.is_feasible:
                point = next(rows)
                if not (best <= point).all(axis=1).any():
                    best = np.vstack([best[~(point <= best).all(axis=1)], point])
                    volume = pareto.hypervolume(best, np.ones(len(point)))
            found.append(volume)
        return found


def search(
    space: Space,
    sampler: Sampler,
    trials: int,
    goal: Goal,
    results: Results,
    *,
    key_of: Callable[[Choice], str],
    simulate: Callable[[Sequence[Choice]], Iterator[Result]],
    place_of: Callable[[Choice], Any] = lambda choice: 0,
    known_of: Callable[[Choice], Result] = lambda choice: {},
    on_trial: Callable[[bool], None] = lambda is_new: None,
) -> Study:
    """Ask, simulate what is not known, tell; until so many different points were tried.

    simulate: results of points, in their order. place_of: points are simulated, and kept, in the
    order of these. known_of: what of a point is known without, such as the quality of its mask.
    on_trial is called after each point, with whether it was simulated.
    """
    tried: dict[Choice, Trial] = {}
    while len(tried) < trials and (asked := sampler.ask()):
        new = [choice for choice in dict.fromkeys(asked) if choice not in tried]
        keys = {choice: key_of(choice) for choice in new[: trials - len(tried)]}
        missing = {key: choice for choice, key in keys.items() if key not in results}
        for _ in range(len(keys) - len(missing)):
            on_trial(False)
        todo = sorted(missing.items(), key=lambda item: place_of(item[1]))
        found = simulate([choice for _, choice in todo])
        for (key, _), result in zip(todo, found, strict=True):
            results.add(key, result)
            on_trial(True)
        for choice, key in keys.items():
            result = {**results[key], **known_of(choice)}
            reason = goal.reason(result)
            tried[choice] = Trial(key, choice, space.values(choice), result, reason)
        if len(tried) < trials:
            sampler.tell([_told(tried[choice], goal) for choice in asked])
    return Study(space, goal, tuple(tried.values()))


def _told(trial: Trial, goal: Goal) -> Told:
    costs = None if "reason" in trial.result else goal.costs(trial.result)
    return Told(trial.choice, costs, goal.violation(trial.result))
