"""How much of a space's hypervolume do samplers find in 100 points?

Run: python benchmarks/exploration/samplers.py --mask out/demo/out.npz [--study FOLDER] [--jobs 2]

All 256 points of space_256.toml are simulated first (into FOLDER, if it is named, so that a second
run finds them); their front is compared with that of brute force, pair by pair. Then each sampler
looks up what it asks for: seeds 0 to 4, 100 different points each. The share is of the hypervolume
of the whole front, up to the worst of each objective of all points.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from accel_sim.__main__ import COMMANDS
from accel_sim.commands.explore import DATA
from accel_sim.exploration.measures import MEASURES, Goal
from accel_sim.exploration.pareto import hypervolume
from accel_sim.exploration.samplers import SAMPLERS
from accel_sim.exploration.space import Axis, Choice, Space
from accel_sim.exploration.study import Study, search
from sparse_formats.terminal.command import call

SPACE = Path(__file__).with_name("space_256.toml")
POINTS, SEEDS = 100, range(5)
OBJECTIVES = (("latency", "energy"), ("latency", "energy", "area"))
LEARNING = ("random", "nsga2", "tpe")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mask", required=True, type=Path, help="made by `make demo`")
    parser.add_argument("--study", type=Path, help="where the 256 points are kept")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = given.study or Path(made, "study")
        words = ["--space", SPACE, "--mask", given.mask, "--study", folder, "--jobs", given.jobs]
        call(COMMANDS, "explore", *words)
        data = json.loads((folder / DATA).read_text())
    space = Space(tuple(Axis(name, tuple(v)) for name, v in data["space"]["axes"].items()))
    results = {
        _key(choice): {key: value for key, value in point.items() if value is not None}
        for choice, point in zip(space, data["points"], strict=True)
    }
    for names in OBJECTIVES:
        _compare(space, results, Goal(tuple(MEASURES[name] for name in names)))


def _compare(space: Space, results: dict[str, Any], goal: Goal) -> None:
    whole = _searched(space, "grid", space.size, 0, results, goal)
    costs = whole.costs
    print(f"\n{', '.join(each.words for each in goal.objectives)}: {len(whole.front)} on the front")
    print(f"the front is that of brute force: {_is_brute_force(whole)}")
    low, high = costs.min(axis=0), costs.max(axis=0)

    def share(study: Study) -> float:
        ends = np.ones(len(low))
        return hypervolume((study.costs - low) / (high - low), ends) / best

    best = 1.0
    best = share(whole)
    print(f"{'sampler':8} {'median':>8}   of each seed")
    for name in LEARNING:
        shares = [share(_searched(space, name, POINTS, seed, results, goal)) for seed in SEEDS]
        print(f"{name:8} {100 * median(shares):7.2f} %   {_percent(shares)}")


def _searched(
    space: Space, sampler: str, trials: int, seed: int, results: dict[str, Any], goal: Goal
) -> Study:
    asked = SAMPLERS[sampler](space, trials, seed, len(goal.objectives))

    def never(choices: Sequence[Choice]) -> Any:
        assert not choices
        return iter(())

    known: Any = results
    return search(space, asked, trials, goal, known, key_of=_key, simulate=never)


def _key(choice: Choice) -> str:
    return str(choice)


def _is_brute_force(study: Study) -> bool:
    costs = [study.goal.costs(trial.result) for trial in study.feasible]
    best = {
        cost
        for cost in costs
        if not any(
            other != cost and all(a <= b for a, b in zip(other, cost, strict=True))
            for other in costs
        )
    }
    return best == {study.goal.costs(trial.result) for trial in study.front}


def _percent(shares: Sequence[float]) -> str:
    return " ".join(f"{100 * share:6.2f}" for share in shares)


if __name__ == "__main__":
    main()
