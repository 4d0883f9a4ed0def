"""Which points of a space are tried next.

A sampler is asked for a batch and told what the batch came to before it is asked again. So what
it asks depends on its seed alone, and never on who was faster.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from accel_sim.exploration.space import Choice, Space
from sparse_formats.errors import SettingError

BATCH = 10
"""Points that are asked for at once: none of them can learn from another."""


@dataclass(frozen=True)
class Told:
    """A point that was tried. costs: what is to be small, None if it could not be simulated.

    violation: how far it is beyond the limits, 0 where it keeps them.
    """

    choice: Choice
    costs: tuple[float, ...] | None
    violation: float


class Sampler(Protocol):
    def ask(self) -> list[Choice]:
        """A batch, in which points may come again; empty where there is nothing more to try."""
        ...

    def tell(self, told: Sequence[Told]) -> None:
        """What the points of the batch came to, in its order."""
        ...


@dataclass
class Listed:
    """All points of a list at once."""

    choices: list[Choice]

    def ask(self) -> list[Choice]:
        asked, self.choices = self.choices, []
        return asked

    def tell(self, told: Sequence[Told]) -> None:
        pass


def grid(space: Space, trials: int, seed: int, objectives: int) -> Sampler:
    """Every point."""
    return Listed(list(space))


def at_random(space: Space, trials: int, seed: int, objectives: int) -> Sampler:
    """Different points, all equally likely."""
    drawn = _drawn(space, np.random.default_rng(seed))
    return Listed([choice for choice, _ in zip(drawn, range(trials), strict=False)])


def _drawn(space: Space, rng: np.random.Generator) -> Iterator[Choice]:
    """Points at random, each once, to the last."""
    seen: set[Choice] = set()
    while 2 * len(seen) < space.size:
        choice = _any(space, rng)
        if choice not in seen:
            seen.add(choice)
            yield choice
    left = [choice for choice in space if choice not in seen]
    yield from (left[i] for i in rng.permutation(len(left)))


def _any(space: Space, rng: np.random.Generator) -> Choice:
    """A point; all are equally likely."""
    if space.is_branched:
        # Of axes by themselves, accelerators with few axes would come as often as those with many.
        count = (space.size.bit_length() + 7) // 8 + 8
        return space.choice(int.from_bytes(rng.bytes(count)) % space.size)
    return tuple(int(rng.integers(len(axis.values))) for axis in space.axes)


@dataclass
class Learning:
    """A sampler of Optuna's that learns from what it was told.

    After a batch without a new point the next one is drawn at random, so that it never stalls.
    """

    space: Space
    study: Any
    drawn: Iterator[Choice]
    tried: set[Choice] = field(default_factory=set)
    is_stalled: bool = False
    _asked: list[Any] = field(default_factory=list)

    def ask(self) -> list[Choice]:
        if len(self.tried) == self.space.size:
            return []
        if self.is_stalled:
            for _ in range(BATCH):
                if (choice := self._new()) is not None:
                    self.study.enqueue_trial(self._parameters(choice))
        self._asked = [self.study.ask() for _ in range(BATCH)]
        return [self.space.plain(self._choice(trial)) for trial in self._asked]

    def tell(self, told: Sequence[Told]) -> None:
        self.is_stalled = all(each.choice in self.tried for each in told)
        worst = [each.costs for each in told if each.costs is not None]
        for trial, each in zip(self._asked, told, strict=False):
            self.tried.add(each.choice)
            trial.set_constraint("limits", each.violation)
            # A point without costs is beyond every limit; then its costs are not looked at.
            costs = each.costs or (np.max(worst, axis=0).tolist() if worst else self._no_costs)
            self.study.tell(trial, costs)

    @property
    def _no_costs(self) -> list[float]:
        return [0.0] * len(self.study.directions)

    def _new(self) -> Choice | None:
        """A point at random that was not tried."""
        return next((choice for choice in self.drawn if choice not in self.tried), None)

    def _choice(self, trial: Any) -> Choice:
        found = []
        for axis in self.space.axes:
            most = len(axis.values) - 1
            if axis.is_ordered:
                found.append(trial.suggest_int(axis.name, 0, most))
            else:
                found.append(trial.suggest_categorical(axis.name, range(most + 1)))
        return tuple(found)

    def _parameters(self, choice: Choice) -> dict[str, int]:
        return {axis.name: at for axis, at in zip(self.space.axes, choice, strict=True)}


def nsga2(space: Space, trials: int, seed: int, objectives: int) -> Sampler:
    """Deb et al., A fast and elitist multiobjective genetic algorithm, 2002."""
    optuna = _optuna()
    population = max(BATCH, min(50, trials // 10))
    sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=population)
    return _learning(space, sampler, seed, objectives)


def tpe(space: Space, trials: int, seed: int, objectives: int) -> Sampler:
    """Watanabe, Tree-structured Parzen estimator, 2023, with several objectives."""
    optuna = _optuna()
    sampler = optuna.samplers.TPESampler(
        seed=seed,
        n_startup_trials=max(BATCH, min(50, trials // 5)),
        multivariate=True,
        constant_liar=True,
    )
    return _learning(space, sampler, seed, objectives)


SAMPLERS: dict[str, Callable[[Space, int, int, int], Sampler]] = {
    "grid": grid,
    "random": at_random,
    "nsga2": nsga2,
    "tpe": tpe,
}
"""By name: from the space, the number of trials, a seed and the number of objectives."""


def _learning(space: Space, sampler: Any, seed: int, objectives: int) -> Learning:
    study = _optuna().create_study(sampler=sampler, directions=["minimize"] * objectives)
    return Learning(space, study, _drawn(space, np.random.default_rng([seed, 1])))


def _optuna() -> Any:
    """Optuna, without its messages and its warnings of what is new in it."""
    import warnings

    try:
        import optuna
    except ImportError:
        raise SettingError(
            "sampler",
            "needs Optuna; install it with: pip install 'mvpsim[explore]', or take grid or random",
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna
